"""Find passages: by words with BM25 in SQLite's own full-text index, by vectors, or by both."""

import sqlite3
import weakref
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from app import pgindex, shelf, text, vectors
from app.passages import Passage
from app.spec import AUTO, Nearest

# Pages in the question's language come first; a word in a title says more than the same word in the text.
SEARCH = """
select rowid from passage where passage match ?
order by rowid % 8 = ? desc, bm25(passage, 0, 0, 0, 0, 0, 3.0, 2.0, 1.0), rowid limit ?
"""
# Reciprocal rank fusion (Cormack et al., 2009): the constant is theirs.
RRF_K = 60
DEPTH = 50


class Index:
    """One index, opened for reading; its file is closed with it, or when nothing uses it any more."""

    def __init__(self, path: Path, way: Nearest = AUTO) -> None:
        self.path = path
        # Without its cache of statements: from Python 3.12 on threads that ask at once would share one, and
        # answer with each other's rows.
        self.connection = sqlite3.connect(
            f"file:{path}?mode=ro", uri=True, check_same_thread=False, cached_statements=0
        )
        self.close = weakref.finalize(self, self.connection.close)
        self.size: int = self.connection.execute("select count(*) from passage").fetchone()[0]
        self.vectors = vectors.load(self.connection, path, way)

    def words(self, question: str) -> list[int]:
        """The rows that fit best by their words, best first; none when no word of the question occurs."""
        language = text.language(question)
        query = " OR ".join(f'"{stem}"' for stem in dict.fromkeys(text.terms(question, language)))
        if not query:
            return []
        asked = query, shelf.LANGUAGES.index(language), DEPTH
        return [row for (row,) in self.connection.execute(SEARCH, asked)]

    def near(self, vector: bytes) -> list[tuple[float, int]]:
        """The rows whose vectors are nearest, with the cosine, the nearest first."""
        return self.vectors(vector, DEPTH) if self.vectors else []

    def passages(self, rows: list[int]) -> dict[int, Passage]:
        """Passages by their rows."""
        query = "select page, title, heading, body from passage where rowid = ?"
        return {row: Passage(*self.connection.execute(query, (row,)).fetchone()) for row in rows}


AnyIndex = Index | pgindex.Index


def search(indexes: Sequence[AnyIndex], question: str, vector: bytes, k: int) -> list[Passage]:
    """The k passages that fit best in all indexes together; without a vector by their words alone."""
    rankings = [[(index, row) for row in index.words(question)] for index in indexes]
    if vector:
        near = [(cosine, index, row) for index in indexes for cosine, row in index.near(vector)]
        near.sort(key=lambda hit: -hit[0])
        rankings.append([(index, row) for _, index, row in near[:DEPTH]])
    scores: defaultdict[tuple[AnyIndex, int], float] = defaultdict(float)
    for ranking in rankings:
        for rank, hit in enumerate(ranking, start=1):
            scores[hit] += 1 / (RRF_K + rank)
    best = sorted(scores, key=lambda hit: -scores[hit])[:k]
    read = {index: index.passages([row for of, row in best if of is index]) for index in indexes}
    return [read[index][row] for index, row in best]
