"""Ask again what was asked most, so that its answers are in the cache."""

import json
from pathlib import Path

from sqlalchemy import Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import pipeline, services
from app.access import Caller
from app.ask import Ask
from app.db import Result
from app.errors import AppError, ConfigError, Fault
from app.features import Feature
from app.services import Plan


async def run(plan: Plan, limit: int) -> dict[str, tuple[int, int]]:
    """For each feature that shares its answers: how many questions were asked, and how many were there."""
    if plan.settings.cache_url.startswith("mem") or not plan.settings.cache_url:
        what = "is lost with each process; prewarm needs sqlite:///var/cache.db or redis://host"
        raise ConfigError([Fault(Path("config/app.toml"), "cache_url", what)])
    counts = {}
    async with services.start(plan) as held:
        for feature in plan.features.values():
            if feature.spec.shared_cache and feature.spec.cache_ttl_s:
                found = await popular(held.engine, feature, limit)
                done = [await asked(held, feature, given) for given in found]
                counts[feature.name] = (len(done), sum(done))
    return counts


async def popular(engine: AsyncEngine, feature: Feature, limit: int) -> list[dict[str, object]]:
    """The inputs of kept answers, the most frequent first."""
    served = (Result.feature == feature.name, Result.state == "done", Result.conversation_id == "")
    given = cast(Result.given, Text)  # PostgreSQL compares no JSON
    query = select(given).where(*served).group_by(given).order_by(func.count().desc()).limit(limit)
    async with AsyncSession(engine) as session:
        return [json.loads(text) for text in await session.scalars(query)]


async def asked(held: services.Services, feature: Feature, given: dict[str, object]) -> bool:
    """Ask one; True where it was cached. An input that no longer fits, or is refused now, is left out."""
    try:
        ask = Ask(feature, feature.Input.model_validate(given), caller=Caller("prewarm"))
        return (await pipeline.answer(held, ask)).row.cached
    except (AppError, ValueError):
        return False
