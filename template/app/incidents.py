"""Incidents: what broke, since when, when it was seen and over, and the requests that show it."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import db, evidence, rollout, seed, slo, trials
from app.db import Alert, Json, Usage
from app.errors import NotFound
from app.evidence import OF_ANSWERS
from app.features import Feature
from app.ledger import Incident, Shadow, Trial
from app.rollout import Part
from app.row import OURS, SERVED

CASES = 20
BAD = 0.5
# What makes an answer a bad one where no part is named.
FAULTS: tuple[Part, ...] = ("errors", "invalid", "flagged", "quality")
# The start of what an alert saw is looked for in steps of this length, so far back.
STEP, LONGEST = timedelta(minutes=5), timedelta(seconds=slo.SPANS["6h"])


async def of_rollbacks(engine: AsyncEngine, now: datetime) -> None:
    """An incident for each trial that was taken back and has none: whoever did it may have died then."""
    query = select(Trial).where(Trial.state == "rolled-back", Trial.id.not_in(select(Incident.cause)))
    for trial in await db.rows(engine, query):
        await of_rollback(engine, trial, now)


async def of_rollback(engine: AsyncEngine, trial: Trial, now: datetime) -> None:
    """Write down a trial that was taken back, with the worst answers of all that it tried."""
    cases, began = await failing(engine, trial)
    seen_at = db.aware(trial.stepped_at)
    incident = Incident(
        id=uuid.uuid4().hex[:12], feature=trial.feature, cause=trial.id, said=trial.said, cases=cases,
        began_at=min(began or seen_at, seen_at), detected_at=seen_at, restored_at=now,
    )  # fmt: skip
    async with AsyncSession(engine) as session, session.begin():
        session.add(incident)


async def failing(engine: AsyncEngine, trial: Trial) -> tuple[list[Json], datetime | None]:
    """The worst requests in the part that ended the trial, with their fault; and when the first one came.

    What callers saw comes before what the shadow did.
    """
    part = blamed(trial.said)
    bad, worst = await worst_first(engine, trial, part)
    tried = Usage.arm.in_([arm for arm, release in trial.arms.items() if release])
    query = select(Usage).where(tried, bad)
    rows = await db.rows(engine, query.order_by(worst.desc(), Usage.at.desc()).limit(CASES))
    cases: list[Json] = [{"id": row.id, "fault": fault(part, seen(row))} for row in rows]
    unseen = await shadowed(engine, trial, part)
    for one, new in unseen[: CASES - len(cases)]:
        answer = {"input": one.given, "answer": new["output"], "prompt": new["prompt"]}
        cases.append({"id": one.id, "fault": fault(part, new), **answer})
    async with engine.connect() as connection:
        began = await connection.scalar(select(func.min(Usage.at)).where(tried, bad))
    began = began or min((one.at for one, _ in unseen), default=None)
    return cases, db.aware(began) if began else None


def blamed(said: str) -> Part | None:
    """The part that ended a trial, by its reason in words."""
    if "safety: " in said:
        return "flagged"
    return next((part for part, words in rollout.SAID.items() if f"{words}: " in said), None)


async def worst_first(
    engine: AsyncEngine, trial: Trial, part: Part | None
) -> tuple[ColumnElement[bool], SQLColumnExpression[Any]]:
    """Which requests are bad in a part, or at all; and what is largest of the worst one."""
    counted = evidence.counted(await evidence.slow_ms(engine, trial.id + trials.STABLE, db.aware(trial.at)))
    if part:
        value, counts = counted[part]
        return counts & (value > 0), Usage.latency_ms if part == "slow" else value
    least = {"quality": 1 - BAD}
    parts = {name: counted[name] for name in FAULTS}
    return or_(*(counts & (value > least.get(name, 0)) for name, (value, counts) in parts.items())), Usage.at


async def shadowed(engine: AsyncEngine, trial: Trial, part: Part | None) -> list[tuple[Shadow, Json]]:
    """What the candidate answered worse than stable in the shadow, the worst first."""
    query = select(Shadow).where(Shadow.trial_id == trial.id, Shadow.state == "done").order_by(Shadow.at)
    found = []
    for one in await db.rows(engine, query):
        new = one.candidate or {}
        apart = evidence.paired([(new, one.stable)]).paired
        lost = max(apart[name].y for name in ([part] if part else FAULTS))
        if lost > 0:
            found.append(((lost, new["latency_ms"]), one, new))
    return [(one, new) for _, one, new in sorted(found, key=lambda held: held[0], reverse=True)]


def seen(row: Usage) -> Json:
    """A request as the shadow keeps its answers."""
    return {
        "code": row.outcome, "score": row.quality, "flags": row.flags, "latency_ms": row.latency_ms,
        "cost_usd": row.cost_usd, "failed_models": row.failed_models,
    }  # fmt: skip


def fault(part: Part | None, one: Json) -> str:
    """What was wrong with an answer, in a few words."""
    if part == "slow":
        return f"took {one['latency_ms']:.0f} ms"
    if part == "cost":
        return f"cost {one['cost_usd']:.6f} USD"
    found = [one["code"]] if one["code"] != "ok" else []
    found += [flag for flag in one["flags"] if flag in OF_ANSWERS]
    if not found and one["failed_models"] and part != "quality":
        found.append(f"models without a valid answer: {one['failed_models']}")
    return ", ".join(found) or f"quality {one['score'] or 0:.2f}"


async def of_alerts(engine: AsyncEngine, features: Mapping[str, Feature]) -> None:
    """An incident for each promise whose alert pages and that has none; one whose alert is over is over."""
    is_new = Alert.resolved_at.is_(None), Alert.id.not_in(select(Incident.cause))
    paging = select(Alert).where(Alert.severity == "page", Alert.name.startswith("slo-"), *is_new)
    ended = select(Alert.resolved_at).where(Alert.id == Incident.cause).scalar_subquery()
    over = update(Incident).where(Incident.restored_at.is_(None), ended.is_not(None))
    async with AsyncSession(engine) as session, session.begin():
        await session.execute(over.values(restored_at=ended).execution_options(synchronize_session=False))
        for alert in (await session.scalars(paging)).all():
            session.add(await of_alert(session, alert, features[alert.subject]))


async def of_alert(session: AsyncSession, alert: Alert, feature: Feature) -> Incident:
    """What an alert saw, with the last requests that broke the promise."""
    promise = next(one for one in slo.promises(feature) if f"slo-{one.slo}" == alert.name)
    is_slow, ours = promise.slo == "latency", Usage.outcome.in_(OURS)
    late = Usage.outcome.in_(SERVED) & (Usage.latency_ms > feature.spec.slo.p95_ms)
    broke = (late if is_slow else ours) & (Usage.feature == feature.name) & (Usage.model != seed.MODEL)
    rows = await session.scalars(select(Usage).where(broke).order_by(Usage.at.desc()).limit(CASES))
    cases = [{"id": row.id, "fault": fault("slow" if is_slow else "errors", seen(row))} for row in rows]
    return Incident(
        id=uuid.uuid4().hex[:12], feature=feature.name, cause=alert.id, said=alert.said, cases=cases,
        began_at=await started(session, db.aware(alert.at), broke, promise), detected_at=alert.at,
    )  # fmt: skip


async def started(
    session: AsyncSession, at: datetime, broke: ColumnElement[bool], promise: slo.Promise
) -> datetime:
    """The first request of those before `at` that broke the promise without five minutes that kept it."""
    first, until = at, at
    bad, served = func.count().filter(broke), func.count().filter(Usage.outcome.in_(SERVED))
    while until > at - LONGEST:
        span = Usage.feature == promise.feature, Usage.at >= until - STEP, Usage.at < until
        query = select(bad, served, func.min(Usage.at).filter(broke)).where(*span, Usage.model != seed.MODEL)
        failed, count, earliest = (await session.execute(query)).one()
        if count and failed <= count * promise.allowed:
            break
        first, until = db.aware(earliest or first), until - STEP
    return first


async def every(engine: AsyncEngine) -> list[Incident]:
    """All of them, the newest first."""
    return await db.rows(engine, select(Incident).order_by(Incident.detected_at.desc()))


async def find(engine: AsyncEngine, name: str) -> Incident:
    """An incident by its id; raise NotFound where there is none."""
    async with AsyncSession(engine) as session:
        found = await session.get(Incident, name)
    if found is None:
        raise NotFound(f"no incident '{name[:40]}'")
    return found


def span(incident: Incident) -> str:
    """How long it lasted."""
    if incident.restored_at is None:
        return "open"
    return told(db.aware(incident.restored_at) - db.aware(incident.began_at))


def detected_after(incident: Incident) -> str:
    """How long nobody knew of it."""
    return told(db.aware(incident.detected_at) - db.aware(incident.began_at))


def told(span: timedelta | None) -> str:
    """A span of time as a person reads it."""
    seconds = span.total_seconds() if span else 0.0
    if seconds >= 7_200:
        return f"{seconds / 3_600:.1f} h"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def mean_times(found: list[Incident]) -> tuple[timedelta | None, timedelta | None]:
    """Mean time to detect and to restore, of those that are over; None of none."""
    over = [(db.aware(one.began_at), db.aware(one.detected_at), db.aware(one.restored_at))
            for one in found if one.restored_at]  # fmt: skip
    if not over:
        return None, None
    detect = fmean((seen - began).total_seconds() for began, seen, _ in over)
    restore = fmean((restored - began).total_seconds() for began, _, restored in over)
    return timedelta(seconds=detect), timedelta(seconds=restore)
