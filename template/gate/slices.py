"""Compare golden cases with the accepted run: all of them, and each family, language and tier of tenants."""

from collections import defaultdict
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from gate import baseline, stats
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


def compare(runs: list[FeatureRun], bases: dict[str, baseline.Baseline | None]) -> dict[str, list[Slice]]:
    """All slices of all features; the whole sets are judged together, and so are the rest."""
    found = {run.feature.name: of(run, bases[run.feature.name]) for run in runs}
    judged = [part for parts in found.values() for part in parts if part.word == "PASS"]
    wrong: list[Slice] = []
    for family in ([p for p in judged if p.name == ALL], [p for p in judged if p.name != ALL]):
        real = stats.discoveries([part.chance for part in family])
        wrong += [part for part, is_real in zip(family, real, strict=True) if is_real]
    return {
        name: [replace(part, word="BLOCK") if part in wrong else part for part in parts]
        for name, parts in found.items()
    }


def of(run: FeatureRun, base: baseline.Baseline | None) -> list[Slice]:
    """The slices of one feature, the whole set first."""
    marks, _ = baseline.marks(run, base)
    return [measured(run, name, cases, marks) for name, cases in groups(run.of("golden")).items()]


def groups(runs: list[CaseRun]) -> dict[str, list[CaseRun]]:
    """Cases by what they have in common."""
    fields = ("family", "language", "tenant_tier")
    parts = [(field, value, held) for field in fields for value, held in alike(runs, field).items()]
    return {ALL: runs} | {f"{field} {value}".replace("_", " "): held for field, value, held in parts}


def alike(runs: list[CaseRun], field: str) -> dict[str, list[CaseRun]]:
    """Cases by what their metadata say in a field, without those that say nothing."""
    found: dict[str, list[CaseRun]] = defaultdict(list)
    for r in runs:
        found[getattr(r.spec.metadata, field)].append(r)
    return {value: found[value] for value in sorted(found) if value}


def measured(run: FeatureRun, name: str, cases: list[CaseRun], marks: dict[str, baseline.Mark]) -> Slice:
    """One slice with its numbers; its word is BLOCK only once all slices are seen together."""
    allowed, known = run.feature.spec.gate, [r for r in cases if r.spec.name in marks]
    score, right = fmean(r.score for r in cases), sum(r.score >= 1 for r in cases)
    plain = Slice(run.feature.name, name, len(cases), score, right)
    if not known:
        return plain
    pairs = [(marks[r.spec.name].score, r.score) for r in known]
    moves = [new - old for old, new in pairs]
    low, high = stats.interval(moves)
    # By the count alone: a loss spreads the moves, and must not make its own slice too small to judge.
    can_tell = stats.smallest_drop([0.0] * len(known)) <= allowed.margin
    return replace(
        plain, compared=len(known), change=fmean(moves), low=low, high=high,
        fell=sum(new < 1 <= old for old, new in pairs), rose=sum(old < 1 <= new for old, new in pairs),
        chance=stats.worse([move + allowed.max_drop for move in moves]),
        sees=stats.smallest_drop(moves), word="PASS" if name == ALL or can_tell else "SMALL",
    )  # fmt: skip
