"""What golden cases cost beside the accepted run: what rose, in which case and part of the prompt."""

from dataclasses import dataclass
from statistics import fmean

import numpy as np

from gate import stats
from gate.baseline import Mark
from gate.run import CaseRun

Known = list[tuple[Mark, CaseRun]]
QUANTILES = {"median": 0.5, "p95": 0.95}


@dataclass(frozen=True)
class Rise:
    """One number beside the accepted one, with the 95 % interval of the ratio."""

    name: str
    ratio: float
    low: float
    high: float

    @property
    def is_median(self) -> bool:
        """Whether it speaks of the usual case."""
        return self.name.startswith("median")

    def __str__(self) -> str:
        return f"{self.name} x{self.ratio:.3f} [{self.low:.3f}, {self.high:.3f}]"


def summary(golden: list[CaseRun]) -> str:
    """Median and p95 of tokens and dollars."""
    tokens = [r.outcome.tokens for r in golden if r.outcome.tokens] or [0]
    usd = [r.outcome.cost_usd for r in golden if r.outcome.cost_usd]
    said = f"median {np.median(tokens):.0f} tokens, p95 {np.quantile(tokens, 0.95):.0f}"
    return said + (f", ${np.median(usd):.5f} and ${np.quantile(usd, 0.95):.5f}" if usd else "")


def rises(known: Known) -> list[Rise]:
    """Each number beside the accepted one; dollars only where both runs have a price."""
    tokens = [(old.tokens, r.outcome.tokens) for old, r in known if old.tokens and r.outcome.tokens]
    usd = [(old.usd, r.outcome.cost_usd) for old, r in known if old.usd and r.outcome.cost_usd]
    return [
        Rise(f"{name} of {unit}", *stats.quantile_ratio(pairs, share))
        for unit, pairs in (("tokens", tokens), ("dollars", usd))
        for name, share in QUANTILES.items()
        if pairs
    ]


def reasons(known: Known) -> tuple[str, ...]:
    """The parts of the prompt that grew, by tokens a case, then the cases that grew most."""
    served = [(old, r) for old, r in known if old.tokens and r.outcome.tokens]
    names = dict.fromkeys(name for old, r in served if old.parts for name in r.outcome.parts)
    grown = {
        name: fmean(r.outcome.parts.get(name, 0) - old.parts.get(name, 0) for old, r in served if old.parts)
        for name in names
    }
    parts = [f"{name}: {more:+.0f} tokens a case" for name, more in grown.items() if more >= 1]
    cases = sorted(((r.outcome.tokens - old.tokens, r.spec.name) for old, r in served), reverse=True)
    return (*parts, *(f"'{name}': {more:+d} tokens" for more, name in cases[:3] if more > 0))
