"""How often a tenant may ask: a moving window a minute."""

import math
import time

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from app.errors import RateLimited


class Limits:
    """The counters of this process."""

    def __init__(self, per_minute: int) -> None:
        self.item = RateLimitItemPerMinute(per_minute)
        self.window = MovingWindowRateLimiter(MemoryStorage())

    async def check(self, tenant: str) -> None:
        """Count one request; raise RateLimited with the seconds to wait."""
        if await self.window.hit(self.item, tenant):
            return
        stats = await self.window.get_window_stats(self.item, tenant)
        wait_s = max(1, math.ceil(stats.reset_time - time.time()))
        raise RateLimited(f"more than {self.item.amount} requests a minute; wait {wait_s} s", wait_s)
