"""Judge how features find their passages, and choose the cheapest way that keeps the promise."""

import asyncio
import math
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import tomlkit

from app import files
from app.features import Feature
from app.services import Plan
from gate import report
from gate.judge import Verdict, Word
from load import find, frontier, nearest
from load.nearest import Seen

# A choice holds until an index has grown by this factor.
GROWTH = 1.5


@dataclass(frozen=True)
class Promise:
    """Recall@10 above this, and p95 below that with so many searches at once."""

    recall: float
    p95_ms: float
    clients: int

    def kept(self, seen: Seen) -> bool:
        """Whether a way keeps it; of its recall the lower 95 % bound counts."""
        return seen.low > self.recall and seen.p95_ms < self.p95_ms


def run(plan: Plan, features: list[Feature], promise: Promise, *, write: bool) -> list[Verdict]:
    """Measure the features that search, write the reports, and with `write` each choice to feature.toml."""
    told: list[dict[str, Any]] = []
    for feature, wanted in [(one, one.spec.retrieval) for one in features if one.spec.retrieval]:
        found = asyncio.run(find.measure(plan, feature, wanted, promise.clients))
        ways = nearest.overall(found.seen)
        now = next((one for one in ways if one.way == found.now), None)
        best = cheapest(ways, promise)
        if write and best:
            save(feature.folder / "feature.toml", best)
            now, found = best, replace(found, now=best.way, chosen_rows=best.rows)
        verdict = judge(found, now, best, promise)
        told.append({"found": found, "ways": ways, "now": now, "best": best, "verdict": verdict})
    frontier.write(plan.settings.var_dir / report.FOLDER, told, promise)
    return [one["verdict"] for one in told]


def cheapest(ways: list[Seen], promise: Promise) -> Seen | None:
    """The way with the least memory that keeps the promise, in whole MB, then the one built soonest, in s."""
    kept = [one for one in ways if promise.kept(one) and one.way.index != "auto"]
    return min(kept, key=lambda one: (math.ceil(one.memory_mb), round(one.built_s)), default=None)


def save(path: Path, best: Seen) -> None:
    """Write a choice to feature.toml with its size and day; comments stay."""
    content: Any = tomlkit.parse(path.read_text(encoding="utf-8"))
    way = best.way.model_copy(update={"rows": best.rows, "on": date.today()})
    content["retrieval"].setdefault("nearest", tomlkit.table()).update(way.model_dump())
    files.write_atomic(path, tomlkit.dumps(content))


def judge(found: find.Finding, now: Seen | None, best: Seen | None, promise: Promise) -> Verdict:
    """Whether the present way, and the search as a whole, keep the promise; a choice may have become old."""
    fast = found.p95_ms < promise.p95_ms
    if now is None and found.seen:
        said = f"{nearest.name(found.now)} was not measured: it needs usearch (uv sync --extra vectors)"
        return Verdict(found.feature, "retrieval", "BLOCK", said)
    if now is None:
        said = f"{found}; words alone, nothing to choose"
        return Verdict(found.feature, "retrieval", "PASS" if fast else "BLOCK", said)
    lines = [f"cheapest way that will do: {best} (--write)" if best else "no way that was tried will do"]
    word: Word = "PASS" if found.chosen_rows else "NO BASELINE"
    if not (fast and promise.kept(now)):
        word = "BLOCK"
    if word == "PASS" and now.rows > GROWTH * found.chosen_rows:
        word = "INCONCLUSIVE"
        lines.append(f"chosen at {found.chosen_rows} passages, now {now.rows}: choose again (--write)")
    return Verdict(found.feature, "retrieval", word, f"{now}; {found}", tuple(lines))
