"""Requests that a candidate is asked too: what is kept of them, and how answers are scored."""

import asyncio
import logging
import math
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app import db, redact, scorers, text
from app.access import Caller
from app.ask import Ask
from app.flags import SHADOW, Choice
from app.ledger import Shadow
from app.row import Row
from app.services import Services

log = logging.getLogger(__name__)
# With so many usage rows in the queue the process has enough to do.
BUSY = 100
# An expectation of nothing but what every answer owes.
OWED = scorers.Expected.model_construct()


def compare(
    services: Services, ask: Ask, caller: Caller, choice: Choice, output: dict[str, Any], row: Row
) -> None:
    """Score an answer while versions are compared, and offer its request to the candidate in a shadow."""
    if not choice.arm:
        return
    row.quality = quality(ask, output, row)
    if choice.shadow:
        offer(services, ask, caller, choice, output, row)


def offer(
    services: Services, ask: Ask, caller: Caller, choice: Choice, output: dict[str, Any], row: Row
) -> None:
    """Keep a request for the candidate where it may be asked; the answer does not wait for that."""
    rule = services.plan.policy.use_cases[ask.feature.spec.use_case]
    # With tools off the candidate would be worse for that alone.
    own = ask.conversation or ask.planted or row.cached or ask.feature.tools
    if own or not (rule.shadow and caller.shadow) or services.recorder.waiting.qsize() > BUSY:
        return
    kept = {
        "id": row.id, "trial_id": choice.arm.removesuffix(SHADOW), "state": "waiting", "tokens": 0,
        "tenant_id": row.tenant_id, "user_id": row.user_id, "given": ask.given.model_dump(mode="json"),
        "stable": told(row, output, row.quality or 0.0),
    }  # fmt: skip
    task = asyncio.create_task(keep(services, kept, ask.feature.spec.rollout.shadow.daily_tokens))
    services.beside.add(task)
    task.add_done_callback(services.beside.discard)


async def keep(services: Services, kept: dict[str, Any], daily_tokens: int) -> None:
    """Write one down while tokens are left; without a database it is lost, and nobody misses it."""
    try:
        if await spent(services.engine, kept["trial_id"], db.now()) >= daily_tokens:
            return
        async with services.engine.begin() as connection:
            await connection.execute(insert(Shadow), kept)
    except SQLAlchemyError as error:
        log.warning("a request is not shadowed", extra={"fault": type(error).__name__})


async def spent(engine: AsyncEngine, name: str, now: datetime) -> int:
    """The tokens that a trial's candidate took today."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    async with engine.connect() as connection:
        query = select(func.coalesce(func.sum(Shadow.tokens), 0))
        return await connection.scalar(query.where(Shadow.trial_id == name, Shadow.at >= today)) or 0


def told(row: Row, output: dict[str, Any], score: float) -> dict[str, Any]:
    """What is compared of an answer, without what its caller said of himself."""
    return {
        "code": row.outcome if row.outcome != "cut" else "ok", "output": redact.texts(output), "score": score,
        "cost_usd": None if row.cost_usd is None else float(row.cost_usd),
        "tokens": row.input_tokens + row.output_tokens, "latency_ms": row.elapsed_ms(),
        "flags": list(row.flags), "failed_models": row.failed_models, "prompt": row.prompt,
        "model": row.model,
    }  # fmt: skip


def quality(ask: Ask, output: dict[str, Any], row: Row) -> float:
    """How good an answer is that nobody wrote an expectation for, from 0 to 1.

    The gate's checks of what every answer owes; one that says it does not know the answer has none.
    """
    asked = "\n".join(scorers.texts(ask.given.model_dump(mode="json")))
    prompt, spoken = ask.feature.prompts[row.prompt], text.language(asked)
    given = scorers.Outcome("ok", output, list(row.flags), asked=asked, system=prompt.system, language=spoken)
    if output.get("answered") is False:
        return 0.0
    return math.prod(scorers.owed(OWED, given).values())


def disagreement(one: dict[str, Any], other: dict[str, Any]) -> float:
    """How far two answers are apart, from 0 to 1: the share of words that only one of them has."""
    said = [set(text.words(text.fold("\n".join(scorers.texts(answer["output"]))))) for answer in (one, other)]
    every = said[0] | said[1]
    return len(said[0] ^ said[1]) / len(every) if every else 0.0
