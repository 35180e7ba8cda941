"""Hold what load programs saw of each route against the SLOs of feature.toml; few requests prove nothing."""

import math

from app.features import Feature
from app.services import Plan
from app.slo import SLOW_SHARE
from gate import stats
from gate.errors import LoadFailed
from gate.judge import Verdict, Word
from load import drive, routes
from load.seen import Seen
from load.work import Route, Work

Row = tuple[Seen, Verdict]
WORST: tuple[Word, ...] = ("BLOCK", "INCONCLUSIVE", "PASS")


def run(plan: Plan, features: list[Feature], told: Work, tool: str) -> list[Row]:
    """Ask every route; raise LoadFailed if that comes to no end."""
    known = {feature.name: routes.route(feature) for feature in features}
    told = told.model_copy(update={"routes": list(known.values())})
    seen = drive.run(told, plan.settings.var_dir, tool)
    if missing := known.keys() - {one.feature for one in seen}:
        raise LoadFailed(f"{tool} saw nothing of {', '.join(sorted(missing))}; see its log in var/load")
    return [(one, judge(one, known[one.feature])) for name in known for one in seen if one.feature == name]


def judge(seen: Seen, route: Route) -> Verdict:
    """Whether both shares, of slow answers and of errors, are surely within what [slo] allows."""
    slow = share(seen.slow, seen.requests, SLOW_SHARE, f"slower than {route.slow_ms} ms")
    wrong = share(seen.errors, seen.requests, route.error_rate, "errors")
    word = min(slow[0], wrong[0], key=WORST.index)
    lines = [f"{said}: {count}" for said, count in sorted(seen.said.items())]
    if word == "PASS" and seen.refused > route.error_rate * (seen.requests + seen.refused):
        word = "INCONCLUSIVE"
        lines.append(f"{seen.refused} were refused: ask with fewer --users, or raise that limit")
    elif word == "INCONCLUSIVE":
        n = math.ceil(stats.Z**2 * (1 / min(SLOW_SHARE, route.error_rate) - 1))
        lines.append(f"neither surely within nor beyond: ask longer (--seconds); a clean pass needs {n}")
    said = f"{seen.way}: {seen.requests} requests, {slow[1]}; {wrong[1]}"
    return Verdict(seen.feature, "load", word, said, tuple(lines))


def share(bad: int, of: int, allowed: float, what: str) -> tuple[Word, str]:
    """The word on a share of requests, and its numbers; p95 <= limit means that at most 5 % are slower."""
    low, high = stats.wilson(bad, of)
    word: Word = "BLOCK" if low > allowed else "PASS" if high <= allowed else "INCONCLUSIVE"
    said = f"{100 * bad / max(of, 1):.3g} % [{100 * low:.3g}, {100 * high:.3g}] {what}"
    return word, f"{said}, {100 * allowed:.3g} % allowed"
