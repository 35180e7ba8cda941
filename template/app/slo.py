"""What features promise, and how fast they use up what they may miss.

The pairs of windows and their factors are those of Google's SRE Workbook, chapter 5: the long window shows
that it matters, the short one that it goes on. Few requests prove nothing: below `LEAST` nobody is alerted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from app.alerts import Finding, Severity
from app.features import Feature

SPANS = {"5m": 300, "30m": 1_800, "1h": 3_600, "2h": 7_200, "6h": 21_600, "1d": 86_400, "3d": 259_200}
SLOW_SHARE = 0.05  # what a p95 leaves
LEAST = 10  # bad requests in the long window; of cost, requests
# Of a span: requests that were `served`, those of them with `errors` or too much `latency`, and their `cost`.
Seen = Mapping[str, float]


@dataclass(frozen=True)
class Window:
    """An alert when the burn rate is above the factor in both spans."""

    severity: Severity
    factor: float
    long: str
    short: str


WINDOWS = (
    Window("page", 14.4, "1h", "5m"),
    Window("page", 6, "6h", "30m"),
    Window("ticket", 3, "1d", "2h"),
    Window("ticket", 1, "3d", "6h"),
)
COST_WINDOWS = (Window("ticket", 1, "6h", "30m"),)


@dataclass(frozen=True)
class Promise:
    """One line of [slo]: `allowed` is a share of requests; of cost, the dollars of one."""

    feature: str
    slo: Literal["errors", "latency", "cost"]
    allowed: float
    fault: str
    windows: tuple[Window, ...]

    @property
    def counted(self) -> str:
        """What there must be `LEAST` of in the long window."""
        return "served" if self.slo == "cost" else self.slo

    def amount(self, value: float) -> str:
        """A share in percent, or dollars."""
        return f"{value:.4g} USD" if self.slo == "cost" else f"{100 * value:.3g} %"


def promises(feature: Feature) -> tuple[Promise, ...]:
    """What the feature's [slo] says."""
    name, slo = feature.name, feature.spec.slo
    slow = f"of requests took longer than {slo.p95_ms} ms"
    return (
        Promise(name, "errors", slo.error_rate, "of requests failed", reachable(slo.error_rate)),
        Promise(name, "latency", SLOW_SHARE, slow, reachable(SLOW_SHARE)),
        Promise(name, "cost", slo.budget_usd, "a request", COST_WINDOWS),
    )


def reachable(allowed: float) -> tuple[Window, ...]:
    """The windows; a factor that not even an outage reaches becomes nine tenths of the way to one."""
    most = (0.9 + 0.1 * allowed) / allowed
    return tuple(replace(window, factor=round(min(window.factor, most), 4)) for window in WINDOWS)


def burn_rate(promise: Promise, seen: Seen) -> float:
    """How many times more was missed than is allowed; 0 without traffic."""
    return seen[promise.slo] / seen["served"] / promise.allowed if seen["served"] else 0.0


def burning(promise: Promise, seen: Mapping[str, Seen]) -> list[Finding]:
    """What burns by what was seen in each span: of each severity, the fastest."""
    worst = {w.severity: w for w in reversed(promise.windows) if burns(promise, w, seen)}
    return [finding(promise, window, seen[window.long]) for window in worst.values()]


def burns(promise: Promise, window: Window, seen: Mapping[str, Seen]) -> bool:
    """Whether both spans are over the factor, with enough traffic to say so."""
    rates = (burn_rate(promise, seen[span]) for span in (window.long, window.short))
    return min(rates) > window.factor and seen[window.long][promise.counted] >= LEAST


def finding(promise: Promise, window: Window, seen: Seen) -> Finding:
    """It in words, with its numbers."""
    rate, allowed = burn_rate(promise, seen), promise.amount(promise.allowed)
    said = f"{promise.amount(rate * promise.allowed)} {promise.fault} in the last {window.long} "
    said += f"({seen['served']:.0f} requests): {rate:.3g} times the {allowed} allowed"
    return Finding(f"slo-{promise.slo}", promise.feature, window.severity, said)
