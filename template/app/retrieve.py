"""Find passages by BM25 in SQLite's own full-text index; the pages stay the source of truth."""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

from app import passages, text
from app.errors import ConfigError, Fault
from app.passages import Passage

# Stems are indexed, in the language of each page, so that a question finds other forms of its words.
SCHEMA = """
create virtual table passage using fts5(
    page unindexed, title unindexed, heading unindexed, body unindexed, language unindexed,
    title_stems, heading_stems, body_stems
)
"""
# Pages in the question's language come first; a word in a title says more than the same word in the text.
SEARCH = """
select page, title, heading, body from passage where passage match ?
order by language = ? desc, bm25(passage, 0, 0, 0, 0, 0, 3.0, 2.0, 1.0), rowid limit ?
"""


class Index:
    """One corpus, opened for reading. `revision` names the exact pages it was built from."""

    def __init__(self, path: Path) -> None:
        self.revision = path.stem.rpartition("-")[2]
        self.connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)

    def search(self, question: str, k: int) -> list[Passage]:
        """The k passages that fit best, best first; none when no word of the question occurs."""
        language = text.language(question)
        query = " OR ".join(f'"{stem}"' for stem in dict.fromkeys(text.terms(question, language)))
        if not query:
            return []
        return [Passage(*row) for row in self.connection.execute(SEARCH, (query, language, k))]

    def close(self) -> None:
        """Release the file."""
        self.connection.close()


def pages(corpus: Path) -> dict[str, Path]:
    """The corpus: every markdown file below the folder by its name, in a fixed order."""
    return {p.relative_to(corpus).with_suffix("").as_posix(): p for p in sorted(corpus.rglob("*.md"))}


def revision(corpus: Path) -> str:
    """A hash of the corpus and of how it is cut."""
    told = hashlib.sha256(f"{SCHEMA}{passages.MAX_WORDS}{text.REVISION}".encode())
    for name, path in pages(corpus).items():
        told.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return told.hexdigest()[:12]


def path_for(corpus: Path, var: Path) -> Path:
    """Where the index of this corpus in this revision lies."""
    return var / "index" / f"{corpus.name}-{revision(corpus)}.db"


def build(corpus: Path, var: Path) -> Path:
    """Build the index unless it is there; a kill in the middle leaves no half index."""
    path = path_for(corpus, var)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    scratch.unlink(missing_ok=True)
    rows = [row for name, page in pages(corpus).items() for row in indexed(name, page)]
    connection = sqlite3.connect(scratch)
    with connection:
        connection.execute(SCHEMA)
        connection.executemany("insert into passage values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    connection.close()
    scratch.replace(path)
    return path


def indexed(name: str, page: Path) -> Iterator[tuple[str, ...]]:
    """The rows of one page: each passage with its stems."""
    try:
        markdown = page.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([Fault(page, "", f"not UTF-8 at byte {error.start}; save it as UTF-8")]) from error
    language = text.language(markdown)
    for passage in passages.from_page(name, markdown):
        searched = (passage.title, passage.heading, passage.text)
        stems = (" ".join(text.terms(part, language)) for part in searched)
        yield (*astuple(passage), language, *stems)


async def search(indexes: dict[str, Index], corpus: str, tenant: str, question: str, k: int) -> list[Passage]:
    """The passages of a corpus that fit best, for one tenant."""
    return indexes[corpus].search(question, k)
