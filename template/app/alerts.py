"""Alerts are rows: opened once, resolved when over, told by each hook until that succeeds; so is news."""

import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import Insert, and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import db
from app.db import Alert

Severity = Literal["page", "ticket", "news"]
NEWS: Severity = "news"
Hook = Literal["notified_at", "mailed_at"]
# An alert that was over this long ago is no news.
STALE = timedelta(days=1)


@dataclass(frozen=True)
class Finding:
    """Something that is wrong now; with an `id` of its own it becomes an alert only once, ever."""

    name: str
    subject: str
    severity: Severity
    said: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


async def settle(engine: AsyncEngine, found: list[Finding], now: datetime) -> None:
    """Open an alert for each finding that has none, and resolve those that are found no longer."""
    wrong: dict[tuple[str, str, str], Finding] = {(f.name, f.subject, f.severity): f for f in found}
    insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    async with AsyncSession(engine) as session, session.begin():
        held = await session.scalars(select(Alert).where(Alert.resolved_at.is_(None)))
        for alert in held:
            if wrong.pop((alert.name, alert.subject, alert.severity), None) is None:
                alert.resolved_at = now
        if wrong:
            rows = [{**asdict(item), "at": now} for item in wrong.values()]
            await session.execute(insert(Alert).on_conflict_do_nothing(), rows)


def news(engine: AsyncEngine, name: str, subject: str, said: str, id: str = "") -> Insert:
    """The statement that tells something once, for the transaction that it belongs to: it is over at once."""
    insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    found, at = Finding(name, subject, NEWS, said, id or uuid.uuid4().hex), db.now()
    return insert(Alert).values({**asdict(found), "at": at, "resolved_at": at}).on_conflict_do_nothing()


async def every(engine: AsyncEngine, *, resolved: bool) -> list[Alert]:
    """Alerts, the open ones first, then the newest."""
    query = select(Alert).order_by(Alert.resolved_at.is_not(None), Alert.at.desc())
    return await db.rows(engine, query if resolved else query.where(Alert.resolved_at.is_(None)))


async def untold(engine: AsyncEngine, hook: Hook, now: datetime) -> list[Alert]:
    """News, and alerts whose opening or end this hook has not sent yet, the oldest first."""
    told = getattr(Alert, hook)
    due = or_(told.is_(None), and_(told < Alert.resolved_at, Alert.severity != NEWS))
    fresh = or_(Alert.resolved_at.is_(None), Alert.resolved_at > now - STALE)
    return await db.rows(engine, select(Alert).where(due, fresh).order_by(Alert.at))


async def told(engine: AsyncEngine, alert: Alert, hook: Hook, at: datetime) -> None:
    """Note that the hook has sent the alert as it was at this time."""
    await db.execute(engine, update(Alert).where(Alert.id == alert.id).values({hook: at}))


def when(at: datetime) -> str:
    """A time of the database, which may have left out its zone, as people and programs read it."""
    return db.aware(at).astimezone(UTC).isoformat(timespec="seconds")
