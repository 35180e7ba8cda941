"""Whether a candidate may go on: what its requests showed beside those of the stable version."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from app import compare
from app.compare import Arm, Change, Kind
from app.spec import Rollout

Word = Literal["pass", "fail", "wait"]
Part = Literal["errors", "slow", "cost", "quality", "invalid", "flagged"]
# The chance that the interval of one of them misses at any look of a rollout: all six together 1 %.
ALPHA = 0.01 / 6
KINDS: Mapping[Part, Kind] = {"cost": "any", "quality": "marks"}
SAID: Mapping[Part, str] = {
    "errors": "failed requests", "slow": "requests slower than nearly all of stable", "cost": "USD a request",
    "quality": "quality lost", "invalid": "models without a valid answer",
    "flagged": "answers flagged by the guard",
}  # fmt: skip
MONEY: Part = "cost"


@dataclass(frozen=True)
class Evidence:
    """What both arms showed in this step, and how many requests the candidate had in it.

    Of each part the arms' sums: shares of requests, but dollars of `cost`, and of `quality` what is missing
    to 1. `breaches` are the candidate's answers that a person must never have seen. `paired` are differences
    request by request, where both were asked the same.
    """

    candidate: Mapping[Part, Arm]
    stable: Mapping[Part, Arm]
    requests: int = 0
    breaches: tuple[str, ...] = ()
    paired: Mapping[Part, Arm] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One part: how the arms differ, what may be at this step, and the word on it."""

    part: Part
    candidate: float
    stable: float
    change: Change
    allowed: float
    word: Word

    def __str__(self) -> str:
        if not math.isfinite(self.change.high):
            return f"{SAID[self.part]}: too few to say, {compare.LEAST} units an arm are needed"
        shown = "{:.6f}" if self.part == MONEY else "{:.2%}"
        pair = f"{shown.format(self.candidate)}, stable {shown.format(self.stable)}"
        low, high, allowed = map(shown.format, (self.change.low, self.change.high, self.allowed))
        certain = {
            "fail": f"{low} more for certain", "pass": f"at most {high} more, {allowed} may be",
            "wait": f"{low} to {high} more, {allowed} may be",
        }  # fmt: skip
        return f"{SAID[self.part]}: {pair}; {certain[self.word]}"


@dataclass(frozen=True)
class Verdict:
    """The word, the reason in words, and every part behind it."""

    word: Word
    said: str
    findings: tuple[Finding, ...] = ()


def judge(seen: Evidence, rule: Rollout, percent: int) -> Verdict:
    """The word on a candidate that has so many percent of the requests.

    It fails once it is worse for certain in any part, and passes once it is certain that in no part it is
    worse than may be. Until then, and without requests, it waits: silence is no pass. What may be shrinks as
    the share grows: at every step the same harm to all requests together.
    """
    if seen.breaches:
        return Verdict("fail", f"safety: {seen.breaches[0]}")
    looks = len(rule.steps) + 1  # the shadow and each step are tests of their own
    found = tuple(finding(part, seen, rule, percent, looks) for part in limits(rule))
    if bad := [one for one in found if one.word == "fail"]:
        return Verdict("fail", f"worse than stable: {bad[0]}", found)
    if seen.requests < rule.min_requests:
        return Verdict("wait", f"{seen.requests} of {rule.min_requests} requests at {percent} %", found)
    if open_ := [one for one in found if one.word == "wait"]:
        return Verdict("wait", f"not certain yet: {open_[0]}", found)
    return Verdict("pass", f"not worse than may be, in {len(found)} parts", found)


def limits(rule: Rollout) -> dict[Part, float]:
    """How much worse a candidate may be at all requests: in shares, of cost a ratio."""
    return {
        "errors": rule.max_error_rise, "slow": rule.max_slow_rise, "cost": rule.max_cost_rise,
        "quality": rule.max_quality_drop, "invalid": rule.max_error_rise, "flagged": rule.max_error_rise,
    }  # fmt: skip


def finding(part: Part, seen: Evidence, rule: Rollout, percent: int, tests: int) -> Finding:
    """The word on one part; of several tests each is held to a stricter bound (Bonferroni)."""
    new, old = seen.candidate.get(part, Arm()), seen.stable.get(part, Arm())
    least = limits(rule)[part] * (old.mean if part == MONEY else 1)
    kind = KINDS.get(part, "events")
    if part in seen.paired:
        change = compare.paired(seen.paired[part], least, ALPHA / tests, kind)
    else:
        change = compare.change(new, old, least, ALPHA / tests, kind)
    if part == MONEY and not (new.y or old.y):
        change, least = Change(0.0, 0.0, 0.0), 0.0  # a model without a price costs nothing
    allowed = least * 100 / min(2 * percent, 100)
    is_worse = change.low > 0 and change.high > least
    word: Word = "fail" if is_worse else "pass" if change.high <= allowed else "wait"
    return Finding(part, new.mean, old.mean, change, allowed, word)
