"""What is kept of earlier requests, for the tenant that asked: results and conversations."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from app import problems, results, stream, tenants
from app.access import Caller
from app.alerts import when
from app.errors import NotFound
from app.services import Services

SSE = "text/event-stream"
# Names of the caller's own: no key of a table, and never shown to another tenant.
PATTERN = r"^[\w.:@-]*$"
NAME = Annotated[str, Query(max_length=64, pattern=PATTERN)]
ID = Annotated[str, Path(max_length=64, pattern=PATTERN)]


def routes() -> APIRouter:
    """The routes that read and erase."""
    router = APIRouter()

    @router.get("/v1/results/{id}", summary="A result: 200 when it is there, 202 while it is being made.")
    async def result(id: ID, request: Request) -> Response:
        held, caller = await opened(request)
        found = await results.fetch(held.engine, caller.id, id)
        if SSE in request.headers.get("accept", ""):
            last = request.headers.get("last-event-id", "")
            start = int(last) if last.isdecimal() and len(last) < 10 else -1
            parts = stream.again(held, caller.id, id, start)
            return StreamingResponse(parts, media_type=SSE, headers={"Cache-Control": "no-cache"})
        if found.body is None:
            return JSONResponse({"id": id, "state": found.state}, 202, {"Retry-After": "1"})
        return JSONResponse(found.body) if found.state == "done" else problems.respond(found.body)

    @router.get("/v1/conversations/{id}", summary="The turns of a conversation, the oldest first.")
    async def turns(id: ID, request: Request, user_id: NAME = "") -> dict[str, object]:
        held, caller = await opened(request)
        rows = await results.turns(held.engine, caller.id, user_id, id)
        if not rows:
            raise NotFound(f"no conversation '{id[:40]}'")
        said = [
            {"id": r.id, "at": when(r.created_at), "feature": r.feature, "input": r.given, **(r.body or {})}
            for r in rows
        ]
        return {"id": id, "turns": said}

    @router.delete("/v1/conversations/{id}", summary="Erase a conversation.")
    async def erase(id: ID, request: Request, user_id: NAME = "") -> dict[str, int]:
        held, caller = await opened(request)
        return {"erased": await results.erase(held.engine, caller.id, user_id, id)}

    return router


async def opened(request: Request) -> tuple[Services, Caller]:
    """The services, and the tenant that asks; reading is limited as asking is."""
    held: Services = request.app.state.services
    caller = await held.access.caller(tenants.bearer(request.headers))
    await held.limits.check(caller.id, caller.rate_per_minute)
    return held, caller
