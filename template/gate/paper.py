"""Pages from data: what models and callers said comes out as text, never as markup."""

import html
import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape

from app import files

# What neither XML 1.0 nor UTF-8 can carry: control characters and halves of characters.
UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
LONGEST = 4_000


def write(place: Path, content: Mapping[str, object]) -> Path:
    """Fill the template of the file's name; returns the file."""
    folder, escape = FileSystemLoader(Path(__file__).parent / "pages"), select_autoescape(["html", "xml"])
    environment = Environment(loader=folder, autoescape=escape, trim_blocks=True, lstrip_blocks=True)  # noqa: S701
    environment.filters |= {"cell": cell, "changes": changes}
    save(place, environment.get_template(place.name).render(content))
    return place


def save(place: Path, text: str) -> None:
    """Write text; a character that a reader of the file would choke on becomes U+FFFD."""
    files.write_atomic(place, UNPRINTABLE.sub("\ufffd", text) + "\n")


def cell(said: object) -> str:
    """Text for a cell of a Markdown table: no line end, no markup, no picture, and no @name calls anybody."""
    plain = html.escape(" ".join(str(said).split()), quote=False)
    return re.sub(r"([|`*]|\](?=\())", r"\\\1", plain).replace("@", "@\u200b")


def changes(was: str, now: str) -> list[tuple[str, str]]:
    """What became of a text, word by word: `same`, `del` and `ins` parts in reading order."""
    old, new = (re.findall(r"\s*\S+", said[:LONGEST]) for said in (was, now))
    found = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        gone, come = "".join(old[a:b]), "".join(new[c:d])
        found += [("same", come)] if kind == "equal" else [("del", gone), ("ins", come)]
    return [part for part in found if part[1]]
