"""Count the answers of one route while they come, and sum them up."""

import math
import time
from collections import Counter
from dataclasses import dataclass, field

from load.seen import Seen
from load.work import Route


@dataclass
class Tally:
    """The answers to one route asked in one way; times in ms, seconds from the first answer on."""

    route: Route
    way: str
    started_s: float = field(default_factory=time.perf_counter)
    ended_s: float = 0
    took: list[tuple[int, float]] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    errors: int = 0
    refused: int = 0
    cached: int = 0
    said: Counter[str] = field(default_factory=Counter)

    def note(self, status: int, code: str, ms: float, *, cached: bool = False, first_ms: float = 0) -> None:
        """Count one answer; 400 to 499 is a refusal, which is no error and says nothing of speed."""
        self.ended_s = time.perf_counter()
        if status != 200:
            self.said[f"{status} {code}".strip() if status else code or "no connection"] += 1
        if 400 <= status < 500:
            self.refused += 1
            return
        self.errors += status != 200
        self.cached += cached
        self.took.append((int(self.ended_s - self.started_s), ms))
        if first_ms:
            self.first_ms.append(first_ms)

    def seen(self) -> Seen:
        """The sums."""
        times = sorted(ms for _, ms in self.took)
        first = sorted(self.first_ms)
        spent_s = max(self.ended_s - self.started_s, 0.001)
        return Seen(
            feature=self.route.feature, way=self.way, slow_ms=self.route.slow_ms,
            requests=len(times), errors=self.errors,
            slow=sum(ms > self.route.slow_ms for ms in times), refused=self.refused, cached=self.cached,
            per_s=round(len(times) / spent_s, 1), p50_ms=quantile(times, 0.5), p95_ms=quantile(times, 0.95),
            p99_ms=quantile(times, 0.99), first_p50_ms=quantile(first, 0.5) if first else None,
            first_p95_ms=quantile(first, 0.95) if first else None, said=dict(self.said),
            by_second=self.by_second(),
        )  # fmt: skip

    def by_second(self) -> list[float | None]:
        """The p95 of each whole second; nothing where nothing was answered."""
        groups: dict[int, list[float]] = {}
        for second, ms in self.took:
            groups.setdefault(second, []).append(ms)
        return [
            quantile(sorted(groups[s]), 0.95) if s in groups else None
            for s in range(max(groups, default=-1) + 1)
        ]


def quantile(ordered: list[float], share: float) -> float:
    """The value that this share of an ordered list does not exceed (nearest rank); 0 of nothing."""
    return round(ordered[max(math.ceil(len(ordered) * share) - 1, 0)], 2) if ordered else 0.0
