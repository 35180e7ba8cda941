"""Find passages by BM25 in SQLite's own full-text index; the pages stay the source of truth."""

import hashlib
import os
import sqlite3
from dataclasses import astuple
from pathlib import Path

from app import passages, text
from app.passages import Passage

SCHEMA = """
create virtual table passage using fts5(
    page unindexed, title, heading, body, tokenize = "porter unicode61 remove_diacritics 2"
)
"""
# A word in a title says more about a passage than the same word in its text.
SEARCH = """
select page, title, heading, body from passage where passage match ?
order by bm25(passage, 0.0, 3.0, 2.0, 1.0), rowid limit ?
"""


class Index:
    """One corpus, opened for reading. `revision` names the exact pages it was built from."""

    def __init__(self, path: Path) -> None:
        self.revision = path.stem.rpartition("-")[2]
        self.connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)

    def search(self, question: str, k: int) -> list[Passage]:
        """The k passages that fit best, best first; none when no word of the question occurs."""
        wanted = dict.fromkeys(w for w in text.words(question) if w not in text.STOPWORDS)
        query = " OR ".join(f'"{word}"' for word in wanted)
        if not query:
            return []
        return [Passage(*row) for row in self.connection.execute(SEARCH, (query, k))]

    def close(self) -> None:
        """Release the file."""
        self.connection.close()


def revision(corpus: Path) -> str:
    """A hash of the corpus and of how it is cut."""
    told = hashlib.sha256(f"{SCHEMA}{passages.MAX_WORDS}".encode())
    for path in pages(corpus):
        told.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return told.hexdigest()[:12]


def pages(corpus: Path) -> list[Path]:
    """The corpus: every markdown file below the folder, in a fixed order."""
    return sorted(corpus.rglob("*.md"))


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
    rows = [astuple(passage) for page in pages(corpus) for passage in passages.from_page(page)]
    connection = sqlite3.connect(scratch)
    with connection:
        connection.execute(SCHEMA)
        connection.executemany("insert into passage values (?, ?, ?, ?)", rows)
    connection.close()
    scratch.replace(path)
    return path
