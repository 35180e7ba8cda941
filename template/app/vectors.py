"""Find the nearest of many vectors: all are compared while that is fast, above that a graph leads to them.

A vector is the bytes of its float32 numbers, of length 1, so that a product is the cosine.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from app import files
from app.errors import EncoderDown

# Gives the nearest rows with their cosine, the nearest first.
Near = Callable[[bytes, int], list[tuple[float, int]]]
# With four clients at once the p95 of comparing all grows with the rows, from here on past that of a graph.
EXACT_ROWS = 5_000
# M and ef of HNSW: 100,000 rows of real text need ef 128, clusters made up 16; int8 loses too much.
GRAPH: dict[str, Any] = {"metric": "cos", "dtype": "f16", "connectivity": 16}
GRAPH |= {"expansion_add": 128, "expansion_search": 128}
ROWS = "select passage.rowid, value from passage join vector using (hash) order by passage.rowid"


def exact(rows: list[int], matrix: Any) -> Near:
    """Compare with the vector of every row."""
    import numpy as np

    def near(vector: bytes, k: int) -> list[tuple[float, int]]:
        # Not `@`: its threads wait for each other where several questions come at once.
        scores = np.vecdot(matrix, numbers(vector, matrix.shape[1]))
        best = scores.argpartition(-min(k, len(scores)))[-k:]
        return sorted(((float(scores[n]), rows[n]) for n in best), key=lambda hit: (-hit[0], hit[1]))

    return near


def quick(graph: Any) -> Near:
    """Follow an HNSW graph."""

    def near(vector: bytes, k: int) -> list[tuple[float, int]]:
        found = graph.search(numbers(vector, graph.ndim), k, threads=1)
        return [(1 - float(far), int(key)) for key, far in zip(found.keys, found.distances, strict=True)]

    return near


def usearch() -> Any:
    """The type of a graph; raise ImportError where the package is missing."""
    with suppress(ImportError):
        import onnxruntime  # noqa: F401  # loaded after usearch, it ends the process
    from usearch.index import Index

    return Index


def numbers(vector: bytes, width: int) -> Any:
    """The vector as an array; raise EncoderDown where the index holds others."""
    import numpy as np

    if len(vector) != 4 * width:
        what = f"a question's vector has {len(vector) // 4} numbers, the index {width}"
        raise EncoderDown(f"{what}; give the model a revision in models.toml, then: uv run app index")
    return np.frombuffer(vector, "<f4")


def read(connection: sqlite3.Connection) -> tuple[list[int], Any]:
    """The rows of an index that have vectors, and these as a matrix."""
    if not (found := connection.execute(ROWS).fetchall()):
        return [], None
    import numpy as np

    numbers = np.frombuffer(b"".join(value for _, value in found), "<f4")
    return [row for row, _ in found], numbers.reshape(len(found), -1)


def write(connection: sqlite3.Connection, index: Path) -> None:
    """Write the graph beside an index that needs one, before the index itself takes its place."""
    rows, matrix = read(connection)
    if len(rows) <= EXACT_ROWS:
        return
    try:
        graph = usearch()(ndim=matrix.shape[1], **GRAPH)
    except ImportError:  # no wheel for this machine: all vectors are compared
        return
    graph.add(rows, matrix)
    scratch = index.with_suffix(f".{os.getpid()}.tmp")
    graph.save(scratch)
    files.publish(scratch, index.with_suffix(".graph"))


def load(connection: sqlite3.Connection, index: Path) -> Near | None:
    """What finds neighbours in an index; None where it has no vectors."""
    graph = index.with_suffix(".graph")
    if graph.exists():
        try:
            return quick(usearch()(**GRAPH, path=graph, view=True))
        except (ImportError, RuntimeError):  # not installed here, or not its file
            pass
    rows, matrix = read(connection)
    return exact(rows, matrix) if rows else None
