"""The response cache: the same question to the same prompt, model and corpus is paid for once."""

import hashlib
import json
from typing import Any

from cashews import Cache


def connect(url: str) -> Cache:
    """Open the cache by URL; without one nothing is kept.

    A shared store holds JSON, never pickles; a store that is down is a miss.
    """
    cache = Cache()
    if not url:
        cache.setup("mem://", enable=False)
    elif url.startswith("mem"):
        cache.setup(url, size=10_000)
    else:
        cache.setup(url, pickle_type="json", suppress=True)
    return cache


def key(tenant: str, **parts: object) -> str:
    """The key of an answer; `tenant` is empty where a feature shares its answers."""
    told = json.dumps(parts, sort_keys=True, default=str)
    return f"answer:{tenant}:{hashlib.sha256(told.encode()).hexdigest()}"


async def get(cache: Cache, name: str, ttl_s: int) -> dict[str, Any] | None:
    """A stored answer, or None."""
    return await cache.get(name) if ttl_s else None


async def put(cache: Cache, name: str, value: dict[str, Any], ttl_s: int) -> None:
    """Keep an answer for `ttl_s` seconds; 0 keeps nothing."""
    if ttl_s:
        await cache.set(name, value, expire=ttl_s)
