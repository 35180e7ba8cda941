"""uv run python -m benchmarks.stub: an OpenAI-compatible provider with a latency, and faults on demand.

The requested model's name picks the fault: `ok` has none; `err429` and `err500` refuse; `hang` never answers;
`slow-first` waits SLOW_S before its first byte; `cut` ends in the middle; `badjson` answers text that is no
JSON; `wrongschema` answers JSON of another shape; `trickle` sends bit by bit for longer than anybody waits;
`garbled` sends what cannot be decoded; `late-error` says 200 and then an error. `POST /latency/<ms>` sets the
latency of every answer, and `GET /` tells it with the number of calls.
"""

import argparse
import asyncio
import base64
import json
import urllib.request
from array import array
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

import uvicorn

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

ANSWER = '{"answer": "The delivery is late by two days.", "reasons": ["customs", "a strike"]}'
VECTOR = base64.b64encode(array("f", [1 / (n + 1) for n in range(384)]).tobytes()).decode()
SLOW_S = 5.0
TRICKLE_S = 0.4
USAGE = {"prompt_tokens": 120, "completion_tokens": 24, "total_tokens": 144}
REFUSALS = {"err429": (429, "rate_limit_exceeded"), "err500": (500, "server_error")}
ERROR = {"error": {"message": "overloaded", "code": "server_error"}}
# How a stream ends after its third word.
BROKEN = {
    "cut": "",
    "garbled": 'data: {"id": "chatcmpl-st\n\n',
    "late-error": f"data: {json.dumps(ERROR)}\n\n",
}
SAID = {"badjson": '{"answer": "The deliv', "wrongschema": '{"colour": "blue"}'}


class Respond(Protocol):
    """Send one whole answer."""

    async def __call__(self, status: int, body: bytes) -> None:
        """Send the status and a JSON body."""


class Stub:
    """The ASGI application; `calls` counts the completions that were asked for."""

    def __init__(self, answer: str = ANSWER, latency_ms: float = 0) -> None:
        self.answer = answer
        self.latency_ms = latency_ms
        self.calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return None
        path, respond = str(scope["path"]), whole(send)
        if path.startswith("/latency/"):
            self.latency_ms = float(path.rpartition("/")[2])
        if path.endswith("/embeddings"):
            texts = json.loads(await read(receive))["input"]
            await asyncio.sleep(self.latency_ms / 1000)
            return await respond(200, embeddings(len(texts)))
        if not path.endswith("/chat/completions"):
            told = {"calls": self.calls, "latency_ms": self.latency_ms}
            return await respond(200, json.dumps(told).encode())
        self.calls += 1
        asked = json.loads(await read(receive))
        return await self.complete(asked, receive, send, respond)

    async def complete(self, asked: dict[str, Any], receive: Receive, send: Send, respond: Respond) -> None:
        """Answer a completion as the model's name says."""
        model = str(asked["model"])
        if model == "hang":
            while (await receive())["type"] != "http.disconnect":
                pass
            return None
        await asyncio.sleep(SLOW_S if model == "slow-first" else self.latency_ms / 1000)
        if model in REFUSALS:
            status, code = REFUSALS[model]
            return await respond(status, json.dumps({"error": {"message": code, "code": code}}).encode())
        said = SAID.get(model, self.answer)
        if asked.get("stream"):
            return await stream(send, model, said)
        body = json.dumps(ERROR if model == "late-error" else completion(model, said)).encode()
        if model in ("cut", "trickle", "garbled"):
            return await BAD[model](send, body)
        return await respond(200, body)


async def read(receive: Receive) -> bytes:
    """The whole body of a request."""
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def whole(send: Send) -> Respond:
    """Answers with a length, as most providers send them."""

    async def respond(status: int, body: bytes) -> None:
        await start(send, status, b"application/json", len(body))
        await send({"type": "http.response.body", "body": body})

    return respond


async def start(
    send: Send, status: int, kind: bytes, length: int | None = None, packed: bytes = b"identity"
) -> None:
    """Send status and headers."""
    sized = [] if length is None else [(b"content-length", str(length).encode())]
    headers = [(b"content-type", kind), (b"content-encoding", packed), *sized]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def cut(send: Send, body: bytes) -> None:
    """Promise a body, send half of it and drop the connection."""
    await start(send, 200, b"application/json", len(body))
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    # An answer that ends early makes uvicorn close the connection, as a provider that dies does.


async def trickle(send: Send, body: bytes) -> None:
    """Send a byte at a time: no read waits long, all of them do."""
    await start(send, 200, b"application/json", len(body))
    for number in range(len(body)):
        await asyncio.sleep(TRICKLE_S)
        last = number == len(body) - 1
        await send({"type": "http.response.body", "body": body[number : number + 1], "more_body": not last})


async def garble(send: Send, body: bytes) -> None:
    """Say that a body is packed which is not."""
    await start(send, 200, b"application/json", len(body), b"gzip")
    await send({"type": "http.response.body", "body": body})


BAD = {"cut": cut, "trickle": trickle, "garbled": garble}


async def stream(send: Send, model: str, said: str) -> None:
    """Send an answer word by word, then its usage; some models break off after the third word."""
    await start(send, 200, b"text/event-stream")
    words = said.split(" ")
    for number, word in enumerate(words):
        if model in BROKEN and number == 3:
            await send({"type": "http.response.body", "body": BROKEN[model].encode(), "more_body": True})
            return
        if model == "trickle":
            await asyncio.sleep(TRICKLE_S)
        await event(send, chunk(model, word if number == 0 else f" {word}"))
    await event(send, chunk(model, None))
    await event(send, {**chunk(model, None), "choices": [], "usage": USAGE})
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


async def event(send: Send, data: dict[str, Any]) -> None:
    """One server-sent event."""
    body = f"data: {json.dumps(data)}\n\n".encode()
    await send({"type": "http.response.body", "body": body, "more_body": True})


def completion(model: str, said: str) -> dict[str, Any]:
    """A whole answer."""
    message = {"role": "assistant", "content": said}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return {**envelope(model), "object": "chat.completion", "choices": [choice], "usage": USAGE}


def embeddings(count: int) -> bytes:
    """So many vectors, all the same."""
    rows = (f'{{"index": {number}, "embedding": "{VECTOR}"}}' for number in range(count))
    return f'{{"data": [{", ".join(rows)}]}}'.encode()


def chunk(model: str, piece: str | None) -> dict[str, Any]:
    """A part of an answer; without a piece, the last one that has a choice."""
    delta = {} if piece is None else {"role": "assistant", "content": piece}
    choice = {"index": 0, "delta": delta, "finish_reason": "stop" if piece is None else None}
    return {**envelope(model), "object": "chat.completion.chunk", "choices": [choice]}


def envelope(model: str) -> dict[str, Any]:
    """What every answer and every part of one carries."""
    return {"id": "chatcmpl-stub", "created": 1_700_000_000, "model": model}


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8002)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--answer", default=ANSWER, help="what every model but badjson and wrongschema says")
    given = parser.parse_args()
    stub = Stub(given.answer, given.latency_ms)
    uvicorn.run(
        stub, host=given.host, port=given.port, lifespan="off", log_level="critical",
        timeout_graceful_shutdown=1,
    )  # fmt: skip


def set_latency(port: int, latency_ms: int) -> None:
    """Tell the stub on this port how long a provider takes."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/latency/{latency_ms}", method="POST")
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        return


def calls(port: int) -> int:
    """The completions that the stub on this port was asked for so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as told:
        return int(json.load(told)["calls"])


if __name__ == "__main__":
    main()
