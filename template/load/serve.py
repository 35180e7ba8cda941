"""python -m load.serve PORT: the app of load.local on this machine, until its input ends."""

import asyncio
import sys

from app import lifeline, server, services, web
from app.errors import AppError
from load import local


def main() -> None:
    """Set up and serve; a mistake ends in one message."""
    lifeline.hold()
    try:
        plan = local.plan()
        asyncio.run(services.setup(plan))
        server.run(web.create_app(plan), "127.0.0.1", int(sys.argv[1]), 0)
    except AppError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
