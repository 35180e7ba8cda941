"""What was asked and answered, kept for its tenant; what waits or was abandoned is a job for a worker."""

import time
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import db
from app.db import Json, Result
from app.errors import NotFound, QueueFull
from app.row import Row

# A stream's or a job's answer must be there when its client comes back, also where nothing else is kept.
SHORTEST = timedelta(hours=1)
COUNT_EVERY_S = 0.25
MAX_TURNS = 1_000
OPEN = ("waiting", "queued")
SETTLED = ("done", "failed")
Owner = tuple[str, str, str]  # of a turn: tenant, user and conversation


def new(
    row: Row, given: Json, conversation: str, days: int, state: str, body: Json | None, lease_s: float = 0
) -> Json:
    """The columns of a result, with or without its answer, to be kept for so many days."""
    return {
        "id": row.id, "tenant_id": row.tenant_id, "user_id": row.user_id, "conversation_id": conversation,
        "feature": row.feature, "given": given, "state": state, "body": body, "summary": "",
        "lease_until": until(lease_s) if lease_s else None, "created_at": row.at,
        "expires_at": row.at + max(SHORTEST, timedelta(days=days)),
    }  # fmt: skip


def until(wait_s: float) -> datetime:
    """The time in so many seconds."""
    return db.now() + timedelta(seconds=wait_s)


async def fetch(engine: AsyncEngine, tenant: str, name: str) -> Result:
    """A result of this tenant; raise NotFound for any other, so that nobody learns which ids exist."""
    found = await load(engine, name)
    if found is None or found.tenant_id != tenant or is_expired(found):
        raise NotFound(f"no result '{name[:40]}'")
    return found


def is_expired(found: Result) -> bool:
    """Whether its time is over; what has no answer yet is still owed one."""
    return found.state in SETTLED and db.aware(found.expires_at) < db.now()


async def load(engine: AsyncEngine, name: str) -> Result | None:
    """A result by its id, whoever's it is."""
    async with AsyncSession(engine) as session:
        return await session.get(Result, name)


async def depth(engine: AsyncEngine) -> Counter[str]:
    """How many jobs of each tenant wait or run."""
    query = select(Result.tenant_id, func.count()).where(Result.state.in_(OPEN)).group_by(Result.tenant_id)
    async with AsyncSession(engine) as session:
        return Counter(dict((await session.execute(query)).all()))


class Queue:
    """How many jobs wait: counted a few times a second, and what this process adds in between."""

    def __init__(self, engine: AsyncEngine, limit: int, tenant_limit: int) -> None:
        self.engine, self.limit, self.tenant_limit = engine, limit, tenant_limit
        self.waiting: Counter[str] = Counter()
        self.counted_s = 0.0

    async def admit(self, tenant: str) -> None:
        """Make room for one more of this tenant; raise QueueFull when it or all together have too many."""
        now = time.monotonic()
        if now - self.counted_s > COUNT_EVERY_S:
            self.counted_s = now
            self.waiting = await depth(self.engine)
        if self.waiting[tenant] >= self.tenant_limit:
            raise QueueFull(f"{self.tenant_limit} of your requests wait already; try again in a few seconds")
        if self.waiting.total() >= self.limit:
            raise QueueFull(f"{self.limit} requests wait already; try again in a few seconds")
        self.waiting[tenant] += 1


async def hold(engine: AsyncEngine, names: list[str], lease_s: float) -> None:
    """Say that this process still writes these results."""
    mine = Result.id.in_(names), Result.state == "running"
    await db.execute(engine, update(Result).where(*mine).values(lease_until=until(lease_s)))


async def due(engine: AsyncEngine, limit: int) -> list[Result]:
    """What a worker must take: results that wait, and those whose process has stopped holding them."""
    is_over = Result.lease_until < db.now()
    waiting = (Result.state == "waiting") & (Result.lease_until.is_(None) | is_over)
    dead = (Result.state == "running") & is_over
    query = select(Result).where(waiting | dead).order_by(Result.created_at)
    return await db.rows(engine, query.limit(limit))


async def queued(engine: AsyncEngine, names: list[str]) -> None:
    """Say that the job queue has these now."""
    open_ = (Result.id.in_(names), Result.state.in_(("waiting", "running")))
    await db.execute(engine, update(Result).where(*open_).values(state="queued", lease_until=None))


async def put_back(engine: AsyncEngine, name: str, wait_s: float) -> None:
    """Let a job wait again, so long at least: what it needs is away."""
    mine = Result.id == name, Result.state.not_in(SETTLED)
    await db.execute(engine, update(Result).where(*mine).values(state="waiting", lease_until=until(wait_s)))


async def overdue(engine: AsyncEngine, age: timedelta, limit: int) -> list[str]:
    """The ids of the oldest results that the job queue has had for so long."""
    taken = Result.state.in_(("queued", "running")), Result.lease_until.is_(None)
    query = select(Result.id).where(*taken, Result.created_at < db.now() - age)
    return await db.rows(engine, query.order_by(Result.created_at).limit(limit))


async def forget(engine: AsyncEngine) -> int:
    """Delete what has expired; returns how many results went."""
    expired = Result.state.in_(SETTLED), Result.expires_at < db.now()
    return await db.execute(engine, delete(Result).where(*expired))


async def turns(engine: AsyncEngine, tenant: str, user: str, conversation: str) -> list[Result]:
    """The last MAX_TURNS turns of a conversation, the oldest first; of its own tenant and user alone."""
    query = select(Result).where(*owned(tenant, user, conversation), Result.state == "done")
    newest = query.order_by(Result.created_at.desc(), Result.id.desc()).limit(MAX_TURNS)
    return (await db.rows(engine, newest))[::-1]


async def recent(engine: AsyncEngine, tenant: str, user: str, conversation: str) -> list[Result]:
    """The turns from the one with the last summary on, which holds all before it; the oldest first."""
    held = owned(tenant, user, conversation)
    last = select(func.max(Result.created_at)).where(*held, Result.summary != "").scalar_subquery()
    fresh = or_(last.is_(None), Result.created_at >= last)
    query = select(Result).where(*held, Result.state == "done", fresh)
    return await db.rows(engine, query.order_by(Result.created_at, Result.id))


async def erase(engine: AsyncEngine, tenant: str, user: str, conversation: str) -> int:
    """Delete a conversation; returns how many turns went."""
    return await db.execute(engine, delete(Result).where(*owned(tenant, user, conversation)))


async def summarise(engine: AsyncEngine, name: str, summary: str) -> None:
    """Keep what was said up to and with this turn in short."""
    summary = summary.replace("\0", " ")  # PostgreSQL takes it in JSON, not in a text
    await db.execute(engine, update(Result).where(Result.id == name).values(summary=summary))


def owned(tenant: str, user: str, conversation: str) -> tuple[Any, ...]:
    """The rows of one conversation that are not expired."""
    mine = Result.tenant_id == tenant, Result.user_id == user, Result.conversation_id == conversation
    return *mine, Result.expires_at > db.now()
