"""Incidents: what broke, since when, when it was seen and over, and the requests that show it."""

import uuid
from datetime import datetime, timedelta
from statistics import fmean

from sqlalchemy import String, cast, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import alerts, db, trials
from app.alerts import Finding
from app.db import Alert, Json, Usage
from app.errors import NotFound
from app.evidence import OF_ANSWERS
from app.ledger import Incident, Shadow, Trial
from app.row import OURS

CASES = 20
BAD = 0.5
PAGE = "page"


async def of_rollbacks(engine: AsyncEngine, now: datetime) -> None:
    """An incident for each candidate that was taken back and has none: whoever did it may have died then."""
    query = select(Trial).where(Trial.state == "rolled-back", Trial.id.not_in(select(Incident.cause)))
    for trial in await db.rows(engine, query):
        await of_rollback(engine, trial, now)


async def of_rollback(engine: AsyncEngine, trial: Trial, now: datetime) -> None:
    """Write down a candidate that was taken back, with its worst answers; tell who listens."""
    cases, began = await failing(engine, trial)
    name, said, seen_at = uuid.uuid4().hex[:12], trial.said, trials.since(trial.stepped_at)
    incident = Incident(
        id=name, feature=trial.feature, cause=trial.id, said=said, cases=cases,
        began_at=min(began or trials.since(trial.at), seen_at), detected_at=seen_at, restored_at=now,
    )  # fmt: skip
    news = Finding("rollback", trial.feature, "ticket", f"{trial.id}: {said}", name)
    async with AsyncSession(engine) as session, session.begin():
        session.add(incident)
        await session.execute(alerts.opening(engine, news))


async def failing(engine: AsyncEngine, trial: Trial) -> tuple[list[Json], datetime | None]:
    """The candidate's worst requests with their fault, the newest first; and when the first one came."""
    arm, flags = trial.id + trials.CANDIDATE, cast(Usage.flags, String)
    unsafe = or_(*(flags.contains(f'"{name}"') for name in OF_ANSWERS))
    bad = or_(Usage.outcome.in_(OURS), Usage.quality < BAD, unsafe)
    worst = select(Usage).where(Usage.arm == arm, bad).order_by(Usage.at.desc())
    rows = await db.rows(engine, worst.limit(CASES))
    cases: list[Json] = [{"id": row.id, "fault": fault(row.outcome, row.quality, row.flags)} for row in rows]
    query = select(Shadow).where(Shadow.trial_id == trial.id, Shadow.state == "done")
    shadowed = await db.rows(engine, query.order_by(Shadow.at.desc()))
    for one in shadowed:
        new, old = one.candidate or {}, one.stable
        if len(cases) < CASES and (new["code"] != old["code"] or new["score"] < old["score"]):
            told = fault(new["code"], new["score"], new["flags"])
            answer = {"answer": new["output"], "prompt": new["prompt"]}
            cases.append({"id": one.id, "fault": told, "input": one.given, **answer})
    times = [trials.since(row.at) for row in rows] + [trials.since(one.at) for one in shadowed]
    return cases, min(times, default=None)


def fault(outcome: str, quality: float | None, flags: list[str]) -> str:
    """What was wrong with an answer, in a few words."""
    found = [outcome] if outcome != "ok" else []
    found += [flag for flag in flags if flag in OF_ANSWERS]
    return ", ".join(found) or f"quality {quality or 0:.2f}"


async def of_alerts(engine: AsyncEngine, now: datetime) -> None:
    """An incident for each alert that pages and has none; those whose alert is over are over."""
    async with AsyncSession(engine) as session, session.begin():
        known = set(await session.scalars(select(Incident.cause)))
        paging = await session.scalars(select(Alert).where(Alert.severity == PAGE))
        for alert in paging:
            if alert.id not in known and alert.resolved_at is None:
                feature = alert.subject.partition(" ")[0]
                session.add(
                    Incident(
                        id=uuid.uuid4().hex[:12], feature=feature, cause=alert.id, said=alert.said,
                        began_at=alert.at, detected_at=now, cases=await recent(session, feature),
                    )
                )  # fmt: skip
            elif alert.resolved_at is not None:
                over = Incident.cause == alert.id, Incident.restored_at.is_(None)
                await session.execute(update(Incident).where(*over).values(restored_at=alert.resolved_at))


async def recent(session: AsyncSession, feature: str) -> list[Json]:
    """The last requests of a feature that failed."""
    query = select(Usage).where(Usage.feature == feature, Usage.outcome.in_(OURS))
    rows = await session.scalars(query.order_by(Usage.at.desc()).limit(CASES))
    return [{"id": row.id, "fault": row.outcome} for row in rows]


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
    return told(trials.since(incident.restored_at) - trials.since(incident.began_at))


def told(span: timedelta | None) -> str:
    """A span of time as a person reads it."""
    seconds = span.total_seconds() if span else 0.0
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def mean_times(found: list[Incident]) -> tuple[timedelta | None, timedelta | None]:
    """Mean time to detect and to restore, of those that are over; None of none."""
    over = [(trials.since(one.began_at), trials.since(one.detected_at), trials.since(one.restored_at))
            for one in found if one.restored_at]  # fmt: skip
    if not over:
        return None, None
    detect = fmean((seen - began).total_seconds() for began, seen, _ in over)
    restore = fmean((restored - began).total_seconds() for began, _, restored in over)
    return timedelta(seconds=detect), timedelta(seconds=restore)
