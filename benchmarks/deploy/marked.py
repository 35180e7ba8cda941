"""Copied into the app that is deployed: says which version answers, and does what a bad version does.

Faults are for requests that came through the edge: such a version passes its golden cases first.
"""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

VERSION, FAULT = "v0", ""
ERROR_EVERY = 5
CRASH_AFTER = 100
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Marked:
    """The outermost layer of the app; `seen` counts the requests that people sent."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self.app = app
        self.seen = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, with the version in a header."""

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-version", VERSION.encode())]
            await send(message)

        if status := self.refusal(scope):
            await marked({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self.app(scope, receive, marked)

    def refusal(self, scope: Message) -> int:
        """The status that a bad version answers with; 0 where it answers as a good one."""
        path = str(scope.get("path", ""))
        if path == "/readyz" and FAULT == "never-ready":
            return 503
        if not path.startswith("/v1/") or b"x-forwarded-for" not in dict(scope["headers"]):
            return 0
        self.seen += 1
        if FAULT == "crash" and self.seen > CRASH_AFTER:
            os._exit(3)
        return 500 if FAULT == "errors" and self.seen % ERROR_EVERY == 0 else 0
