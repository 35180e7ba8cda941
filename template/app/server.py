"""Serve the app with uvicorn; on SIGTERM it is not ready at once, and serves until the proxy has seen it."""

import asyncio
from types import FrameType

import uvicorn
from fastapi import FastAPI

STOP_S = 60
# Longer than a proxy keeps a connection that nobody uses: else it sends a request into one that just closes.
KEEP_S = 150


class Draining(uvicorn.Server):
    """A server that answers 503 on /readyz for `drain_s` seconds before it takes no more connections."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_s: float) -> None:
        super().__init__(config)
        self.app, self.drain_s = app, drain_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second signal stops now."""
        if self.app.state.draining or not self.drain_s:
            return super().handle_exit(sig, frame)
        self.app.state.draining = True
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(loop.call_later, self.drain_s, super().handle_exit, sig, None)
        return None


def run(app: FastAPI, host: str, port: int, drain_s: float) -> None:
    """Serve until told to stop; requests that run come to their end, at most a minute long."""
    config = uvicorn.Config(
        app, host=host, port=port, log_config=None, server_header=False, timeout_graceful_shutdown=STOP_S,
        timeout_keep_alive=KEEP_S, access_log=False,
    )  # fmt: skip
    Draining(config, app, drain_s).run()
