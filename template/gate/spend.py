"""What golden cases cost beside the accepted run: what rose, in which case and part of the prompt."""

from dataclasses import dataclass
from statistics import fmean

from gate import stats
from gate.baseline import Mark
from gate.run import CaseRun

Known = list[tuple[Mark, CaseRun]]


@dataclass(frozen=True)
class Rise:
    """One number beside the accepted one, with the 95 % interval of the ratio."""

    name: str
    ratio: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.name} x{self.ratio:.3f} [{self.low:.3f}, {self.high:.3f}]"


def summary(golden: list[CaseRun]) -> str:
    """Median and p95 of tokens and dollars."""
    tokens = stats.usual([r.outcome.tokens for r in golden if r.outcome.tokens] or [0])
    usd = stats.usual(r.outcome.cost_usd or None for r in golden)
    said = f"median {tokens['median']:.0f} tokens, p95 {tokens['p95']:.0f}"
    return said + (f", ${usd['median']:.5f} and ${usd['p95']:.5f}" if usd else "")


def rises(known: Known) -> list[Rise]:
    """Each number beside the accepted one; dollars only where both runs have a price."""
    tokens = [(old.tokens, r.outcome.tokens) for old, r in known if old.tokens and r.outcome.tokens]
    usd = [(old.usd, r.outcome.cost_usd) for old, r in known if old.usd and r.outcome.cost_usd]
    return [
        Rise(f"{name} of {unit}", *stats.quantile_ratio(pairs, share))
        for unit, pairs in (("tokens", tokens), ("dollars", usd))
        for name, share in stats.QUANTILES.items()
        if pairs
    ]


def reasons(known: Known) -> tuple[str, ...]:
    """The parts of the prompt that grew, by tokens a case, then the cases that grew most."""
    served = [(old, r) for old, r in known if old.tokens and r.outcome.tokens]
    pairs = [(old.parts, r.outcome.parts) for old, r in served if old.parts]
    names = dict.fromkeys(name for _, new in pairs for name in new)
    grown = {name: fmean(new.get(name, 0) - old.get(name, 0) for old, new in pairs) for name in names}
    parts = [f"{name}: {more:+.0f} tokens a case" for name, more in grown.items() if more >= 1]
    cases = sorted(((r.outcome.tokens - old.tokens, r.spec.name) for old, r in served), reverse=True)
    return (*parts, *(f"'{name}': {more:+d} tokens" for more, name in cases[:3] if more > 0))
