"""Take a request now and let a worker answer it: 202, and where the result will be."""

import hashlib
from dataclasses import replace

from fastapi.responses import JSONResponse, Response

from app import outcome, pipeline, results
from app.ask import Ask
from app.errors import Invalid, NotFound, Unavailable
from app.row import Row
from app.services import Services


async def take(services: Services, ask: Ask, idempotency_key: str) -> Response:
    """Keep the request for a worker: 202, with the place of the result; the same key names the same one."""
    async with outcome.recorded(services, ask) as kept:
        caller = await pipeline.admitted(services, ask, kept.row)
        told = f"{caller.id}\0{ask.feature.name}\0{idempotency_key}"
        name = hashlib.sha256(told.encode()).hexdigest()[:32] if idempotency_key else ask.id
        # A refusal leaves a row by the request's own id: the named one is the worker's.
        row = replace(kept.row, id=name)
        if not idempotency_key:
            await keep(services, ask, row)
        elif not await there(services, ask, row):
            await results.forget(services.engine)  # an answer under the same name that has expired
            await keep(services, ask, row)
            await there(services, ask, row)  # of two that came at once, the first has the name
        kept.later = True
    place = f"/v1/results/{name}"
    return JSONResponse({"id": name, "result": place}, 202, {"Location": place, "Retry-After": "1"})


async def keep(services: Services, ask: Ask, row: Row) -> None:
    """Write the request down, where there is room for one more of its tenant."""
    await services.queue.admit(row.tenant_id)
    if not await services.recorder.keep(outcome.result(ask, row, "waiting", None)):
        raise Unavailable("the request could not be written down; try again in a few seconds")


async def there(services: Services, ask: Ask, row: Row) -> bool:
    """Whether the result was taken before; raise Invalid where another request has its name."""
    try:
        found = await results.fetch(services.engine, row.tenant_id, row.id)
    except NotFound:
        return False
    asked = ask.given.model_dump(mode="json"), ask.conversation, ask.user
    if asked != (found.given, found.conversation_id, found.user_id):
        raise Invalid("this Idempotency-Key was sent with another request; choose a new one")
    return True
