"""What a run showed: tokens, latency, incidents and bad releases, and intervals over seeds."""

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.case_study.drive import Run, Seen
from benchmarks.case_study.project import PRICE

# Student's t, two-sided 95 %, by degrees of freedom.
T95 = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}
# A minute is bad when so many of its requests failed or were answered wrong, or its p95 is above this.
MAX_BAD, MAX_P95_S = 0.05, 12.0
# Fewer requests in a minute say nothing of it.
LEAST = 20


@dataclass(frozen=True)
class Measured:
    """One run. Tokens and dollars are of a thousand requests, whatever the provider was asked for them."""

    requests: int
    tokens: float
    usd: float
    p50_s: float
    p95_s: float
    failed: float
    wrong: float
    incidents: float
    bad_minutes: float
    touched: float


def measure(run: Run) -> Measured:
    """All numbers of a run; incidents and minutes are per hour of the trace."""
    count, hours = len(run.seen), max(one.at_s for one in run.seen) / 3600
    took = [one.took_s for one in run.seen if one.status == 200]
    read, written = sum(one[1] for one in run.took), sum(one[2] for one in run.took)
    bad = bad_minutes(run.seen)
    return Measured(
        requests=count, tokens=1000 * (read + written) / count,
        usd=1000 * (read * PRICE[0] + written * PRICE[1]) / 1e6 / count,
        p50_s=rank(took, 0.5), p95_s=rank(took, 0.95),
        failed=sum(one.status != 200 for one in run.seen) / count,
        wrong=sum(one.is_wrong for one in run.seen) / count,
        incidents=sum(minute - 1 not in bad for minute in bad) / hours, bad_minutes=len(bad) / hours,
        touched=run.touched,
    )  # fmt: skip


def bad_minutes(seen: Sequence[Seen]) -> set[int]:
    """The minutes in which the service was not what was promised; neighbours are one incident."""
    minutes: dict[int, list[Seen]] = defaultdict(list)
    for one in seen:
        minutes[int(one.at_s // 60)].append(one)
    return {minute for minute, held in minutes.items() if len(held) >= LEAST and is_bad(held)}


def is_bad(held: Sequence[Seen]) -> bool:
    """Whether callers of one minute were let down."""
    missed = sum(one.status != 200 or one.is_wrong for one in held)
    return missed > MAX_BAD * len(held) or rank([one.took_s for one in held], 0.95) > MAX_P95_S


def rank(values: Sequence[float], share: float) -> float:
    """A percentile, nearest rank."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan


def change(off: Sequence[float], on: Sequence[float]) -> tuple[float, float, float]:
    """How much less: 1 - on/off of the sums, and its 95 % interval over seeds (delta method, paired)."""
    below = sum(off)
    if not below:
        return math.nan, math.nan, math.nan
    ratio, count = sum(on) / below, len(off)
    if count < 2:
        return 1 - ratio, math.nan, math.nan
    apart = [b - ratio * a for a, b in zip(off, on, strict=True)]
    wide = T95[count - 1] * statistics.stdev(apart) * math.sqrt(count) / below
    return 1 - ratio, 1 - ratio - wide, 1 - ratio + wide


def mean(values: Sequence[float]) -> tuple[float, float]:
    """The mean and half its 95 % interval over seeds."""
    count = len(values)
    half = T95[count - 1] * statistics.stdev(values) / math.sqrt(count) if count > 1 else math.nan
    return statistics.fmean(values), half
