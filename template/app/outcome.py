"""What a request leaves, however it ends: one usage row, and its result where one is kept."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app import db, problems, results
from app.ask import Ask
from app.errors import AppError, Blocked, NotAllowed, OverBudget, QueueFull, RateLimited, Unavailable
from app.row import Row
from app.services import Services

log = logging.getLogger(__name__)
# Refused at the door: what such a client sends again and again is not kept.
BARRED = (NotAllowed.code, OverBudget.code, QueueFull.code, RateLimited.code)


@dataclass
class Kept:
    """What a request leaves: its row and its result's body; nothing yet where a worker answers later."""

    row: Row
    body: dict[str, Any] | None = None
    later: bool = False


@asynccontextmanager
async def recorded(services: Services, ask: Ask) -> AsyncIterator[Kept]:
    """One usage row around a request: its outcome is `ok`, the error's code, or `cut`."""
    row = Row(ask.id, ask.feature.name, user_id=ask.user)
    kept = Kept(row)
    try:
        with db.reached():
            yield kept
        row.outcome = "ok"
    except AppError as error:
        row.outcome, row.tenant_id = error.code, row.tenant_id or error.tenant
        row.flags += error.flags if isinstance(error, Blocked) else ()
        row.policy = str(error) if isinstance(error, NotAllowed) else row.policy
        kept.body = problems.describe(error, row.id)
        raise
    except Exception:
        row.outcome = "internal"
        kept.body = problems.unknown(row.id)
        log.exception("request failed", extra={"id": row.id, "feature": row.feature})
        raise
    finally:
        row.latency_ms = row.elapsed_ms()
        written = leave(services, ask, kept)
        if ask.conversation and written:  # the next turn may come at once, to another process
            await services.recorder.hurry(written)


def leave(services: Services, ask: Ask, kept: Kept) -> asyncio.Future[bool] | None:
    """Queue the row, and the result where one is kept; what a worker must do again stays as it is."""
    row = kept.row
    if ask.shadow:
        ask.shadow(row)
        return None
    services.access.add_spend(row.tenant_id, row.cost_usd, row.input_tokens + row.output_tokens)
    if not row.tenant_id:  # without a key anybody could fill the table; they are counted alone
        services.recorder.metrics.count(row)
        return None
    again = row.outcome == "cut" or (ask.caller and row.outcome == Unavailable.code)
    if kept.later or (ask.durable and again):
        return None
    barred = row.outcome in BARRED and not ask.caller
    if kept.body is None or barred or not (ask.durable or keep_days(ask)):
        return services.recorder.save(row)
    state = "done" if row.outcome == "ok" else "failed"
    return services.recorder.save(row, result(ask, row, state, kept.body))


def result(ask: Ask, row: Row, state: str, body: dict[str, Any] | None, lease_s: float = 0) -> dict[str, Any]:
    """The columns of this request's result."""
    given = ask.given.model_dump(mode="json")
    return results.new(row, given, ask.conversation, keep_days(ask), state, body, lease_s)


def begun(ask: Ask, row: Row, lease_s: float) -> dict[str, Any]:
    """A result that is being made: a stream's process holds it for `lease_s`, the queue holds a job's."""
    return result(ask, row, "running", None, 0 if ask.caller else lease_s)


def keep_days(ask: Ask) -> int:
    """How long this request's result is kept; a turn as long as its conversation."""
    spec = ask.feature.spec
    return spec.conversation.keep_days if ask.conversation else spec.keep_days
