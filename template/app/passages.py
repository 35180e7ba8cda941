"""Cut markdown pages into passages, show them to a model, and read which of them an answer cites."""

import html
import re
from dataclasses import dataclass

MAX_WORDS = 120
MARKER = re.compile(r"\[(\d{1,2})\]")


@dataclass(frozen=True)
class Passage:
    """A part of a page that can be quoted: `page` is its path below the corpus without the ending."""

    page: str
    title: str
    heading: str
    text: str


def from_page(page: str, markdown: str) -> list[Passage]:
    """Passages of one page: paragraphs of one section, joined up to MAX_WORDS words."""
    title, heading, held = page, "", [""]
    found: list[Passage] = []

    def close() -> None:
        if held[0]:
            found.append(Passage(page, title, heading or title, held[0]))
        held[0] = ""

    for block in re.split(r"\n\s*\n", markdown):
        text = block.strip()
        if text.startswith("#"):
            close()
            line, _, text = text.partition("\n")
            name = line.lstrip("#").strip()
            title, heading = (name, "") if line.startswith("# ") else (title, name)
        if len(f"{held[0]} {text}".split()) > MAX_WORDS:
            close()
        held[0] = f"{held[0]}\n\n{text}".strip()
    close()
    return found


def show(passages: list[Passage]) -> str:
    """The passages as the prompt carries them, numbered from 1; markup in a page stays text."""
    return "\n".join(
        f'<passage id="{number}" page="{quoted(item.page)}" heading="{quoted(item.heading)}">\n'
        f"{item.text.replace('<', '&lt;')}\n</passage>"
        for number, item in enumerate(passages, start=1)
    )


def quoted(text: str) -> str:
    """Text that is safe inside an attribute."""
    return html.escape(text, quote=True)


def cited(text: str, passages: list[Passage]) -> list[dict[str, object]]:
    """The passages that `[n]` markers name, each once, in order; a marker of no passage is left out."""
    numbers = dict.fromkeys(int(n) for n in MARKER.findall(text))
    return [
        {"marker": n, "page": p.page, "title": p.title, "heading": p.heading, "quote": p.text}
        for n in numbers
        if 0 < n <= len(passages)
        for p in [passages[n - 1]]
    ]
