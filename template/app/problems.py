"""Errors as problem details (RFC 9457). An unknown error says nothing of its cause."""

import json
from http import HTTPStatus

from fastapi.responses import JSONResponse

from app.errors import AppError

UNKNOWN: dict[str, object] = {
    "title": "Internal Server Error",
    "status": 500,
    "code": "internal",
    "detail": "something went wrong on our side; the log has it under the request's id",
}


def describe(error: AppError) -> dict[str, object]:
    """The body of an error that the caller may read."""
    if error.status == 500:
        return UNKNOWN
    wait = {"retry_after_s": error.retry_after_s} if error.retry_after_s else {}
    return problem(error.status, error.code, str(error), **wait)


def problem(status: int, code: str, detail: str, **more: object) -> dict[str, object]:
    """A problem body; `code` is for programs, `detail` for people."""
    title = HTTPStatus(status).phrase
    return {"title": title, "status": status, "code": code, "detail": detail, **more}


def respond(content: dict[str, object]) -> JSONResponse:
    """The HTTP response of a problem."""
    headers = {"Retry-After": str(content["retry_after_s"])} if "retry_after_s" in content else None
    status = int(str(content["status"]))
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def dump(content: object) -> str:
    """Compact JSON, letters of every language as they are."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=str)
