"""Whether two arms differ: an interval that holds at every look, however often one looks."""

import math
from dataclasses import dataclass

# Of fewer units nothing is said: the interval stands on their mean being nearly normal.
LEAST = 30
# An interval is narrow where the difference is about the scale that it was made for: so many of what matters.
FACTORS = (1, 10)


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


def change(new: Arm, old: Arm, scale: float, alpha: float, *, is_share: bool) -> Change:
    """The difference of the means, with an interval that misses it once in 1/alpha, at any look of all.

    The mixture sequential probability ratio test, turned into an interval (Johari, Koomen, Pekelis and Walsh
    2022, section 4): narrowest where the difference is about `scale`, or ten times that. Of a share the
    variance is not taken for zero because nothing was seen yet.
    """
    if min(new.units, old.units) < LEAST or scale <= 0:
        return UNKNOWN
    variance = new.variance + old.variance
    if is_share:
        usual = (new.y + old.y + 0.5) / (new.n + old.n + 1)
        variance = max(variance, usual * (1 - usual) * (1 / new.n + 1 / old.n))
    found = new.mean - old.mean
    wide = radius(variance, scale, alpha)
    return Change(found, found - wide, found + wide)


def paired(apart: Arm, scale: float, alpha: float, *, is_share: bool) -> Change:
    """The same of requests that both arms were asked; `apart` are the differences, request by request."""
    if apart.units < LEAST or scale <= 0:
        return UNKNOWN
    variance = apart.variance
    if is_share:
        usual = (apart.yy + 0.5) / (apart.n + 1)
        variance = max(variance, usual * (1 - usual) / apart.n)
    wide = radius(variance, scale, alpha)
    return Change(apart.mean, apart.mean - wide, apart.mean + wide)


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
    """Whether a share is above what is allowed by more than chance explains, once in 1/alarm looks.

    The Chernoff bound of the binomial tail: P(X >= k) <= exp(-n KL(k/n, p)) (Hoeffding 1963, theorem 1).
    """
    found = min(count / of, 1.0) if of else 0.0
    if found <= allowed or allowed >= 1:
        return False
    apart = found * math.log(found / allowed)
    apart += (1 - found) * math.log((1 - found) / (1 - allowed)) if found < 1 else 0
    return of * apart >= -math.log(alarm)
