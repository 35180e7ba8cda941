"""Ask again what was asked most, so that its answers are in the cache."""

import json
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import guard, pipeline, services
from app.access import Caller
from app.ask import Ask
from app.db import Result
from app.errors import AppError, ConfigError, Fault
from app.features import Feature
from app.row import Row
from app.services import Plan


async def run(plan: Plan, limit: int) -> dict[str, tuple[int, int]]:
    """How many questions of each feature were asked, and how many were there.

    Where tenants share no answers, each tenant's questions get their vectors, so that its search is ready.
    """
    if plan.settings.cache_url.startswith("mem") or not plan.settings.cache_url:
        what = "is lost with each process; prewarm needs sqlite:///var/cache.db or redis://host"
        raise ConfigError([Fault(Path("config/app.toml"), "cache_url", what)])
    counts = {}
    async with services.start(plan) as held:
        for feature in plan.features.values():
            spec, wanted = feature.spec, feature.spec.retrieval
            if spec.cache_ttl_s and (spec.shared_cache or (wanted and wanted.embeddings)):
                found = await popular(held.engine, feature, limit)
                done = [await asked(held, feature, tenant, given) for tenant, given in found]
                counts[feature.name] = (len(done), sum(done))
    return counts


async def popular(engine: AsyncEngine, feature: Feature, limit: int) -> list[tuple[str, dict[str, object]]]:
    """The inputs of kept answers, the most frequent first, and who asked."""
    served = (Result.feature == feature.name, Result.state == "done", Result.conversation_id == "")
    given = cast(Result.given, Text)  # PostgreSQL compares no JSON
    groups = [given] if feature.spec.shared_cache else [given, Result.tenant_id]
    query = select(func.min(Result.tenant_id), given).where(*served).group_by(*groups)
    async with AsyncSession(engine) as session:
        rows = await session.execute(query.order_by(func.count().desc()).limit(limit))
        return [(tenant, json.loads(text)) for tenant, text in rows]


async def asked(held: services.Services, feature: Feature, tenant: str, given: dict[str, object]) -> bool:
    """Ask one; True where it was cached. An input that no longer fits, or is refused now, is left out."""
    with suppress(AppError, ValueError):
        ask = Ask(feature, feature.Input.model_validate(given), caller=Caller("prewarm"))
        if feature.spec.shared_cache:
            return (await pipeline.answer(held, ask)).row.cached
        checked = guard.check_input(feature.spec.guard, await pipeline.prepared(ask))
        await pipeline.searched(held, feature, Caller(tenant), checked.values, Row(ask.id, feature.name))
    return False
