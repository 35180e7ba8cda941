"""Structured logs, one JSON object a line, with secrets and personal data taken out."""

import logging
import re
from functools import partial
from typing import Any

import structlog

from app import pii, redact, settings
from app.redact import Redact
from app.settings import Settings

QUIET = ("aiosqlite", "alembic", "httpcore2", "httpx2", "openai")  # they log parameters and whole bodies
TRUSTED = ("timestamp", "level", "logger", "id")


def configure(config: Settings) -> None:
    """Send every logger of this process through the same cleaning steps to stderr."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        partial(clean, redactor(config)),
    ]
    console = config.log_format == "console"
    render = structlog.dev.ConsoleRenderer(colors=False) if console else structlog.processors.JSONRenderer()
    steps = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, render]
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=steps)
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers, root.level = [handler], logging.getLevelName(config.log_level.upper())
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").addFilter(cut_query)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def cut_query(record: logging.LogRecord) -> bool:
    """Take the query string out of an access line: a key put there by mistake may have any form."""
    if isinstance(record.args, tuple):
        record.args = tuple(a.partition("?")[0] if isinstance(a, str) else a for a in record.args)
    return True


def redactor(config: Settings) -> Redact:
    """What takes this machine's secrets out of a text, and personal data."""
    longest_first = sorted(settings.hidden(config), key=len, reverse=True)
    known = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
    return lambda text: pii.redact(known.sub("[hidden]", text))


def clean(hide: Redact, _: object, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """Hide values by their key's name, and personal data and API keys wherever they stand."""
    return {
        name: "[hidden]" if redact.is_hidden(name) else value if name in TRUSTED else redact.deep(value, hide)
        for name, value in event.items()
        if name != "color_message"  # uvicorn's second copy of the message
    }
