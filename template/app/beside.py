"""Ask candidates what the stable version was asked: a worker's job, seen by nobody, yielding to all else."""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import db, features, pipeline, redact, results, shadow, slots, trials
from app.access import Caller
from app.ask import Ask
from app.db import Json, Tenant
from app.errors import AppError, NotAllowed, OverBudget, RateLimited, Unavailable
from app.features import Feature
from app.ledger import Shadow, Trial
from app.row import Row
from app.services import Services

log = logging.getLogger(__name__)
POLL_S = 0.5
AT_ONCE, GROUP = 2, 20
# What waited so long says nothing about now.
STALE = timedelta(minutes=10)
KEEP = timedelta(days=30)
DROPPED: Json = {"state": "dropped", "given": None, "stable": {}}


async def run(services: Services) -> None:
    """Ask what waits, for ever; of several workers one at a time."""
    while True:
        try:
            async with slots.alone(services.engine, services.plan.settings.var_dir, "beside") as mine:
                while mine:
                    await work(services)
                    await asyncio.sleep(POLL_S)
        except Exception as error:  # the loop must outlive a database that restarts
            log.warning("candidates wait", extra={"fault": type(error).__name__})
        await asyncio.sleep(POLL_S)


async def work(services: Services) -> int:
    """Ask what waits of open trials, and forget the rest; returns how many were asked."""
    now = db.now()
    await tidy(services.engine, now)
    if (await results.depth(services.engine)).total():
        return 0
    asked = 0
    for trial in await trials.every(services.engine, ended=False):
        feature = services.plan.features.get(trial.feature)
        if feature is None:
            continue
        query = select(Shadow).where(Shadow.trial_id == trial.id, Shadow.state == "waiting")
        waiting = await db.rows(services.engine, query.order_by(Shadow.at).limit(GROUP))
        for start in range(0, len(waiting), AT_ONCE):
            if await shadow.spent(services.engine, trial.id, now) >= trials.rule(trial).shadow.daily_tokens:
                break
            group = waiting[start : start + AT_ONCE]
            await asyncio.gather(*(answer(services, feature, trial, kept) for kept in group))
            asked += len(group)
    return asked


async def answer(services: Services, feature: Feature, trial: Trial, kept: Shadow) -> None:
    """Ask the candidate, and of a golden case the stable version too; keep both answers, redacted."""
    stable = candidate = None
    if await consents(services.engine, kept.tenant_id):
        stable = kept.stable or await reply(services, feature, kept, "")
        candidate = await reply(services, feature, kept, trials.release(trial))
    if stable is None or candidate is None:
        await settle(services.engine, kept, **DROPPED)
        return
    tokens = int(candidate["tokens"]) + (0 if kept.stable else int(stable["tokens"]))
    given = redact.deep(kept.given)
    await settle(
        services.engine, kept, state="done", given=given, stable=stable, candidate=candidate, tokens=tokens
    )


async def reply(services: Services, feature: Feature, kept: Shadow, release: str) -> Json | None:
    """What one release makes of a request: its fault is an answer too, None what is not its fault."""
    rows: list[Row] = []
    try:
        given = feature.Input.model_validate(kept.given)
        ask = Ask(
            features.uncached(feature), given, caller=Caller(kept.tenant_id), user=kept.user_id,
            release=release, shadow=rows.append,
        )  # fmt: skip
        said = await pipeline.answer(services, ask)
    except (NotAllowed, OverBudget, RateLimited, Unavailable, ValidationError):
        return None
    except AppError:
        return shadow.told(rows[0] if rows else Row(kept.id, feature.name, outcome="invalid"), {}, 0.0)
    return shadow.told(said.row, said.said, shadow.quality(ask, said.said, said.row))


async def consents(engine: AsyncEngine, tenant: str) -> bool:
    """Whether a tenant lets its requests be asked of a candidate; one that is gone does not."""
    if tenant in ("", "local"):
        return True
    async with AsyncSession(engine) as session:
        found = await session.get(Tenant, tenant)
    return found is not None and found.shadow


async def settle(engine: AsyncEngine, kept: Shadow, **values: Any) -> None:
    """Write what came of one."""
    await db.execute(engine, update(Shadow).where(Shadow.id == kept.id).values(**values))


async def tidy(engine: AsyncEngine, now: datetime) -> None:
    """Drop what waited too long or for a trial that ended, and forget what is old."""
    ended = select(Trial.id).where(Trial.ended_at.is_not(None))
    late = (Shadow.at < now - STALE) | Shadow.trial_id.in_(ended)
    waits = Shadow.state == "waiting"
    await db.execute(engine, update(Shadow).where(waits & late).values(DROPPED))
    await db.execute(engine, delete(Shadow).where(Shadow.at < now - KEEP))
