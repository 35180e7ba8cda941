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
class Answers:
    """What the app counted of one feature since it started.

    `edges`: answers by upper edge in seconds, cumulative; dollars, and the answers that came from a model and
    not from the cache; models that gave no valid answer; answers in which the guard found something.
    """

    edges: Mapping[float, float] = field(default_factory=dict)
    usd: float = 0
    paid: float = 0
    invalid: float = 0
    flagged: float = 0

    def since(self, before: "Answers") -> "Answers":
        """What came after another look at the same feature."""
        edges = {edge: count - before.edges.get(edge, 0) for edge, count in self.edges.items()}
        return Answers(
            edges, self.usd - before.usd, self.paid - before.paid, self.invalid - before.invalid,
            self.flagged - before.flagged,
        )  # fmt: skip

    @property
    def count(self) -> float:
        """How many answers there were."""
        return max(self.edges.values(), default=0)

    @property
    def p95_ms(self) -> float:
        """The upper edge of the bucket that holds the p95; 0 without answers."""
        enough = SLOW * self.count
        return next((1000 * edge for edge in sorted(self.edges) if self.edges[edge] >= enough > 0), 0.0)

    def slower(self, than_ms: float) -> float:
        """How many answers took longer than the first edge at or above a time."""
        within = [count for edge, count in sorted(self.edges.items()) if 1000 * edge >= than_ms]
        return self.count - within[0] if within else 0


@dataclass(frozen=True)
class Sample:
    """Counters of one version since it started; `requests` and `failed` as the proxy saw them."""

    requests: int = 0
    failed: int = 0
    features: Mapping[str, Answers] = field(default_factory=dict)

    def since(self, before: "Sample") -> "Sample":
        """What came after another sample of the same version."""
        found = {name: one.since(before.features.get(name, Answers())) for name, one in self.features.items()}
        return Sample(self.requests - before.requests, self.failed - before.failed, found)

    def __str__(self) -> str:
        slow = [f"{name} {one.p95_ms:.0f} ms" for name, one in sorted(self.features.items()) if one.count]
        failed = f"{self.requests} requests, {share(self.failed, self.requests):.1%} failed"
        return f"{failed}, p95 {', '.join(slow)}" if slow else failed


def judge(new: Sample, old: Sample, rule: Canary, slo_ms: Mapping[str, float]) -> tuple[Word, str]:
    """The word on what both versions did in the same time, and why; `slo_ms` is each feature's promised p95.

    What is too much is told by any number of requests that shows it; what may still be chance is in doubt; a
    pass needs `min_requests`.
    """
    seen, doubt = f"new: {new}; old: {old}", ""
    for what, count, of, allowed in limits(new, old, rule, slo_ms):
        found = f"{what}: {count:.0f} of {of:.0f}, {allowed:.1%} may be; {seen}"
        if exceeds(count, of, allowed):
            return "fail", found
        if share(count, of) > allowed:
            doubt = f"may be chance: {found}"
    if costs := dearer(new, old, rule):
        return "fail", f"{costs}; {seen}"
    if doubt:
        return "doubt", doubt
    if new.requests < rule.min_requests:
        return "wait", f"{new.requests} of {rule.min_requests} requests; {seen}"
    return "pass", seen


def limits(
    new: Sample, old: Sample, rule: Canary, slo_ms: Mapping[str, float]
) -> Iterator[tuple[str, float, float, float]]:
    """What is counted of the new version: name, count, of how many, and the share that may be."""
    least = rule.max_error_rate
    yield "failed requests", new.failed, new.requests, max(least, 2 * share(old.failed, old.requests))
    for name, now in sorted(new.features.items()):
        was = old.features.get(name, Answers())
        slow_ms = max(rule.max_p95_ms or slo_ms.get(name, 0), rule.max_p95_ratio * was.p95_ms)
        if slow_ms:
            yield f"{name}: slower than {slow_ms:.0f} ms", now.slower(slow_ms), now.count, 1 - SLOW
        for what, count, before in (
            ("models without a valid answer", now.invalid, was.invalid),
            ("answers flagged by the guard", now.flagged, was.flagged),
        ):
            yield f"{name}: {what}", count, now.count, max(least, 2 * share(before, was.count))


def dearer(new: Sample, old: Sample, rule: Canary) -> str:
    """What costs too much: answers of a model, since the cache of a new version is empty; or nothing."""
    for name, now in sorted(new.features.items()):
        was = old.features.get(name, Answers())
        cost, before = share(now.usd, now.paid), share(was.usd, was.paid)
        if min(now.paid, was.paid) >= rule.min_requests and cost > rule.max_cost_ratio * before > 0:
            return f"{name}: an answer costs {cost:.6f} USD, {before:.6f} before"
    return ""


def exceeds(count: float, of: float, allowed: float) -> bool:
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
