"""Tenants and their API keys. A key is shown once; its keyed hash is what we keep."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import db, settings
from app.db import ApiKey, Tenant, Usage
from app.errors import Invalid, NotAllowed, NotFound, OverBudget, Unauthorized
from app.settings import Settings

OPEN = "local"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True)
class Caller:
    """The tenant behind a request."""

    id: str


async def authenticate(engine: AsyncEngine, config: Settings, key: str) -> Caller:
    """The tenant that owns the key; raise Unauthorized, NotAllowed (paused) or OverBudget."""
    if config.auth == "open" and not key:
        return Caller(OPEN)
    if config.auth == "open" and not config.pepper.get_secret_value():
        raise Unauthorized("no keys are set up here: leave the key out, or set APP_PEPPER")
    async with AsyncSession(engine) as session:
        owned = (
            select(Tenant).join(ApiKey).where(ApiKey.hash == digest(config, key), ApiKey.revoked_at.is_(None))
        )
        tenant = (await session.scalars(owned)).one_or_none() if key else None
        if tenant is None:
            raise Unauthorized("send a valid key in the header: Authorization: Bearer <key>")
        if tenant.paused:
            raise NotAllowed(f"tenant '{tenant.id}' is paused; ask the operator")
        if tenant.budget_usd is not None and await spent_usd(session, tenant.id) >= tenant.budget_usd:
            raise OverBudget(f"the budget of {tenant.budget_usd:.2f} USD for this month is spent")
        return Caller(tenant.id)


def bearer(headers: Mapping[str, str]) -> str:
    """The key that a request carries, or nothing."""
    kind, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else ""


async def spent_usd(session: AsyncSession, tenant: str) -> Decimal:
    """What the tenant has spent since the first of the month, UTC."""
    month = db.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    total = select(func.sum(Usage.cost_usd)).where(Usage.tenant_id == tenant, Usage.at >= month)
    return Decimal(await session.scalar(total) or 0)


def digest(config: Settings, key: str) -> str:
    """HMAC-SHA256 of a key under the pepper: a stolen database alone verifies nothing."""
    return hmac.new(settings.pepper(config), key.encode(), hashlib.sha256).hexdigest()


async def add(engine: AsyncEngine, tenant: str, name: str, budget_usd: Decimal | None) -> None:
    """Create a tenant; raise Invalid for a bad name or budget, or one that is there."""
    if not NAME.fullmatch(tenant):
        raise Invalid(f"tenant '{tenant}': use a-z, 0-9 and dashes, at most 40 characters")
    if budget_usd is not None and not (budget_usd.is_finite() and budget_usd >= 0):
        raise Invalid(f"budget {budget_usd}: give dollars a month, 0 or more")
    async with AsyncSession(engine) as session, session.begin():
        if await session.get(Tenant, tenant):
            raise Invalid(f"tenant '{tenant}' is there already")
        session.add(Tenant(id=tenant, name=name, budget_usd=budget_usd))


async def create_key(engine: AsyncEngine, config: Settings, tenant: str) -> str:
    """A new key for the tenant; the only time that it can be read."""
    key = f"sw_{secrets.token_urlsafe(32)}"
    async with AsyncSession(engine) as session, session.begin():
        if await session.get(Tenant, tenant) is None:
            raise NotFound(f"no tenant '{tenant}'; create it with: uv run app tenant add {tenant}")
        session.add(ApiKey(hash=digest(config, key), tenant_id=tenant, hint=key[-4:]))
    return key


async def revoke_keys(engine: AsyncEngine, tenant: str) -> int:
    """Revoke every key of the tenant; returns how many were live."""
    live = (ApiKey.tenant_id == tenant, ApiKey.revoked_at.is_(None))
    async with AsyncSession(engine) as session, session.begin():
        if await session.get(Tenant, tenant) is None:
            raise NotFound(f"no tenant '{tenant}'; see: uv run app tenant list")
        count = await session.scalar(select(func.count()).select_from(ApiKey).where(*live))
        await session.execute(update(ApiKey).where(*live).values(revoked_at=db.now()))
    return count or 0


async def every(engine: AsyncEngine) -> list[Tenant]:
    """All tenants, by name."""
    async with AsyncSession(engine) as session:
        return list(await session.scalars(select(Tenant).order_by(Tenant.id)))
