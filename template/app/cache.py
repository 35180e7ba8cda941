"""The response cache: the same question to the same prompt, model and corpus is paid for once."""

import asyncio
import hashlib
import json
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cashews import Cache
from cashews.exceptions import BackendNotAvailableError

from app.disk import Disk
from app.errors import ConfigError, Fault
from app.settings import CONFIG

MAX_ENTRIES = 10_000


class Answers:
    """A store by URL: none, this process's memory, a file (`sqlite:///path`), or Redis.

    A shared store holds JSON, never pickles; a store that is down is a miss.
    """

    def __init__(self, url: str) -> None:
        self.disk = Disk(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None
        self.store = Cache()
        self.flights: dict[str, asyncio.Event] = {}
        if url.startswith("redis"):
            try:
                self.store.setup(url, pickle_type="json", suppress=True, socket_connect_timeout=1)
            except BackendNotAvailableError as error:
                what = "the package of Redis is missing: uv sync --extra redis"
                raise ConfigError([Fault(CONFIG, "cache_url", what)]) from error
        else:
            self.store.setup("mem://", size=MAX_ENTRIES, enable=url.startswith("mem"))

    async def get(self, name: str, ttl_s: int) -> dict[str, Any] | None:
        """A stored answer, or None."""
        if not ttl_s:
            return None
        return self.disk.get(name) if self.disk else await self.store.get(name)

    async def put(self, name: str, value: dict[str, Any], ttl_s: int) -> None:
        """Keep an answer for `ttl_s` seconds; 0 keeps nothing."""
        if not ttl_s:
            return
        if self.disk:
            self.disk.put(name, value, ttl_s)
        else:
            await self.store.set(name, value, expire=ttl_s)

    async def purge(self, tenant: str) -> None:
        """Forget every answer that belongs to one tenant alone."""
        if self.disk:
            self.disk.purge(prefix(tenant))
        else:
            await self.store.delete_match(f"{prefix(tenant)}*")

    @asynccontextmanager
    async def once(self, name: str, ttl_s: int) -> AsyncIterator[None]:
        """Let one of the same questions ask first; the others find its answer, or all ask if it failed."""
        if first := self.flights.get(name):
            await first.wait()
        if first or not ttl_s:
            yield
            return
        self.flights[name] = landed = asyncio.Event()
        try:
            yield
        finally:
            del self.flights[name]
            landed.set()

    async def close(self) -> None:
        """Release the store."""
        if self.disk:
            self.disk.close()
        await self.store.close()


def prefix(tenant: str) -> str:
    """How a tenant's keys begin; answers that are shared have no tenant."""
    return f"answer:{tenant}:"


def key(tenant: str, *parts: object) -> str:
    """The key of an answer: whose it is, and a hash of what decides it, spacing and Unicode forms aside."""
    told = json.dumps([normalised(part) if isinstance(part, str) else part for part in parts], default=str)
    return prefix(tenant) + hashlib.sha256(told.encode()).hexdigest()


def normalised(text: str) -> str:
    """The text with one space between words, letters with accents in one form (NFC)."""
    return " ".join(unicodedata.normalize("NFC", text).split())
