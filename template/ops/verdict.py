"""Whether a canary may go on: its counters against those of the version that it shall replace."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ops.stages import Canary

Word = Literal["pass", "fail", "wait", "doubt"]
SLOW = 0.95
# The chance that a version which keeps its limits is sent back, in one look at one of its counters.
ALARM = 0.001


@dataclass(frozen=True)
class Sample:
    """Counters of one version since it started.

    `requests` and `failed` as the proxy saw them; by the app itself: answers by upper edge in seconds
    (cumulative), dollars, models that gave no valid answer, answers in which the guard found something, and
    answers that came from a model and not from the cache.
    """

    requests: int = 0
    failed: int = 0
    answers: Mapping[float, float] = field(default_factory=dict)
    usd: float = 0
    invalid: int = 0
    flagged: int = 0
    paid: int = 0

    def since(self, before: "Sample") -> "Sample":
        """What came after another sample of the same version."""
        edges = {edge: count - before.answers.get(edge, 0) for edge, count in self.answers.items()}
        return Sample(
            self.requests - before.requests, self.failed - before.failed, edges, self.usd - before.usd,
            self.invalid - before.invalid, self.flagged - before.flagged, self.paid - before.paid,
        )  # fmt: skip

    @property
    def answered(self) -> int:
        """How many answers the app counted."""
        return round(max(self.answers.values(), default=0))

    @property
    def p95_ms(self) -> float:
        """The upper edge of the bucket that holds the p95; 0 without answers."""
        enough = SLOW * self.answered
        return next((1000 * edge for edge in sorted(self.answers) if self.answers[edge] >= enough > 0), 0.0)

    def slower(self, than_ms: float) -> int:
        """How many answers took longer than the first edge at or above a time."""
        within = [count for edge, count in sorted(self.answers.items()) if 1000 * edge >= than_ms]
        return self.answered - round(within[0]) if within else 0

    def __str__(self) -> str:
        failed = share(self.failed, self.requests)
        return f"{self.requests} requests, {failed:.1%} failed, p95 {self.p95_ms:.0f} ms"


def judge(new: Sample, old: Sample, rule: Canary) -> tuple[Word, str]:
    """The word on what both versions did in the same time, and why.

    What is too much is told by any number of requests that shows it; what may still be chance is in doubt; a
    pass needs `min_requests`. The cost is that of answers from a model: the cache of a new version is empty.
    """
    seen, doubt = f"new: {new}; old: {old}", ""
    for what, count, of, allowed in limits(new, old, rule):
        found = f"{what}: {count} of {of}, {allowed:.1%} may be; {seen}"
        if exceeds(count, of, allowed):
            return "fail", found
        if share(count, of) > allowed:
            doubt = f"may be chance: {found}"
    if doubt:
        return "doubt", doubt
    if new.requests < rule.min_requests:
        return "wait", f"{new.requests} of {rule.min_requests} requests; {seen}"
    cost, before = share(new.usd, new.paid), share(old.usd, old.paid)
    if min(new.paid, old.paid) >= rule.min_requests and cost > rule.max_cost_ratio * before > 0:
        return "fail", f"cost: {cost:.6f} USD an answer, {before:.6f} before; {seen}"
    return "pass", seen


def limits(new: Sample, old: Sample, rule: Canary) -> Iterator[tuple[str, int, int, float]]:
    """What is counted of the new version: name, count, of how many, and the share that may be."""
    least = rule.max_error_rate
    yield "failed requests", new.failed, new.requests, max(least, 2 * share(old.failed, old.requests))
    slow_ms = max(rule.max_p95_ms, rule.max_p95_ratio * old.p95_ms)
    yield f"slower than {slow_ms:.0f} ms", new.slower(slow_ms), new.answered, 1 - SLOW
    for what, count, before in (
        ("models without a valid answer", new.invalid, old.invalid),
        ("answers flagged by the guard", new.flagged, old.flagged),
    ):
        yield what, count, new.answered, max(least, 2 * share(before, old.answered))


def exceeds(count: int, of: int, allowed: float) -> bool:
    """Whether a share is above what is allowed by more than chance explains.

    The Chernoff bound of the binomial tail: P(X >= k) <= exp(-n KL(k/n, p)) (Hoeffding 1963, theorem 1).
    """
    found = min(share(count, of), 1.0)
    if found <= allowed or allowed >= 1:
        return False
    apart = found * math.log(found / allowed)
    apart += (1 - found) * math.log((1 - found) / (1 - allowed)) if found < 1 else 0
    return of * apart >= -math.log(ALARM)


def share(part: float, of: float) -> float:
    """A share; 0 of nothing."""
    return part / of if of else 0.0
