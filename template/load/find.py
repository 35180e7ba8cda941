"""Ask a feature's golden questions of its own pages: every way to find them, and the search as it is."""

import re
import sqlite3
import statistics
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx2

from app import retrieve, services
from app.features import Feature
from app.services import Plan
from app.shelf import Source
from app.spec import Nearest, Retrieval
from gate import cases, stats
from load import nearest
from load.nearest import Seen

# Where a feature has fewer golden questions, sentences of its pages are asked too.
ASKED = 200
# Beside the corpus, so many tenants are measured: those with the most pages.
TENANTS = 5
END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Finding:
    """What was measured of one feature, whose way was chosen at so many rows (0: never).

    `hits`: whether the page of each golden case was among the k.
    """

    feature: str
    now: Nearest
    chosen_rows: int
    golden: int
    sentences: int
    unmeasured: int
    seen: list[Seen]
    hits: list[float]
    p50_ms: float
    p95_ms: float

    def __str__(self) -> str:
        """The search as a whole, in a line."""
        share, (low, high) = statistics.fmean(self.hits or [0]), stats.interval(self.hits)
        found = f"right page found for {share:.3f} [{low:.3f}, {high:.3f}] of {len(self.hits)} questions"
        return f"search p95 {self.p95_ms:.1f} ms; {found if self.hits else 'no golden case names a page'}"


async def measure(plan: Plan, feature: Feature, wanted: Retrieval, clients: int) -> Finding:
    """Measure one feature on its indexes, which are built where they are not there yet."""
    source, built = plan.source(wanted), await services.index(plan, "", lambda *_: None)
    golden = [case for case in cases.load(feature, "golden").cases if wanted.query in case.inputs]
    asked = [str(case.inputs[wanted.query]) for case in golden]
    owned = [one for one in built if one.of("") == source]
    owned.sort(key=lambda one: (one.tenant != "", -built[one].stat().st_size))
    measured = [built[one] for one in owned[: 1 + TENANTS]] if source.encoder else []
    more = sentences(measured, max(0, ASKED - len(asked)))
    now = wanted.nearest.model_copy(update={"rows": 0, "on": None})
    vectors = await encoded(plan, source, asked + more)
    cut = "first" if source.encoder and plan.registry.models[source.encoder].matryoshka else "pca"
    seen = [
        row
        for one, path in zip(owned, measured, strict=False)
        for row in nearest.tried(path, one.tenant, now, cut, vectors, clients)
    ]
    pairs = list(zip(asked, vectors, strict=False))
    with closing(retrieve.Index(built[source], wanted.nearest)) as index:
        found, *ms = nearest.timed(
            lambda pair: retrieve.search([index], pair[0], pair[1], wanted.k), pairs, clients
        )
    pages = [{passage.page for passage in passages} for passages in found]
    aims = [case.expected_output.page for case in golden]
    hits = [float(aim in given) for aim, given in zip(aims, pages, strict=True) if aim]
    counts = len(asked), len(more), len(owned) - len(measured)
    return Finding(feature.name, now, wanted.nearest.rows, *counts, seen, hits, *ms)


async def encoded(plan: Plan, source: Source, texts: list[str]) -> list[bytes]:
    """The texts' vectors; nothing for each where words alone are searched."""
    if not source.encoder:
        return [b""] * len(texts)
    async with httpx2.AsyncClient() as http:
        encoder = services.encoders(plan, http)[source.encoder]
        parts = [texts[start : start + encoder.size] for start in range(0, len(texts), encoder.size)]
        return [vector for part in parts for vector in await encoder.vectors(part)]


def sentences(paths: list[Path], count: int) -> list[str]:
    """The longest sentence of so many passages, spread evenly over these indexes."""
    bodies: list[str] = []
    for path in paths:
        with closing(sqlite3.connect(path)) as db:
            bodies += [body for (body,) in db.execute("select body from passage order by rowid")]
    step = max(1, len(bodies) // max(1, count))
    return [max(END.split(body), key=len) for body in bodies[::step][:count]]
