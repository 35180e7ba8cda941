"""Find the nearest of many vectors: all are compared while that is fast, above that a graph leads to them.

A vector is the bytes of its float32 numbers, of length 1, so that a product is the cosine.
"""

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from app import files
from app.errors import EncoderDown
from app.spec import Nearest

# Gives the nearest rows with their cosine, the nearest first.
Near = Callable[[bytes, int], list[tuple[float, int]]]
# With four clients at once the p95 of comparing all grows with the rows, from here on past that of a graph.
EXACT_ROWS = 5_000
# M of HNSW; its ef is chosen, 100,000 rows of real text need 128, clusters made up 16; int8 loses too much.
GRAPH: dict[str, Any] = {"metric": "cos", "dtype": "f16", "connectivity": 16, "expansion_add": 128}
ROWS = "select passage.rowid, value from passage join vector using (hash) order by passage.rowid"
SOME = ROWS.replace("order", "where passage.rowid in (select value from json_each(?)) order")


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


def read(connection: sqlite3.Connection, query: str = ROWS, *given: str) -> tuple[list[int], Any]:
    """The rows of an index that have vectors, and these as a matrix."""
    if not (found := connection.execute(query, given).fetchall()):
        return [], None
    import numpy as np

    numbers = np.frombuffer(b"".join(value for _, value in found), "<f4")
    return [row for row, _ in found], numbers.reshape(len(found), -1)


def write(connection: sqlite3.Connection, index: Path, way: Nearest) -> None:
    """Write what this way needs, axes into an index and a graph beside it, before it takes its place."""
    rows, matrix = read(connection)
    if rows and way.dims:
        axes = axes_of(matrix, way)
        connection.execute("create table axes as select ? as width, ? as value", (len(axes), axes.tobytes()))
        matrix = matrix @ axes
    if way.index == "flat" or len(rows) <= (0 if way.index == "hnsw" else EXACT_ROWS):
        return
    try:
        graph = usearch()(ndim=matrix.shape[1], **GRAPH)
    except ImportError:  # no wheel for this machine: all vectors are compared
        return
    graph.add(rows, matrix)
    scratch = index.with_suffix(f".{os.getpid()}.tmp")
    graph.save(scratch)
    files.publish(scratch, index.with_suffix(".graph"))


def axes_of(matrix: Any, way: Nearest) -> Any:
    """The axes along which few numbers keep most of a product (PCA, not around the mean), or the first."""
    import numpy as np

    axes = np.eye(matrix.shape[1]) if way.cut == "first" else np.linalg.eigh(-matrix.T @ matrix)[1]
    return axes[:, : way.dims].astype("<f4")


def load(connection: sqlite3.Connection, index: Path, way: Nearest) -> Near | None:
    """What finds neighbours in an index; None where it has no vectors."""
    graph, near = index.with_suffix(".graph"), None
    if graph.exists():
        with suppress(ImportError, RuntimeError):  # not installed here, or not its file
            near = quick(usearch()(**GRAPH, expansion_search=way.ef, path=graph, view=True))
    rows, matrix = ([], None) if near else read(connection)
    if not (near or rows):
        return None
    if not way.dims:
        return near or exact(rows, matrix)
    width, value = connection.execute("select width, value from axes").fetchone()
    axes = numbers(value, len(value) // 4).reshape(width, -1)
    return refined(near or exact(rows, matrix @ axes), connection, axes, way.rerank)


def refined(near: Near, connection: sqlite3.Connection, axes: Any, depth: int) -> Near:
    """Look along the axes alone, then compare all numbers of the `depth` nearest, if any."""

    def found(vector: bytes, k: int) -> list[tuple[float, int]]:
        hits = near((numbers(vector, len(axes)) @ axes).tobytes(), max(k, depth))
        if not hits or not depth:  # a graph finds nothing near a question without a direction
            return hits
        return exact(*read(connection, SOME, json.dumps([row for _, row in hits])))(vector, k)

    return found
