"""How often a tenant may ask: a moving window a minute, counted here or in a Redis for all processes."""

import logging
import math
import time
from typing import Any

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string

from app.errors import ConfigError, Fault, RateLimited
from app.settings import CONFIG

log = logging.getLogger(__name__)
# Redis is asked again this long after it failed; until then this process counts alone.
AWAY_S = 5


class Limits:
    """The counters; without the shared store this process's own."""

    def __init__(self, per_minute: int, url: str = "memory://") -> None:
        self.per_minute = per_minute
        self.own = MovingWindowRateLimiter(MemoryStorage())
        self.window = self.own if url.startswith("memory") else MovingWindowRateLimiter(shared(url))
        self.away_s = 0.0

    async def check(self, tenant: str, per_minute: int | None = None) -> None:
        """Count one request, against the tenant's own rate if it has one; raise RateLimited with the wait."""
        item = RateLimitItemPerMinute(per_minute or self.per_minute)
        if self.window is not self.own and time.monotonic() >= self.away_s:
            try:
                return await count(self.window, item, tenant)
            except StorageError:
                log.warning("the store of rate limits is away; this process counts alone")
                self.away_s = time.monotonic() + AWAY_S
        return await count(self.own, item, tenant)


async def count(window: MovingWindowRateLimiter, item: RateLimitItemPerMinute, tenant: str) -> None:
    """Count one request in one window."""
    if await window.hit(item, tenant):
        return
    stats = await window.get_window_stats(item, tenant)
    wait_s = max(1, math.ceil(stats.reset_time - time.time()))
    if wait_s > item.get_expiry():  # the clock was set back: what was counted lies in the future
        await window.clear(item, tenant)
        return
    raise RateLimited(f"more than {item.amount} requests a minute; wait {wait_s} s", wait_s)


def shared(url: str) -> Any:
    """The store by URL; raise ConfigError for one that cannot be."""
    url = f"async+{url}" if url.startswith("redis") else url  # as the cache's URL is written
    try:
        return storage_from_string(url, wrap_exceptions=True, implementation="redispy", socket_timeout=1)
    except (ConfigurationError, ValueError, ImportError) as error:
        what = f"{type(error).__name__}: write memory:// or, after 'uv sync --extra redis', redis://host"
        raise ConfigError([Fault(CONFIG, "limits_url", what)]) from error
