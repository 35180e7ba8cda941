"""Whether two arms differ: an interval that holds at every look, however often one looks."""

import math
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

# Of fewer units nothing is said: the interval stands on their mean being nearly normal.
LEAST = 30
# An interval is narrow where the difference is about the scale that it was made for: so many of what matters.
FACTORS = (1, 10)
# What is counted: events that a request has or has not, marks from 0 to 1, or anything.
Kind = Literal["events", "marks", "any"]


@dataclass(frozen=True)
class Arm:
    """Sums over the units of one arm, a unit being what was drawn by lot: a request, a user or a tenant.

    A unit has `n` requests with `y` of something in all, e.g. errors or dollars; `nn`, `ny` and `yy` are the
    sums of the products over the units.
    """

    units: int = 0
    n: float = 0
    y: float = 0
    nn: float = 0
    ny: float = 0
    yy: float = 0

    @property
    def mean(self) -> float:
        """Of `y` in a request."""
        return self.y / self.n if self.n else 0.0

    @property
    def variance(self) -> float:
        """Of the mean; requests of one unit may hang together.

        The delta method for a ratio of sums (Deng, Knoblich and Lu 2018, equation 3).
        """
        spread = self.yy - 2 * self.mean * self.ny + self.mean**2 * self.nn
        return max(spread, 0.0) / self.n**2 * self.units / (self.units - 1)


@dataclass(frozen=True)
class Change:
    """How much more the new arm has than the old one: the estimate and the interval around it."""

    found: float
    low: float
    high: float


UNKNOWN = Change(0.0, -math.inf, math.inf)


def change(new: Arm, old: Arm, scale: float, alpha: float, kind: Kind) -> Change:
    """The difference of the means, with an interval that misses it once in 1/alpha, at any look of all.

    The mixture sequential probability ratio test, turned into an interval (Johari, Koomen, Pekelis and Walsh
    2022, section 4): narrowest where the difference is about `scale`, or ten times that.
    """
    if min(new.units, old.units) < LEAST or scale <= 0:
        return UNKNOWN
    least = floor(new.y + old.y, new.n + old.n, kind) * (1 / new.n + 1 / old.n)
    variance = max(new.variance + old.variance, least)
    found = new.mean - old.mean
    wide = radius(variance, scale, alpha)
    return Change(found, found - wide, found + wide)


def paired(apart: Arm, scale: float, alpha: float, kind: Kind) -> Change:
    """The same of requests that both arms were asked; `apart` are the differences, request by request."""
    if apart.units < LEAST or scale <= 0:
        return UNKNOWN
    variance = max(apart.variance, floor(apart.yy, apart.n, kind) / apart.n)
    wide = radius(variance, scale, alpha)
    return Change(apart.mean, apart.mean - wide, apart.mean + wide)


def floor(y: float, n: float, kind: Kind) -> float:
    """The least variance of one request: that nothing differed yet does not say that nothing ever will."""
    if kind == "any":
        return 0.0
    usual = ((y if kind == "events" else 0.0) + 0.5) / (n + 1)
    return usual * (1 - usual)


def radius(variance: float, scale: float, alpha: float) -> float:
    """Half the interval's width: of one for small differences and one for large, which share alpha."""
    if variance <= 0:
        return 0.0
    return min(half(variance, scale * factor, alpha / len(FACTORS)) for factor in FACTORS)


def half(variance: float, scale: float, alpha: float) -> float:
    """Half the width of the interval that mixes over differences of about `scale`."""
    mixed = variance + scale**2
    return math.sqrt(2 * variance * mixed / scale**2 * (math.log(1 / alpha) + math.log(mixed / variance) / 2))


def exceeds(count: float, of: float, allowed: float, alarm: float = 0.001) -> bool:
    """Whether a share is above what is allowed by more than chance explains, at any look of all.

    The mean likelihood ratio of rates that double from the allowed one on: with no more than is allowed it
    comes to 1/alarm in one of 1/alarm series (Ville 1939; Robbins 1970).
    """
    rates = [allowed * 2**power for power in range(1, 20) if allowed * 2**power < 1]
    if not rates:
        return False
    ratios = [
        count * math.log(rate / allowed) + (of - count) * math.log((1 - rate) / (1 - allowed))
        for rate in rates
    ]
    return fmean(math.exp(min(ratio, 700)) for ratio in ratios) >= 1 / alarm
