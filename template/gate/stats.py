"""The gate's arithmetic: paired by case, the same numbers on every run and in any order of the cases.

Pairing by case removes the spread between cases, which is most of the noise in an eval score.
Intervals: percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
Several slices: Benjamini and Hochberg, Controlling the False Discovery Rate (1995).
"""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDS = 2_000
SEED = 20_240_229
# Of the whole sets and of the slices each: together at most one false alarm in twenty runs.
SURE = 0.025
# The share of cases that flip without a cause, where a run shows none.
CHURN = 0.06
Z = 1.96  # of a 95 % interval
QUANTILES = {"median": 0.5, "p95": 0.95}
Numbers = NDArray[np.float64]
Range = tuple[float, float]  # low and high


def drawn(pairs: Sequence[tuple[float, ...]]) -> Numbers:
    """ROUNDS samples of as many cases, with replacement: an array of rounds x cases x columns."""
    held = np.array(sorted(pairs), dtype=np.float64)  # the order of the cases must not move the draw
    chance = np.random.default_rng(SEED)  # a fixed seed on purpose: the verdict must repeat
    picked: Numbers = held[chance.integers(0, len(held), (ROUNDS, len(held)))]
    return picked


def interval(values: list[float], statistic: Callable[[list[float]], float] = statistics.fmean) -> Range:
    """The 95 % interval of a statistic; a point where there is no spread, 0 where there is nothing."""
    if not values:
        return 0.0, 0.0
    rounds = drawn([(v,) for v in values])[:, :, 0]
    found = rounds.mean(axis=1) if statistic is statistics.fmean else [statistic(list(r)) for r in rounds]
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def usual(values: Iterable[float | None]) -> dict[str, float]:
    """Median and p95 of what is known; nothing where nothing is."""
    known = [value for value in values if value is not None]
    return {name: float(np.quantile(known, share)) for name, share in QUANTILES.items() if known}


def quantile_ratio(pairs: Sequence[tuple[float, float]], share: float) -> tuple[float, float, float]:
    """New quantile over old, with its 95 % interval; pairs are old and new of a case, old above 0."""
    old, new = np.quantile(np.array(pairs), share, axis=0)
    rounds = np.quantile(drawn(pairs), share, axis=1)
    low, high = np.percentile(rounds[:, 1] / rounds[:, 0], [2.5, 97.5])
    return float(new / old), float(low), float(high)


def worse(moves: list[float]) -> float:
    """How often chance alone gives a mean this low: the one-sided p of a sign-flip permutation test.

    Below what ROUNDS can show it is the normal approximation, so that one slice among many can stand out.
    """
    size = np.abs(np.array(sorted(moves), dtype=np.float64))
    chance = np.random.default_rng(SEED)
    means = (chance.choice([-1.0, 1.0], (ROUNDS, len(size))) * size).sum(axis=1)
    hits, spread = int((means <= sum(moves) + 1e-9).sum()), math.hypot(*moves)
    tail = statistics.NormalDist().cdf(sum(moves) / spread) if spread else 1.0
    return min(1 / (1 + ROUNDS), tail) if not hits else (1 + hits) / (1 + ROUNDS)


def mcnemar(fell: int, rose: int) -> float:
    """The exact one-sided p of McNemar's test: cases that failed and passed before, and the reverse."""
    count = fell + rose
    return float(sum(math.comb(count, k) for k in range(fell, count + 1)) / 2**count)


def discoveries(chances: list[float], sure: float = SURE) -> list[bool]:
    """Which of several p values stand when at most this share of the findings may be false."""
    order = sorted(range(len(chances)), key=lambda i: chances[i])
    last = max((n for n, i in enumerate(order, 1) if chances[i] <= sure * n / len(chances)), default=0)
    return [i in order[:last] for i in range(len(chances))]


def smallest_drop(moves: list[float]) -> float:
    """The loss of mean score that these cases see with 80 % power; 1 where there are none.

    Normal approximation of the paired test, one-sided 2.5 %: (1.96 + 0.84) * sqrt(variance / n).
    """
    return min(1.0, 2.8 * math.sqrt(max(float(np.var(moves)), CHURN) / len(moves))) if moves else 1.0


def wilson(hits: int, count: int) -> Range:
    """The 95 % interval of a share (Wilson, 1927), honest also at 0 and at 1."""
    if not count:
        return 0.0, 1.0
    share, z2 = hits / count, Z**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return max(0.0, middle - half), min(1.0, middle + half)
