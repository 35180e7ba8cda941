"""The keyless model as an OpenAI-compatible server, for the same client code that speaks to any other."""

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from typing import Literal

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel

from app import models, text
from app.keyless import write
from app.keyless.model import pieces


class Message(BaseModel):
    """One turn; content may come in parts, of which the text ones are read."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[dict[str, object]]

    def text(self) -> str:
        """The turn's words."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(str(part.get("text", "")) for part in self.content)


class Request(BaseModel):
    """The part of a chat completion request that this model reads."""

    model: str = models.VERSION
    messages: list[Message]
    stream: bool = False


def create_server() -> FastAPI:
    """Build the server: /v1/models and /v1/chat/completions."""
    server = FastAPI(title="keyless model", version=models.VERSION)

    @server.get("/v1/models")
    async def listed() -> dict[str, object]:
        return {"object": "list", "data": [{"id": models.VERSION, "object": "model", "owned_by": "local"}]}

    @server.post("/v1/chat/completions")
    async def complete(asked: Request) -> Response:
        system = "\n".join(m.text() for m in asked.messages if m.role in ("system", "developer"))
        user = next((m.text() for m in reversed(asked.messages) if m.role == "user"), "")
        said = await asyncio.to_thread(write.reply, system, user)
        usage = count(system + "\n" + user, said)
        if asked.stream:
            return StreamingResponse(events(said, usage), media_type="text/event-stream")
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        return JSONResponse(envelope("chat.completion", [choice], usage))

    return server


def count(asked: str, said: str) -> dict[str, int]:
    """The usage block."""
    given, made = text.count_tokens(asked), text.count_tokens(said)
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


def envelope(kind: str, choices: list[dict[str, object]], usage: dict[str, int] | None) -> dict[str, object]:
    """The frame around an answer or a part of one."""
    told = {"id": f"keyless-{uuid.uuid4().hex}", "object": kind, "created": int(time.time())}
    return {**told, "model": models.VERSION, "choices": choices, "usage": usage}


def events(said: str, usage: dict[str, int]) -> Iterator[str]:
    """The answer as server-sent events: a word each, then the usage, then the end mark."""
    for piece in pieces(said):
        choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
        yield f"data: {json.dumps(envelope('chat.completion.chunk', [choice], None))}\n\n"
    last: dict[str, object] = {"index": 0, "delta": {}, "finish_reason": "stop"}
    yield f"data: {json.dumps(envelope('chat.completion.chunk', [last], None))}\n\n"
    yield f"data: {json.dumps(envelope('chat.completion.chunk', [], usage))}\n\n"
    yield "data: [DONE]\n\n"
