"""Errors as problem details (RFC 9457). An unknown error says nothing of its cause."""

import json
import logging
import traceback
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import pii
from app.errors import AppError

if TYPE_CHECKING:  # the gate starts sooner without the web framework
    from fastapi.responses import JSONResponse

log = logging.getLogger(__name__)

UNKNOWN: dict[str, object] = {
    "title": "Internal Server Error", "status": 500, "code": "internal",
    "detail": "something went wrong on our side; the log has it under the request's id",
}  # fmt: skip


def describe(error: AppError, id: str = "") -> dict[str, object]:
    """The body of an error that the caller may read; a fault of ours is logged with its place."""
    if error.status >= 500 and not error.reported:
        report(error, id)
    if error.status == 500:
        return unknown(id)
    more = {"request_id": id, "retry_after_s": error.retry_after_s}
    said = {name: value for name, value in more.items() if value}
    return problem(error.status, error.code, str(error), **said)


def unknown(id: str = "") -> dict[str, object]:
    """The body of an error that says nothing of its cause."""
    return {**UNKNOWN, "request_id": id} if id else UNKNOWN


def report(error: AppError, id: str) -> None:
    """Log where an error came from and its class; its text may hold a secret."""
    steps = traceback.extract_tb(error.__traceback__)
    place = f"{Path(steps[-1].filename).name}:{steps[-1].lineno}" if steps else ""
    fault = {"id": id, "fault": type(error).__name__, "place": place, "status": error.status}
    log.error("request refused by a fault of ours", extra=fault)
    error.reported = True


def problem(status: int, code: str, detail: str, **more: object) -> dict[str, object]:
    """A problem body; `code` is for programs, `detail` for people."""
    title = HTTPStatus(status).phrase
    return {"title": title, "status": status, "code": code, "detail": clean(detail), **clean(more)}


def clean(value: Any) -> Any:
    """The value without keys: what a client wrote in the wrong place is not quoted back to its logs."""
    if isinstance(value, str):
        return pii.known()["secret"].sub(value, lambda _: "[secret]")
    if isinstance(value, dict):
        return {name: clean(item) for name, item in value.items()}
    return [clean(item) for item in value] if isinstance(value, list) else value


def respond(content: dict[str, object]) -> "JSONResponse":
    """The HTTP response of a problem."""
    from fastapi.responses import JSONResponse

    headers = {"Retry-After": str(content["retry_after_s"])} if "retry_after_s" in content else None
    status = int(str(content["status"]))
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def dump(content: object) -> str:
    """Compact JSON, letters of every language as they are; a question mark for half of one."""
    said = json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=str)
    return said.encode(errors="replace").decode()
