"""Take a request now and let a worker answer it: 202, and where the result will be."""

import hashlib
from dataclasses import replace

from fastapi.responses import JSONResponse, Response

from app import outcome, pipeline, results
from app.ask import Ask
from app.errors import NotFound, Unavailable
from app.row import Row
from app.services import Services


async def take(services: Services, ask: Ask, idempotency_key: str) -> Response:
    """Keep the request for a worker; the same idempotency key of a tenant names the same result."""
    row = Row(ask.id, ask.feature.name, user_id=ask.user)
    caller = await pipeline.admitted(services, ask, row)
    if idempotency_key:
        told = f"{caller.id}\0{ask.feature.name}\0{idempotency_key}"
        row.id = hashlib.sha256(told.encode()).hexdigest()[:32]
        if await there(services, caller.id, row.id):
            return taken(row.id)
    await services.queue.admit(caller.id)
    if not await services.recorder.keep(outcome.result(replace(ask, id=row.id), row, "waiting", None)):
        raise Unavailable("the request could not be written down; try again in a few seconds")
    return taken(row.id)


async def there(services: Services, tenant: str, name: str) -> bool:
    """Whether the result was taken before."""
    try:
        await results.fetch(services.engine, tenant, name)
    except NotFound:
        return False
    return True


def taken(name: str) -> Response:
    """202, with the place of the result."""
    place = f"/v1/results/{name}"
    return JSONResponse({"id": name, "result": place}, 202, {"Location": place, "Retry-After": "1"})
