"""Who asks: the tenant behind a key, looked up in the database at most once every few seconds."""

import asyncio
import time
from dataclasses import dataclass, replace
from decimal import Decimal

from cachetools import LRUCache
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import db, tenants
from app.db import ApiKey, Spend, Tenant
from app.errors import AppError, NotAllowed, OverBudget, Unauthorized
from app.settings import Settings

OPEN = "local"
MAX_KEYS = 10_000


@dataclass(frozen=True)
class Caller:
    """The tenant behind a request, its limits, and what it used in this month; None is without limit."""

    id: str
    budget_usd: Decimal | None = None
    spent_usd: Decimal = Decimal(0)
    budget_tokens: int | None = None
    spent_tokens: int = 0
    rate_per_minute: int | None = None
    shadow: bool = False

    @property
    def share(self) -> float:
        """The part that is spent of the budget that ends first; 0 without a budget."""
        usd = float(self.spent_usd / self.budget_usd) if self.budget_usd else 0.0
        return max(usd, self.spent_tokens / self.budget_tokens if self.budget_tokens else 0.0)


@dataclass(frozen=True)
class Known:
    """What a look-up found: a caller, or the error it is refused with."""

    until_s: float
    tenant: str = ""
    caller: Caller | None = None
    error: type[AppError] | None = None
    said: str = ""


class Access:
    """The keys that this process has seen lately; what is changed elsewhere counts after `auth_cache_s`."""

    def __init__(self, engine: AsyncEngine, config: Settings) -> None:
        self.engine, self.config = engine, config
        self.known: LRUCache[str, Known] = LRUCache(MAX_KEYS)
        self.lookups: dict[str, asyncio.Task[Known]] = {}
        self.unsaved: dict[str, tuple[Decimal, int]] = {}

    async def caller(self, key: str) -> Caller:
        """The tenant that owns the key; raise Unauthorized, NotAllowed (paused) or OverBudget."""
        config = self.config
        if config.auth == "open" and not key:
            return Caller(OPEN, shadow=True)
        if config.auth == "open" and not config.pepper.get_secret_value():
            raise Unauthorized("no keys are set up here: leave the key out, or set APP_PEPPER")
        digest = tenants.digest(config, key)
        known = self.known.get(digest)
        if known is None or known.until_s < time.monotonic():
            known = await self.once(digest)
        try:
            if known.caller is None:
                raise (known.error or Unauthorized)(known.said)
            return self.afford(known.caller)
        except AppError as error:
            error.tenant = known.tenant
            raise

    def afford(self, caller: Caller) -> Caller:
        """The caller with what it spent a moment ago; raise OverBudget at the end of its money or tokens."""
        usd, tokens = self.unsaved.get(caller.id, (Decimal(0), 0))
        caller = replace(caller, spent_usd=caller.spent_usd + usd, spent_tokens=caller.spent_tokens + tokens)
        if caller.budget_usd is not None and caller.spent_usd >= caller.budget_usd:
            raise OverBudget(f"the budget of {caller.budget_usd:.2f} USD for this month is spent")
        if caller.budget_tokens is not None and caller.spent_tokens >= caller.budget_tokens:
            raise OverBudget(f"the budget of {caller.budget_tokens} tokens for this month is spent")
        return caller

    def add_spend(self, tenant: str, usd: Decimal | None, tokens: int) -> None:
        """Count what this process spent since the last look-up, before the database has it."""
        if tenant and (usd or tokens):
            held = self.unsaved.get(tenant, (Decimal(0), 0))
            self.unsaved[tenant] = held[0] + (usd or 0), held[1] + tokens

    async def once(self, digest: str) -> Known:
        """Look a key up; the same key asked for at once is looked up once."""
        task = self.lookups.get(digest)
        if task is None:
            task = self.lookups[digest] = asyncio.create_task(self.look_up(digest))
            task.add_done_callback(lambda _: self.lookups.pop(digest, None))
        return await asyncio.shield(task)

    async def look_up(self, digest: str) -> Known:
        """Read key, tenant and spending; a wrong key is remembered too."""
        until_s = time.monotonic() + self.config.auth_cache_s
        live = (ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > db.now()))
        month = (Spend.tenant_id == Tenant.id) & (Spend.month == f"{db.now():%Y-%m}")
        query = select(Tenant, Spend.usd, Spend.tokens).join(ApiKey).outerjoin(Spend, month)
        async with AsyncSession(self.engine) as session:
            found = (await session.execute(query.where(ApiKey.hash == digest, *live))).one_or_none()
        if found is None:
            said = "send a valid key in the header: Authorization: Bearer <key>"
            known = Known(until_s, error=Unauthorized, said=said)
        elif found[0].paused:
            said = f"tenant '{found[0].id}' is paused; ask the operator"
            known = Known(until_s, found[0].id, error=NotAllowed, said=said)
        else:
            tenant, usd, tokens = found
            self.unsaved.pop(tenant.id, None)
            limits = tenant.budget_tokens, tokens or 0, tenant.rate_per_minute
            spent = Decimal(usd or 0)
            caller = Caller(tenant.id, tenant.budget_usd, spent, *limits, shadow=tenant.shadow)
            known = Known(until_s, tenant.id, caller)
        self.known[digest] = known
        return known
