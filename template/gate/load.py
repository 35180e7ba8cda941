"""Hold what load programs saw of each route against the SLOs of feature.toml; few requests prove nothing."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape
from rich.table import Table

from app import files
from app.features import Feature
from app.services import Plan
from app.slo import SLOW_SHARE
from gate import cases, report
from gate.judge import Verdict, Word
from load import drive, local, routes
from load.work import Route, Seen, Work

Row = tuple[Seen, Verdict]
WORST: tuple[Word, ...] = ("BLOCK", "INCONCLUSIVE", "PASS")
COLUMNS = {
    "requests": "requests", "per_s": "per s", "p50_ms": "p50", "p95_ms": "p95", "p99_ms": "p99 ms",
    "first_p95_ms": "first", "errors": "errors", "refused": "refused", "cached": "cached",
}  # fmt: skip
Z2 = 1.96**2  # of a 95 % interval


def run(plan: Plan, features: list[Feature], told: Work, tool: str) -> list[Row]:
    """Ask every route, and where the app is our own its index too; raise LoadFailed if it comes to no end."""
    folder = plan.settings.var_dir / local.FOLDER
    known = {feature.name: routes.route(feature, inputs(feature)) for feature in features}
    told = told.model_copy(update={"routes": list(known.values())})
    if told.url:
        seen = drive.ask(told, tool, folder, None)
    else:
        with drive.app(folder) as (url, running):
            seen = drive.ask(told.model_copy(update={"url": url}), tool, folder, running)
        seen += drive.ask(told, "search", folder, None)
    return [(one, judge(one, known[one.feature])) for name in known for one in seen if one.feature == name]


def inputs(feature: Feature) -> list[dict[str, object]]:
    """What the feature's golden cases ask, but for those that must be refused."""
    return [c.inputs for c in cases.load(feature, "golden").cases if not c.expected_output.error]


def judge(seen: Seen, route: Route) -> Verdict:
    """Whether both shares, of slow answers and of errors, are surely within what [slo] allows."""
    slow = share(seen.slow, seen.requests, SLOW_SHARE, f"slower than {route.slow_ms} ms")
    wrong = share(seen.errors, seen.requests, route.error_rate, "errors")
    word = min(slow[0], wrong[0], key=WORST.index)
    lines = [f"{said}: {count}" for said, count in sorted(seen.said.items())]
    if word == "INCONCLUSIVE":
        least = math.ceil(Z2 * (1 / min(SLOW_SHARE, route.error_rate) - 1))
        lines.append(f"{least} requests without a fault would pass: ask longer (--seconds) or repair")
    said = f"{seen.way}: of {seen.requests} requests {slow[1]}; {wrong[1]}"
    return Verdict(seen.feature, "load", word, said, tuple(lines))


def share(bad: int, of: int, allowed: float, what: str) -> tuple[Word, str]:
    """The word on a share of requests, and its numbers; p95 <= limit means that at most 5 % are slower."""
    low, high = wilson(bad, of)
    word: Word = "BLOCK" if low > allowed else "PASS" if high <= allowed else "INCONCLUSIVE"
    said = f"{100 * bad / max(of, 1):.3g} [{100 * low:.3g}, {100 * high:.3g}] % {what}"
    return word, f"{said}, {100 * allowed:.3g} allowed"


def wilson(bad: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927); everything where nothing was asked."""
    if not of:
        return 0.0, 1.0
    middle = (bad + Z2 / 2) / (of + Z2)
    half = math.sqrt(Z2 * (bad * (of - bad) / of + Z2 / 4)) / (of + Z2)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def write(var: Path, rows: list[Row], told: Work, tool: str) -> Path:
    """Write load.json and load.html below `var`; returns the page."""
    folder = var / report.FOLDER
    content = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "passed": not any(verdict.stops for _, verdict in rows),
        "asked": {"tool": tool, **told.model_dump(exclude={"routes"})},
        "rows": [{**seen.model_dump(), "verdict": vars(verdict)} for seen, verdict in rows],
    }
    files.write_atomic(folder / "load.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    loader = FileSystemLoader(Path(__file__).parent / "pages")
    pages = Environment(loader=loader, autoescape=select_autoescape(["html"]), trim_blocks=True, lstrip_blocks=True)
    files.write_atomic(folder / "load.html", pages.get_template("load.html").render(content) + "\n")
    return folder / "load.html"


def table(rows: list[Row]) -> Table:
    """What was seen; `first` is the p95 of the time to the first word."""
    table = Table("route", *COLUMNS.values(), box=None, padding=(0, 1, 0, 0))
    for seen, _ in rows:
        values = [getattr(seen, name) for name in COLUMNS]
        table.add_row(f"{seen.feature} {seen.way}", *("-" if v is None else f"{v:.4g}" for v in values))
    return table
