"""What uvicorn imports: build the app from the settings of this machine."""

from fastapi import FastAPI

from app import services, settings, web


def create() -> FastAPI:
    """Read settings and files, and build the app; raise ConfigError with every fault."""
    return web.create_app(services.plan(settings.load()))
