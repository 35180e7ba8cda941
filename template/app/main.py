"""What uvicorn imports: build the app from the settings of this machine."""

import sys

from fastapi import FastAPI

from app import services, settings, web
from app.errors import ConfigError


def create() -> FastAPI:
    """Read settings and files, and build the app; a fault in them ends the process with every one named.

    With reload, the watcher stays and starts the app again at the next change.
    """
    try:
        return web.create_app(services.plan(settings.load()))
    except ConfigError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
