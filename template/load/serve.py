"""python -m load.serve PORT: the app of load.local on this machine, until its input ends."""

import asyncio
import os
import signal
import sys
import threading

from app import server, services, web
from app.errors import AppError
from load import local


def main() -> None:
    """Set up and serve; a mistake ends in one message."""
    threading.Thread(target=stop_at_end_of_input, daemon=True).start()
    try:
        plan = local.plan()
        asyncio.run(services.setup(plan))
        server.run(web.create_app(plan), "127.0.0.1", int(sys.argv[1]), 0)
    except AppError as error:
        raise SystemExit(str(error)) from error


def stop_at_end_of_input() -> None:
    """Wait until the process that started this one is gone, however it died."""
    os.read(sys.stdin.fileno(), 1)  # not through sys.stdin, whose lock would break an exit with a message
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
