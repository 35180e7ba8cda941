"""Tenants and their API keys. A key is shown once; its keyed hash is what we keep."""

import hashlib
import hmac
import math
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import db, settings
from app.db import ApiKey, Spend, Tenant
from app.errors import Invalid, NotFound
from app.settings import Settings

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
# The lowest of each, what the database can no longer hold, and what it counts.
LIMITS = {
    "budget_usd": (0, 10**8, "dollars a month"),
    "budget_tokens": (0, 10**15, "tokens a month"),
    "rate_per_minute": (1, 10**9, "requests a minute"),
}
Limit = bool | int | Decimal | None


def bearer(headers: Mapping[str, str]) -> str:
    """The key that a request carries, or nothing."""
    kind, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else ""


def digest(config: Settings, key: str) -> str:
    """HMAC-SHA256 of a key under the pepper: a stolen database alone verifies nothing."""
    return hmac.new(settings.pepper(config), key.encode(), hashlib.sha256).hexdigest()


async def add(engine: AsyncEngine, tenant: str, name: str, budget_usd: Decimal | None) -> None:
    """Create a tenant; raise Invalid for a bad name or budget, or one that is there. `change` limits it."""
    require_name(tenant)
    require_limits({"budget_usd": budget_usd})
    async with AsyncSession(engine) as session, session.begin():
        if await session.get(Tenant, tenant):
            raise Invalid(f"tenant '{tenant}' is there already")
        session.add(Tenant(id=tenant, name=name, budget_usd=budget_usd))


def require_name(tenant: str) -> None:
    """Raise Invalid for what cannot be a tenant's name."""
    if not NAME.fullmatch(tenant):
        raise Invalid(f"tenant '{tenant}': use a-z, 0-9 and dashes, at most 40 characters")


def require_limits(values: Mapping[str, Limit]) -> None:
    """Raise Invalid for a limit that is no amount; None is without one."""
    for name, (lowest, end, unit) in LIMITS.items():
        value = values.get(name)
        if value is not None and not (math.isfinite(value) and lowest <= value < end):
            raise Invalid(f"{name} {value}: give {unit}, {lowest} or more, less than {end:,}")


async def change(engine: AsyncEngine, tenant: str, **values: Limit) -> None:
    """Set `paused`, `shadow`, a budget or `rate_per_minute`; raise Invalid or NotFound."""
    require_limits(values)
    async with about(engine, tenant) as session:
        await session.execute(update(Tenant).where(Tenant.id == tenant).values(**values))


@asynccontextmanager
async def about(engine: AsyncEngine, tenant: str) -> AsyncIterator[AsyncSession]:
    """A transaction about a tenant; raise NotFound unless it is there."""
    async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
        if await session.get(Tenant, tenant) is None:
            how = f"create it with: uv run app tenant add {tenant}; all: uv run app tenant list"
            raise NotFound(f"no tenant '{tenant}'; {how}")
        yield session


async def spent(engine: AsyncEngine) -> dict[str, Spend]:
    """What each tenant spent in this month (UTC), by its name."""
    rows = await db.rows(engine, select(Spend).where(Spend.month == f"{db.now():%Y-%m}"))
    return {row.tenant_id: row for row in rows}


async def keys(engine: AsyncEngine, tenant: str) -> list[ApiKey]:
    """The tenant's keys, the newest first; only their last four characters are known."""
    async with about(engine, tenant) as session:
        query = select(ApiKey).where(ApiKey.tenant_id == tenant).order_by(ApiKey.created_at.desc())
        return list(await session.scalars(query))


async def create_key(engine: AsyncEngine, config: Settings, tenant: str) -> str:
    """A new key for the tenant; the only time that it can be read."""
    async with about(engine, tenant) as session:
        return new_key(session, config, tenant)


def new_key(session: AsyncSession, config: Settings, tenant: str) -> str:
    """A key that is good when the session's transaction is."""
    key = f"sw_{secrets.token_urlsafe(32)}"
    session.add(ApiKey(hash=digest(config, key), tenant_id=tenant, hint=key[-4:]))
    return key


async def rotate_key(engine: AsyncEngine, config: Settings, tenant: str, overlap: timedelta) -> str:
    """A new key; the others end after the overlap, or at the earlier time that they have."""
    ends, held = db.now() + overlap, ApiKey.expires_at
    later = (ApiKey.tenant_id == tenant, ApiKey.revoked_at.is_(None), or_(held.is_(None), held > ends))
    async with about(engine, tenant) as session:
        await session.execute(update(ApiKey).where(*later).values(expires_at=ends))
        return new_key(session, config, tenant)


async def revoke_keys(engine: AsyncEngine, tenant: str, hint: str = "") -> int:
    """Revoke the tenant's keys, or the one that ends in `hint`; returns how many were live."""
    live = [ApiKey.tenant_id == tenant, ApiKey.revoked_at.is_(None)]
    live += [ApiKey.hint == hint] if hint else []
    async with about(engine, tenant) as session:
        done = await session.execute(update(ApiKey).where(*live).values(revoked_at=db.now()))
        return int(done.rowcount)  # type: ignore[attr-defined]


async def every(engine: AsyncEngine) -> list[Tenant]:
    """All tenants, by name."""
    return await db.rows(engine, select(Tenant).order_by(Tenant.id))
