"""Whether a canary may go on: its counters against those of the version that it shall replace."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ops.stages import Canary

Word = Literal["pass", "fail", "wait"]
SLOW = 0.95


@dataclass(frozen=True)
class Sample:
    """Counters of one version since it started.

    `requests` and `failed` as the proxy saw them; by the app itself: answers by upper edge in seconds
    (cumulative), dollars, answers that had no valid form, and answers that the guard took back.
    """

    requests: int = 0
    failed: int = 0
    answers: Mapping[float, float] = field(default_factory=dict)
    usd: float = 0
    invalid: int = 0
    unsafe: int = 0

    def since(self, before: "Sample") -> "Sample":
        """What came after another sample of the same version."""
        edges = {edge: count - before.answers.get(edge, 0) for edge, count in self.answers.items()}
        return Sample(
            self.requests - before.requests, self.failed - before.failed, edges, self.usd - before.usd,
            self.invalid - before.invalid, self.unsafe - before.unsafe,
        )  # fmt: skip

    @property
    def answered(self) -> float:
        """How many answers the app counted."""
        return max(self.answers.values(), default=0)

    @property
    def p95_ms(self) -> float:
        """The upper edge of the bucket that holds the p95; 0 without answers."""
        enough = SLOW * self.answered
        return next((1000 * edge for edge in sorted(self.answers) if self.answers[edge] >= enough > 0), 0.0)

    def __str__(self) -> str:
        return f"{self.requests} requests, {share(self.failed, self.requests):.1%} failed, p95 {self.p95_ms:.0f} ms"


def judge(new: Sample, old: Sample, rule: Canary) -> tuple[Word, str]:
    """The word on what both versions did in the same time, and why.

    A canary with too few requests waits, except for what no count excuses: an answer that is unsafe.
    """
    seen = f"new {new}; old {old}"
    if new.unsafe and share(new.unsafe, new.answered) > 2 * share(old.unsafe, old.answered):
        return "fail", f"{new.unsafe} unsafe answers: {seen}"
    if new.requests < rule.min_requests:
        return "wait", f"{rule.min_requests} requests are needed: {seen}"
    for what, now, before, most, ratio in (
        ("failed requests", share(new.failed, new.requests), share(old.failed, old.requests), rule.max_error_rate, 2),
        ("answers without a valid form", share(new.invalid, new.answered), share(old.invalid, old.answered),
         rule.max_error_rate, 2),
        ("p95", new.p95_ms, old.p95_ms, rule.max_p95_ms, rule.max_p95_ratio),
        ("dollars a request", share(new.usd, new.answered), share(old.usd, old.answered), 0, rule.max_cost_ratio),
    ):  # fmt: skip
        if now > max(most, ratio * before) and (before or most):
            return "fail", f"{what} {now:.4g}, {before:.4g} before: {seen}"
    return "pass", seen


def share(part: float, of: float) -> float:
    """A share; 0 of nothing."""
    return part / of if of else 0.0
