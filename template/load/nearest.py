"""Try ways to find the nearest vectors on one index: many questions at once, by the app's own search."""

import shutil
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from app import retrieve, vectors
from app.spec import Nearest
from gate import stats

K, ROUNDS = 10, 3
# A search takes the 50 nearest: a smaller ef would change nothing.
DIMS, RERANKS, EFS = (256, 128, 64), (50, 100), (64, 128, 256, 512)


@dataclass(frozen=True)
class Seen:
    """What one way gave on one index: recall@10 with its lower 95 % bound, and what the way costs there."""

    where: str
    rows: int
    way: Nearest
    recall: float
    low: float
    p50_ms: float
    p95_ms: float
    memory_mb: float
    built_s: float

    def __str__(self) -> str:
        """A way and its numbers, in a line."""
        recall = f"recall@10 {self.recall:.4f} (surely above {self.low:.4f})"
        return f"{name(self.way)}: {recall}, p95 {self.p95_ms:.1f} ms, {self.memory_mb:.1f} MB"


def ways(width: int, cut: Literal["pca", "first"]) -> list[Nearest]:
    """Every way that is tried on vectors of this width; the app serves each of them."""
    depths = (0, *RERANKS) if cut == "first" else RERANKS
    few = [Nearest(cut=cut, dims=dims, rerank=depth) for dims in DIMS if dims < width for depth in depths]
    flat = [cap.model_copy(update={"index": "flat"}) for cap in (Nearest(), *few)]
    return flat + [way.model_copy(update={"index": "hnsw", "ef": ef}) for way in flat for ef in EFS]


def tried(path: Path, where: str, now: Nearest, cut: Any, asked: list[bytes], clients: int) -> Iterator[Seen]:
    """Every way, and the present one, on copies of an index; none without the graph that it needs."""
    import numpy as np

    with closing(sqlite3.connect(path)) as db:
        rows, matrix = vectors.read(db)
    scores = np.stack([vectors.numbers(vector, matrix.shape[1]) for vector in asked]) @ matrix.T
    with TemporaryDirectory() as folder:
        for way in dict.fromkeys([*ways(matrix.shape[1], cut), now]):
            copy = Path(folder, f"{way.index}-{way.dims}-{way.cut}.db")
            built_s = built(path, copy, way)
            graph = copy.with_suffix(".graph")
            if way.index == "hnsw" and not graph.exists():
                continue
            with closing(retrieve.Index(copy, way)) as index:
                found, p50_ms, p95_ms = timed(index.near, asked, clients)
            held = graph.stat().st_size if graph.exists() else 4 * len(rows) * (way.dims or matrix.shape[1])
            recalls = agreement(scores, rows, found)
            recall, low = statistics.fmean(recalls), bound(recalls, is_exact=not (graph.exists() or way.dims))
            yield Seen(where, len(rows), way, recall, low, p50_ms, p95_ms, held / 1e6, built_s)


def built(path: Path, copy: Path, way: Nearest) -> float:
    """Seconds to build what a way needs beside a copy of the index; what was built before is kept."""
    note = copy.with_suffix(".seconds")
    if not note.exists():
        shutil.copy(path, copy)
        with closing(sqlite3.connect(copy)) as db:
            db.execute("drop table if exists axes")
            started = time.perf_counter()
            vectors.write(db, copy, way)
        note.write_text(str(time.perf_counter() - started), encoding="utf-8")
    return float(note.read_text(encoding="utf-8"))


def agreement(scores: Any, rows: list[int], found: list[list[tuple[float, int]]]) -> list[float]:
    """The part of each question's ten nearest that was found.

    Passages of one text are equally near: whichever of them is found is right.
    """
    import numpy as np

    k = min(K, len(rows))
    bars = np.partition(scores, -k)[:, -k] - 1e-6
    places = [np.searchsorted(rows, [row for _, row in hits[:k]]) for hits in found]
    return [float((scores[n, place] >= bars[n]).sum() / k) for n, place in enumerate(places)]


def bound(recalls: list[float], *, is_exact: bool) -> float:
    """The lower 95 % bound of recall, with one more question that finds nothing: few questions prove little.

    Comparing with every whole vector is what recall is measured against, and needs no proof.
    """
    return stats.interval(recalls if is_exact else [*recalls, 0.0])[0]


def timed(find: Callable[[Any], Any], asked: list[Any], clients: int) -> tuple[list[Any], float, float]:
    """What is found, and p50 and p95 in ms when so many ask at once.

    They are those of the quietest of three rounds: what else runs on a machine only adds to them.
    """

    def once(one: Any) -> tuple[Any, float]:
        started = time.perf_counter()
        return find(one), (time.perf_counter() - started) * 1000

    with ThreadPoolExecutor(clients) as pool:
        rounds = [list(pool.map(once, asked)) for _ in range(ROUNDS)]
    spent = [[ms for _, ms in each] for each in rounds]
    p95_ms = min(statistics.quantiles(ms, n=20)[-1] if len(ms) > 1 else ms[0] for ms in spent)
    return [found for found, _ in rounds[-1]], min(map(statistics.median, spent)), p95_ms


def overall(seen: list[Seen]) -> list[Seen]:
    """Each way on all indexes together: the worst recall and speed, the sum of memory and time to build."""
    return [together([one for one in seen if one.way == way]) for way in dict.fromkeys(s.way for s in seen)]


def together(seen: list[Seen]) -> Seen:
    """One way on several indexes as one row."""
    return replace(
        seen[0],
        where="all",
        rows=max(one.rows for one in seen),
        recall=min(one.recall for one in seen),
        low=min(one.low for one in seen),
        p50_ms=max(one.p50_ms for one in seen),
        p95_ms=max(one.p95_ms for one in seen),
        memory_mb=sum(one.memory_mb for one in seen),
        built_s=sum(one.built_s for one in seen),
    )


def name(way: Nearest) -> str:
    """A way in few words."""
    parts = [way.index, f"ef {way.ef}" if way.index == "hnsw" else ""]
    if way.dims:
        parts += [f"{'PCA' if way.cut == 'pca' else 'first'} {way.dims}"]
        parts += [f"rerank {way.rerank}" if way.rerank else ""]
    return " ".join(part for part in parts if part)
