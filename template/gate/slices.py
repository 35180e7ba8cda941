"""Compare golden cases with the accepted run: all of them, and each family, language and tier of tenants."""

from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from gate import baseline, stats
from gate.baseline import Baseline
from gate.run import CaseRun, FeatureRun

# SMALL: too few cases to see a loss of [gate] margin; NEW: nothing to compare with.
Word = Literal["PASS", "BLOCK", "SMALL", "NEW"]
ALL = "all"


@dataclass(frozen=True)
class Slice:
    """Some golden cases beside themselves in the accepted run.

    `change` is the mean difference of their scores with its 95 % interval, `fell` and `rose` count cases that
    were right and are not, and the reverse; `chance` is how often chance alone loses as much.
    """

    feature: str
    name: str
    cases: int
    score: float
    right: int
    compared: int = 0
    change: float = 0
    low: float = 0
    high: float = 0
    fell: int = 0
    rose: int = 0
    chance: float = 1
    sees: float = 1
    word: Word = "NEW"

    def __str__(self) -> str:
        moved = f"{self.change:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"
        flips = f"{self.fell} fell, {self.rose} rose, McNemar p {stats.mcnemar(self.fell, self.rose):.2f}"
        return f"{self.score:.3f}, {moved} on {self.compared} cases; {flips}; sees drops from {self.sees:.3f}"


def compare(runs: list[FeatureRun], bases: dict[str, Baseline | None]) -> dict[str, list[Slice]]:
    """All slices of all features, judged together: one false alarm in twenty runs, however many slices."""
    found = {run.feature.name: of(run, bases[run.feature.name]) for run in runs}
    judged = [part for parts in found.values() for part in parts if part.word == "PASS"]
    real = stats.discoveries([part.chance for part in judged])
    wrong = [part for part, found_real in zip(judged, real, strict=True) if found_real]
    return {
        name: [replace(part, word="BLOCK") if part in wrong else part for part in parts]
        for name, parts in found.items()
    }


def of(run: FeatureRun, base: Baseline | None) -> list[Slice]:
    """The slices of one feature, the whole set first."""
    golden = run.of("golden")
    accepted = matched(run, base)
    return [measured(run, name, cases, accepted) for name, cases in groups(golden).items()]


def groups(runs: list[CaseRun]) -> dict[str, list[CaseRun]]:
    """Cases by what they have in common."""
    found = {ALL: runs}
    for field in ("family", "language", "tenant_tier"):
        for value in sorted({getattr(r.spec.metadata, field) for r in runs} - {""}):
            found[f"{field} {value}".replace("_", " ")] = [
                r for r in runs if getattr(r.spec.metadata, field) == value
            ]
    return found


def matched(run: FeatureRun, base: Baseline | None) -> dict[str, float]:
    """The accepted score of each present case that was there."""
    if base is None:
        return {}
    pairs, _ = baseline.paired(base.keys, [r.spec for r in run.of("golden")])
    return {name: base.cases[before].score for name, before in pairs.items()}


def measured(run: FeatureRun, name: str, cases: list[CaseRun], accepted: dict[str, float]) -> Slice:
    """One slice with its numbers; its word is BLOCK only once all slices are seen together."""
    allowed, known = run.feature.spec.gate, [r for r in cases if r.spec.name in accepted]
    score, right = fmean(r.score for r in cases), sum(r.score >= 1 for r in cases)
    plain = Slice(run.feature.name, name, len(cases), score, right)
    if not known:
        return plain
    moves = [r.score - accepted[r.spec.name] for r in known]
    low, high = stats.interval(moves)
    # By the count alone: a loss spreads the moves, and must not make its own slice too small to judge.
    can_tell = stats.smallest_drop([0.0] * len(known)) <= allowed.margin
    return replace(
        plain, compared=len(known), change=fmean(moves), low=low, high=high,
        fell=sum(r.score < 1 <= accepted[r.spec.name] for r in known),
        rose=sum(accepted[r.spec.name] < 1 <= r.score for r in known),
        chance=stats.worse([move + allowed.max_drop for move in moves]),
        sees=stats.smallest_drop(moves), word="PASS" if name == ALL or can_tell else "SMALL",
    )  # fmt: skip
