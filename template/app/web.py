"""The HTTP face: one route a feature, health, readiness and metrics."""

import asyncio
import hmac
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from app import db, kept, later, logs, page, pipeline, problems, reply, services, stream, tenants
from app.ask import Ask
from app.errors import AppError, NotFound, TooLarge, Unauthorized, Unavailable
from app.features import Feature
from app.kept import NAME
from app.limit_body import LimitBody
from app.live import Stream
from app.services import Plan, Services

PREFER = Annotated[str, Header(description="respond-async: 202 with the place of the result")]
REFUSALS = {
    401: "No valid key",
    402: "Budget spent",
    403: "Not allowed by policy, paused or switched off",
    413: "Too large",
    422: "Invalid input, or blocked by the guard",
    429: "Too many requests",
    503: "No model could answer",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "The answer, whole or streamed"},
    202: {"description": "Taken; Location says where the result will be"},
    **{n: {"description": text, "content": {"application/problem+json": {}}} for n, text in REFUSALS.items()},
}


def create_app(plan: Plan) -> FastAPI:
    """Build the app for a checked plan; connections open when it starts."""
    logs.configure(plan.settings)
    app = FastAPI(title=plan.settings.title, description=plan.settings.description, lifespan=lifespan(plan))
    app.state.draining = False
    app.add_middleware(LimitBody, max_bytes=plan.settings.max_body_bytes)
    app.exception_handler(AppError)(on_app_error)
    app.exception_handler(RequestValidationError)(on_invalid)
    app.exception_handler(HTTPException)(on_http_error)
    for kind in db.AWAY:
        app.exception_handler(kind)(on_away)
    app.exception_handler(Exception)(on_unknown)
    for feature in plan.features.values():
        add_route(app, feature)
    app.include_router(kept.routes())
    app.include_router(page.routes(plan))
    add_operations(app, plan)
    return app


def lifespan(plan: Plan) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Open the services with the app and close them with it."""

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        async with services.start(plan) as held:
            app.state.services = held
            holding = asyncio.create_task(stream.hold(held))
            yield
            await stream.finish(held)
            holding.cancel()

    return opened


def add_route(app: FastAPI, feature: Feature) -> None:
    """POST /v1/<feature>: JSON, or server-sent events where the client accepts them."""

    async def ask(
        request: Request, body: BaseModel, conversation_id: NAME = "", user_id: NAME = "", prefer: PREFER = ""
    ) -> Response:
        held: Services = request.app.state.services
        key = tenants.bearer(request.headers)
        asked = Ask(feature, body, key, user=user_id, conversation=conversation_id)
        if "respond-async" in prefer:
            return await later.take(held, asked, request.headers.get("idempotency-key", ""))
        if "text/event-stream" in request.headers.get("accept", ""):
            return await streamed(stream.start(held, replace(asked, durable=True)))
        return JSONResponse((await pipeline.answer(held, asked)).body)

    ask.__annotations__["body"] = feature.Input
    name, summary, answer = feature.name, feature.spec.summary, reply.model(feature)
    app.post(f"/v1/{name}", name=name, summary=summary, response_model=answer, responses=RESPONSES)(ask)


async def streamed(running: Stream) -> Response:
    """Server-sent events; a request that is refused before its first event gets the refusal's status."""
    first = await running.begun()
    if first.kind == "error":
        return problems.respond(first.data)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(running.follow(), media_type="text/event-stream", headers=headers)


def add_operations(app: FastAPI, plan: Plan) -> None:
    """The routes that machines read."""

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", include_in_schema=False)
    async def readyz(request: Request) -> Response:
        if request.app.state.draining:
            said = problems.problem(503, "draining", "this process is stopping", retry_after_s=1)
            return problems.respond(said)
        if is_left_alone(plan.settings.canary_lease_s):
            said = problems.problem(503, "left_alone", "nobody watches this canary", retry_after_s=5)
            return problems.respond(said)
        held: Services = request.app.state.services
        if fault := await db.check(held.engine) or held.recorder.fault:
            return problems.respond(problems.problem(503, "not_ready", fault, retry_after_s=5))
        return JSONResponse({"status": "ready", "features": sorted(plan.features)})

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        key = plan.settings.metrics_key.get_secret_value()
        is_known = key and hmac.compare_digest(key.encode(), tenants.bearer(request.headers).encode())
        if plan.settings.auth == "required" and not is_known:
            raise Unauthorized("metrics are read with APP_METRICS_KEY as the bearer token")
        registry = request.app.state.services.recorder.metrics.registry
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.post("/v1/{feature}", include_in_schema=False)
    async def unknown(feature: str) -> None:
        known = ", ".join(sorted(plan.features)) or "none"
        raise NotFound(f"no feature '{feature[:40]}' (known: {known})")


def is_left_alone(lease_s: float) -> bool:
    """Whether this is a canary whose deploy has died: it renewed a file in the temporary folder."""
    try:
        renewed = (Path(tempfile.gettempdir()) / "canary-lease").stat().st_mtime
    except FileNotFoundError:
        return False
    return time.time() - renewed > lease_s


async def on_app_error(_: Request, error: AppError) -> Response:
    """An error that says what to do."""
    return problems.respond(problems.describe(error))


async def on_away(_: Request, error: Exception) -> Response:
    """The database is away."""
    return problems.respond(problems.describe(Unavailable(db.SAID).with_traceback(error.__traceback__)))


async def on_invalid(_: Request, error: RequestValidationError) -> Response:
    """Input that does not fit the schema: every field with its fault."""
    found = error.errors()
    named = [{"field": ".".join(str(p) for p in e["loc"] if p != "body"), "fault": e["msg"]} for e in found]
    detail = "; ".join(f"{item['field'] or 'body'}: {item['fault']}" for item in named)
    return problems.respond(problems.problem(422, "invalid", detail, errors=named))


async def on_http_error(_: Request, error: HTTPException) -> Response:
    """The framework's own refusals, in our form."""
    code = TooLarge.code if error.status_code == TooLarge.status else "http"
    return problems.respond(problems.problem(error.status_code, code, str(error.detail)))


async def on_unknown(_: Request, __: Exception) -> Response:
    """Everything else, without its text."""
    return problems.respond(problems.UNKNOWN)
