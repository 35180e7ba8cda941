"""Other stores than files: every test gets an empty database and cache where TEST_… says so.

TEST_DATABASE_URL=postgresql+psycopg://user@host/postgres TEST_REDIS_URL=redis://host uv run pytest

The Redis is emptied before each test: it must hold nothing else. Each of several processes has its database.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from sqlalchemy import create_engine, make_url, text

from app import settings

DATABASE = os.environ.get("TEST_DATABASE_URL", "")
NUMBER = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
URL = os.environ.get("TEST_REDIS_URL", "")
REDIS = urlsplit(URL)._replace(path=f"/{NUMBER}").geturl() if URL else ""
# Tests of what only files do: locks of SQLite, worker slots that are files.
of_files = pytest.mark.skipif(bool(DATABASE), reason="about files; TEST_DATABASE_URL is set")


@contextmanager
def fresh() -> Iterator[dict[str, str]]:
    """The settings of an empty database and cache, as variables; both are gone afterwards."""
    told = {"APP_CACHE_URL": REDIS, "APP_LIMITS_URL": REDIS} if REDIS else {}
    if REDIS:
        empty(REDIS)
    if not DATABASE:
        yield told
        return
    name, engine = f"test_{uuid.uuid4().hex}", create_engine(DATABASE, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"create database {name}"))
        url = make_url(DATABASE).set(database=name).render_as_string(hide_password=False)
        yield {**told, "APP_DATABASE_URL": url}
        for made in (name, f"{name}_dbos_sys"):
            connection.execute(text(f"drop database if exists {made} with (force)"))
    engine.dispose()


def read(query: str, **values: str) -> list[tuple[object, ...]]:
    """What another process sees in the project's database."""
    engine = create_engine(settings.load().database_url.replace("+aiosqlite", ""))
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(query), values)]
    engine.dispose()
    return found


def empty(url: str) -> None:
    """Empty a Redis."""
    from redis import Redis

    with Redis.from_url(url) as redis:
        redis.flushdb()
