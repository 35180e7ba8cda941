"""The gate's arithmetic: paired bootstrap intervals, the same numbers on every run.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13: percentile intervals.
Pairing by case removes the spread between cases, which is most of the noise in an eval score.
"""

import math
import random
import statistics
from collections.abc import Callable

ROUNDS = 2_000
SEED = 20_240_229


def interval(
    values: list[float], statistic: Callable[[list[float]], float] = statistics.fmean
) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic; a point where there is one value or no spread."""
    if len(set(values)) <= 1:
        return (statistic(values),) * 2 if values else (0.0, 0.0)
    values = sorted(values)  # the order of the cases must not move the draw
    chance = random.Random(SEED)  # noqa: S311  # a fixed seed on purpose: the verdict must repeat
    drawn = sorted(statistic(chance.choices(values, k=len(values))) for _ in range(ROUNDS))
    return drawn[int(0.025 * ROUNDS)], drawn[int(0.975 * ROUNDS) - 1]


def median_ratio(pairs: list[tuple[float, float]]) -> tuple[float, float, float]:
    """New median over old, with its 95 % interval; cases are drawn in pairs."""
    if not pairs:
        return 1.0, 1.0, 1.0
    pairs = sorted(pairs)
    chance = random.Random(SEED)  # noqa: S311
    drawn = sorted(ratio(chance.choices(pairs, k=len(pairs))) for _ in range(ROUNDS))
    return ratio(pairs), drawn[int(0.025 * ROUNDS)], drawn[int(0.975 * ROUNDS) - 1]


def ratio(pairs: list[tuple[float, float]]) -> float:
    """The ratio of the medians, old first; 1 where the old one is 0."""
    old = statistics.median(a for a, _ in pairs)
    return statistics.median(b for _, b in pairs) / old if old else 1.0


def smallest_drop(scores: list[float], churn: float = 0.06) -> float:
    """The loss of mean score that this many cases see with 80 % power when `churn` of them flip.

    Normal approximation of the paired test, one-sided 2.5 %: (1.96 + 0.84) * sqrt(churn / n).
    """
    return (1.96 + 0.84) * math.sqrt(churn / len(scores)) if scores else 1.0
