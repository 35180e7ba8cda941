"""Run inside a rendered project with its extra `onnx`: recall and latency of the app's own search.

Arguments: the encoder's folder, a folder for vectors, rows, questions. Prints JSON for benchmarks.retrieval.
"""

import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sentences

from app import embed, indexing, library, settings, vectors
from app.cache import Answers
from app.embed import Encoder
from app.library import Library
from app.models import Model
from app.shelf import Source

TENANTS, CLIENTS, K = 50, 4, 10
# One tenant has this part of all rows; the others share the rest by 1, 1/2, 1/3 ...
LARGEST = 0.4
BATCH, CONTEXT, PAGE, SEED = 64, 128, 500, 7
SWEEP = (5_000, 10_000, 20_000, 50_000, 100_000)
ROUNDS = 3


class Known(Encoder):
    """The encoder with the vectors that it gave before: what is measured is the search."""

    def __init__(self, model: Model, vector_of: dict[str, bytes]) -> None:
        super().__init__("e", model, self.passages, settings.load(auth="open"))
        self.vector_of = vector_of

    async def passages(self, texts: list[str]) -> list[bytes]:
        """The vectors of passages, whose last line is the sentence."""
        return [self.vector_of[text.rpartition("\n")[2]] for text in texts]

    async def vector(self, text: str) -> bytes:
        """A question's vector."""
        return self.vector_of[text]


@dataclass(frozen=True)
class Asked:
    """A question, whose it is, and the sentences that are nearest by exact float32 arithmetic."""

    text: str
    vector: bytes
    source: Source
    nearest: frozenset[str]


def main() -> None:
    """Encode, build, ask, print."""
    folder, kept, rows, questions = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    model = Model(provider="onnx", kind="embedding", path=str(folder), context=CONTEXT)
    texts = sentences.collect(rows + questions)
    matrix = encoded(model, texts, kept)
    with tempfile.TemporaryDirectory() as work:
        told = asyncio.run(measure(Path(work), model, texts, matrix, questions))
    print(json.dumps(told | {"rows": len(texts) - questions, "tenants": TENANTS}))


def encoded(model: Model, texts: list[str], kept: Path) -> Any:
    """The texts' vectors, by the app's own encoder; those that an earlier run made are kept in files."""
    names, numbers = kept / "sentences.json", kept / "vectors.npy"
    known = json.loads(names.read_text(encoding="utf-8")) if numbers.exists() else []
    vector_of = dict(zip(known, np.load(numbers), strict=True)) if known else {}
    new, started = sorted({*texts} - {*vector_of}, key=len), time.perf_counter()

    async def run() -> None:
        call = embed.local(model)
        for part in (new[start : start + BATCH] for start in range(0, len(new), BATCH)):
            vector_of.update(zip(part, (np.frombuffer(v, "<f4") for v in await call(part)), strict=True))

    if new:
        asyncio.run(run())
        print(f"encoded {len(new)} sentences in {time.perf_counter() - started:.0f} s", file=sys.stderr)
        np.save(numbers, np.stack([*vector_of.values()]))
        names.write_text(json.dumps([*vector_of]), encoding="utf-8")
    return np.stack([vector_of[text] for text in texts])


async def measure(work: Path, model: Model, texts: list[str], matrix: Any, questions: int) -> dict[str, Any]:
    """Build one index a tenant, and ask all questions with CLIENTS at once."""
    encoder = Known(model, {text: row.tobytes() for text, row in zip(texts, matrix, strict=True)})
    owned, started = shares(len(texts) - questions), time.perf_counter()
    sources = [Source(work / "corpus", work, "e", model.pin, f"t{number:02}") for number in range(TENANTS)]
    for source, part in zip(sources, owned, strict=True):
        write(source, texts[part])
        await indexing.build(source, encoder, lambda *_: None)
    built_s = time.perf_counter() - started
    asked = list(ask(texts, matrix, sources, owned, questions))
    opened = Library({"e": encoder}, Answers(""))
    results = {"vectors": await rounds(asked, near(opened)), "search": await rounds(asked, search(opened))}
    largest = [one for one in asked if one.source is sources[0]]
    results["vectors of the largest tenant"] = await rounds(largest, near(opened))
    opened.close()
    sizes = [part.stop - part.start for part in owned]
    told = {"built_s": built_s, "largest": sizes[0], "smallest": sizes[-1], "results": results}
    return told | {"sweep": await sweep(texts, matrix, questions)}


def shares(rows: int) -> list[slice]:
    """Which rows belong to which tenant."""
    parts = [1 / rank for rank in range(1, TENANTS)]
    weights = [LARGEST, *((1 - LARGEST) * part / sum(parts) for part in parts)]
    ends = [round(rows * sum(weights[: number + 1])) for number in range(TENANTS)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def write(source: Source, texts: list[str]) -> None:
    """Write a tenant's pages: each sentence is a passage of its own."""
    source.folder.mkdir(parents=True)
    for start in range(0, len(texts), PAGE):
        parts = [f"## {start + number}\n\n{text}" for number, text in enumerate(texts[start : start + PAGE])]
        (source.folder / f"{start:06}.md").write_text("\n\n".join(parts), encoding="utf-8")


def ask(texts: list[str], matrix: Any, sources: list[Source], owned: list[slice], questions: int) -> Any:
    """The held-out sentences, each as a question of a tenant: a larger one asks more."""
    weights = [part.stop - part.start for part in owned]
    chosen = random.Random(SEED).choices(range(TENANTS), weights, k=questions)
    for number, tenant in zip(range(len(texts) - questions, len(texts)), chosen, strict=True):
        part = owned[tenant]
        best = np.argsort(-(matrix[part] @ matrix[number]))[:K] + part.start
        yield Asked(
            texts[number], matrix[number].tobytes(), sources[tenant], frozenset(texts[row] for row in best)
        )


Found = Callable[[Asked], Awaitable[list[str]]]


def near(opened: Library) -> Found:
    """The sentences that vectors alone find, on the loop or in a thread as the app does it."""

    async def find(one: Asked) -> list[str]:
        index = await opened.index(one.source)
        inline = index.size <= library.INLINE_PASSAGES
        hits = index.near(one.vector) if inline else await asyncio.to_thread(index.near, one.vector)
        rows = [row for _, row in hits[:K]]
        read = index.passages(rows)
        return [read[row].text for row in rows]

    return find


def search(opened: Library) -> Found:
    """What a request finds: words and vectors, ranked together."""

    async def find(one: Asked) -> list[str]:
        return [passage.text for passage in (await opened.search(one.source, one.text, K, "", 0)).passages]

    return find


async def rounds(asked: list[Asked], find: Found) -> dict[str, float]:
    """Recall against the exact nearest, hits of other tenants, and milliseconds; the first round warms up."""
    spent: list[float] = []
    found: dict[str, list[str]] = {}
    for _ in range(ROUNDS):
        waiting = iter(asked)
        spent = []

        async def client(waiting: Any = waiting, spent: list[float] = spent) -> None:
            for one in waiting:
                started = time.perf_counter()
                found[one.text] = await find(one)
                spent.append((time.perf_counter() - started) * 1000)

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
    recall = statistics.mean(len(one.nearest & {*found[one.text]}) / len(one.nearest) for one in asked)
    owned = {one.source.tenant: pages(one.source) for one in asked}
    foreign = sum(text not in owned[one.source.tenant] for one in asked for text in found[one.text])
    cuts = statistics.quantiles(spent, n=20)
    return {"recall": recall, "foreign": foreign, "p50_ms": statistics.median(spent), "p95_ms": cuts[-1]}


def pages(source: Source) -> str:
    """All that a tenant's pages say."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(source.folder.glob("*.md")))


async def sweep(texts: list[str], matrix: Any, questions: int) -> list[dict[str, float]]:
    """One index of so many rows, exact and by a graph: what EXACT_ROWS is read from."""
    rows, told = len(texts) - questions, []
    for size in [size for size in SWEEP if size <= rows]:
        started = time.perf_counter()
        graph = vectors.usearch()(ndim=matrix.shape[1], expansion_search=128, **vectors.GRAPH)
        graph.add(range(size), matrix[:size])
        built_s = time.perf_counter() - started
        flat, hnsw = vectors.exact(list(range(size)), matrix[:size]), vectors.quick(graph)
        asked = [row.tobytes() for row in matrix[rows : rows + 200]]
        exact = await timed(flat, asked)
        quick = await timed(hnsw, asked)
        same = [{row for _, row in flat(one, K)} & {row for _, row in hnsw(one, 50)[:K]} for one in asked]
        recall = statistics.mean(len(each) / K for each in same)
        told.append({"rows": size, "exact": exact, "graph": quick, "recall": recall, "built_s": built_s})
    return told


async def timed(near: vectors.Near, asked: list[bytes]) -> float:
    """The p95 of CLIENTS at once, in ms."""
    for _ in range(2):
        waiting, spent = iter(asked), []

        async def client(waiting: Any = waiting, spent: list[float] = spent) -> None:
            for one in waiting:
                started = time.perf_counter()
                await asyncio.to_thread(near, one, 50)
                spent.append((time.perf_counter() - started) * 1000)

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return statistics.quantiles(spent, n=20)[-1]


if __name__ == "__main__":
    main()
