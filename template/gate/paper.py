"""Pages from data: what models and callers said comes out as text, never as markup."""

import html
import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path

import jinja2

from app import files

# What neither XML 1.0 nor UTF-8 can carry: control characters and halves of characters.
UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(place: Path, content: Mapping[str, object], *, strict: bool = False) -> Path:
    """Fill the template of the file's name; returns the file."""
    template = pages(strict=strict).select_template([place.name, f"{place.name}.j2"])
    save(place, template.render(content))
    return place


@cache
def pages(*, strict: bool) -> jinja2.Environment:
    """The templates; Jinja keeps what they are compiled to for the next run."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "pages"), trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined if strict else jinja2.Undefined,
        autoescape=jinja2.select_autoescape(["html", "xml"]), bytecode_cache=jinja2.FileSystemBytecodeCache(),
    )  # fmt: skip
    environment.filters |= {"cell": cell, "changes": changes}
    return environment


def save(place: Path, text: str) -> None:
    """Write text; a character that a reader of the file would choke on becomes U+FFFD."""
    files.write_atomic(place, UNPRINTABLE.sub("\ufffd", text) + "\n")


def cell(said: object) -> str:
    """Text for a cell of a Markdown table: no line end, no markup, no picture, and no @name calls anybody."""
    plain = html.escape(" ".join(str(said).split()), quote=False)
    return re.sub(r"([|`*]|\](?=\())", r"\\\1", plain).replace("@", "@\u200b")


def changes(was: str, now: str) -> list[tuple[str, str]]:
    """What became of a text: `same`, `del` and `ins` parts in order; fewer than 3 words are not `same`."""
    found = []
    old, new, a, b = re.findall(r"\s*\S+", was), re.findall(r"\s*\S+", now), 0, 0
    for at, to, size in SequenceMatcher(None, was.split(), now.split()).get_matching_blocks():
        if size > 2 or at == len(old):
            found += [("del", old[a:at]), ("ins", new[b:to]), ("same", new[to : to + size])]
            a, b = at + size, to + size
    return [(kind, "".join(words)) for kind, words in found if words]
