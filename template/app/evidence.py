"""What the arms of a trial showed: sums over the usage rows of a step, added up by the database."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    String,
    TextClause,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    type_coerce,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from app import compare
from app.compare import Arm
from app.db import Json, Usage
from app.rollout import Evidence, Part

SLOW = 0.95
# So many answers that the guard has to mend are no breach.
SAFE = 0.001
# More unsafe answers than this are too many before anything is known of stable.
MOST = 0.25
# What the guard finds in the answer itself; what it finds in a question is no fault of the candidate's.
OF_ANSWERS = ("leak", "output-toxicity", "output-pii")
# How a request ends that an arm answered, or rightly refused; any other end is a failure of that arm.
WELL = ("ok", "blocked")
Sums = Mapping[str, Mapping[Part, Arm]]


async def arms(engine: AsyncEngine, names: list[str], unit: str, stable: str, since: datetime) -> Sums:
    """The sums of each arm since a time; `slow` is beside the p95 of the stable one.

    What came from the cache is left out: a new prompt has nothing in it yet.
    """
    limit_ms = await slow_ms(engine, stable, since)
    parts = counted(limit_ms)
    served = asked(since, *names)
    sums = [total(name, value, when) for name, (value, when) in parts.items()]
    columns = [column for pair in sums for column in pair]
    of_units = select(Usage.arm, *columns).where(*served).group_by(Usage.arm, *by(unit)).subquery()
    products = [func.count().label("units")]
    for name in parts:
        n, y = of_units.c[f"n_{name}"], of_units.c[f"y_{name}"]
        for label, value in (("n", n), ("y", y), ("nn", n * n), ("ny", n * y), ("yy", y * y)):
            products.append(func.sum(type_coerce(value, Float)).label(f"{label}_{name}"))
        products.append(func.count().filter(n > 0).label(f"units_{name}"))
    async with engine.connect() as connection:
        rows = await connection.execute(select(of_units.c.arm, *products).group_by(of_units.c.arm))
    found = [dict(row) for row in rows.mappings()]
    return {str(row["arm"]): {name: arm(row, name) for name in parts} for row in found}


def asked(since: datetime, *names: str) -> tuple[ColumnElement[bool] | TextClause, ...]:
    """The rows of arms since a time; the first condition is that of the index."""
    return text("arm <> ''"), Usage.arm.in_(names), Usage.at >= since, ~Usage.cached


def counted(limit_ms: float) -> dict[Part, tuple[ColumnElement[Any], ColumnElement[bool]]]:
    """Each part: what is added up, and over which requests."""
    ok, always = Usage.outcome == "ok", literal(1) == 1
    flags = cast(Usage.flags, String)
    found = or_(*(flags.contains(f'"{name}"') for name in OF_ANSWERS))
    return {
        "errors": (one(Usage.outcome.not_in(WELL)), always),
        "slow": (one(Usage.latency_ms > limit_ms), ok),
        "cost": (type_coerce(Usage.cost_usd, Float), ok & Usage.cost_usd.is_not(None)),
        "quality": (1 - Usage.quality, Usage.quality.is_not(None)),
        "invalid": (one(Usage.failed_models > 0), always),
        "flagged": (one(found), always),
    }


def one(holds: ColumnElement[bool]) -> ColumnElement[int]:
    """1 where it holds, else 0."""
    return case((holds, 1), else_=0)


def total(name: str, value: ColumnElement[Any], when: ColumnElement[bool]) -> tuple[Any, Any]:
    """Of one unit: how many requests count, and the sum over them."""
    number = func.sum(one(when)).label(f"n_{name}")
    return number, func.coalesce(func.sum(case((when, value), else_=0.0)), 0.0).label(f"y_{name}")


def by(unit: str) -> list[Any]:
    """The columns that name a unit."""
    named = {"tenant": [Usage.tenant_id], "user": [Usage.tenant_id, Usage.user_id], "request": [Usage.id]}
    return named[unit]


def arm(row: Mapping[str, Any], name: Part) -> Arm:
    """One part's sums as an arm."""
    sums = [float(row[f"{label}_{name}"] or 0) for label in ("n", "y", "nn", "ny", "yy")]
    return Arm(int(row[f"units_{name}"]), *sums)


async def slow_ms(engine: AsyncEngine, name: str, since: datetime) -> float:
    """The time that 95 of 100 answers of an arm took at most, nearest rank; without end where it has none."""
    its = *asked(since, name), Usage.outcome == "ok"
    async with engine.connect() as connection:
        count = await connection.scalar(select(func.count()).where(*its)) or 0
        query = select(Usage.latency_ms).where(*its).order_by(Usage.latency_ms)
        found = await connection.scalar(query.offset(max(0, int(SLOW * count) - 1)).limit(1))
    return float("inf") if found is None else float(found)


def breaches(new: Arm, old: Arm) -> tuple[str, ...]:
    """What the guard found in the candidate's answers, where chance does not explain it.

    Twice what stable has may be, and of few answers of stable nobody knows how much that is.
    """
    unsure = 2 * (old.y + 2) / (old.n + 2)
    allowed = max(SAFE, 2 * old.mean, min(unsure, MOST))
    is_one = compare.exceeds(new.y, new.n, allowed)
    return (f"{new.y:.0f} of {new.n:.0f} answers leaked, insulted or told personal data",) if is_one else ()


def paired(pairs: list[tuple[Json, Json]]) -> Evidence:
    """What a candidate and the stable version made of the same requests, and how they differ in each."""
    slow_ms = nearest([float(old["latency_ms"]) for _, old in pairs])
    measured: dict[Part, Callable[[Json], float | None]] = {
        "errors": lambda one: float(one["code"] not in WELL),
        "slow": lambda one: float(one["latency_ms"] > slow_ms),
        "cost": lambda one: one["cost_usd"],
        "quality": lambda one: 1 - one["score"],
        "invalid": lambda one: float(one["failed_models"] > 0),
        "flagged": lambda one: float(any(flag in OF_ANSWERS for flag in one["flags"])),
    }
    arms: list[dict[Part, Arm]] = [{}, {}, {}]
    for part, value in measured.items():
        found = [(value(new), value(old)) for new, old in pairs]
        known = [(a, b) for a, b in found if a is not None and b is not None]
        columns = [a for a, _ in known], [b for _, b in known], [a - b for a, b in known]
        for held, column in zip(arms, columns, strict=True):
            held[part] = summed(column)
    new, old, apart = arms
    return Evidence(new, old, len(pairs), paired=apart)


def summed(values: list[float]) -> Arm:
    """An arm of single requests."""
    count = len(values)
    return Arm(count, count, sum(values), count, sum(values), sum(value * value for value in values))


def nearest(values: list[float]) -> float:
    """The p95, nearest rank; without end of nothing."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(SLOW * len(ranked)) - 1)] if ranked else math.inf
