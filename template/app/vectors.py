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
EXACT_ROWS = 10_000
# M and ef of HNSW: real text needs ef 64 where synthetic clusters pass with 16; int8 loses too much.
GRAPH: dict[str, Any] = {"metric": "cos", "dtype": "f16", "connectivity": 16}
GRAPH |= {"expansion_add": 128, "expansion_search": 64}
ROWS = "select value from passage join vector using (hash) order by passage.rowid"


def exact(matrix: Any) -> Near:
    """Compare with every row."""
    import numpy as np

    def near(vector: bytes, k: int) -> list[tuple[float, int]]:
        # Not `@`: its threads wait for each other where several questions come at once.
        scores = np.vecdot(matrix, numbers(vector, matrix.shape[1]))
        best = scores.argpartition(-min(k, len(scores)))[-k:]
        return sorted(((float(scores[row]), int(row) + 1) for row in best), key=lambda hit: (-hit[0], hit[1]))

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


def read(connection: sqlite3.Connection) -> Any:
    """The vectors of an index as a matrix, one row a passage; None where it has none."""
    if not (rows := [value for (value,) in connection.execute(ROWS)]):
        return None
    import numpy as np

    return np.frombuffer(b"".join(rows), "<f4").reshape(len(rows), -1)


def write(connection: sqlite3.Connection, index: Path) -> None:
    """Write the graph beside an index that needs one, before the index itself takes its place."""
    if (matrix := read(connection)) is None or len(matrix) <= EXACT_ROWS:
        return
    try:
        graph = usearch()(ndim=matrix.shape[1], **GRAPH)
    except ImportError:  # no wheel for this machine: all vectors are compared
        return
    graph.add(range(1, len(matrix) + 1), matrix)
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
    matrix = read(connection)
    return None if matrix is None else exact(matrix)
