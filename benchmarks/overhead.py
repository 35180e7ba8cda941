"""Run inside a rendered project: the pipeline's own time a request, in ms, at the 95th percentile.

The time in the model and in retrieval is taken out of each request; the cache never answers.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from app import pipeline, services, settings, tiers

REQUESTS = 400


def main() -> None:
    """Ask distinct questions one after the other and print the p95."""
    outside = [0.0]
    tiers.complete = timed(tiers.complete, outside)
    pipeline.searched = timed(pipeline.searched, outside)
    spent = asyncio.run(measure(outside))[50:]
    print(f"p95 {statistics.quantiles(spent, n=20)[-1]:.3f}")


async def measure(outside: list[float]) -> list[float]:
    """Milliseconds of each request without what was measured outside."""
    config = settings.load(auth="open", rate_per_minute=10**9)
    spent = []
    async with services.start(services.plan(config)) as held:
        feature = held.plan.features["answer"]
        for number in range(REQUESTS):
            given = feature.Input.model_validate({"question": f"What is an error budget, case {number}?"})
            outside[0], started = 0.0, time.perf_counter()
            await pipeline.answer(held, pipeline.Ask(feature, given))
            spent.append((time.perf_counter() - started - outside[0]) * 1000)
    return spent


def timed(work: Callable[..., Awaitable[Any]], outside: list[float]) -> Callable[..., Awaitable[Any]]:
    """The same function, its time added up."""

    async def run(*given: Any) -> Any:
        started = time.perf_counter()
        try:
            return await work(*given)
        finally:
            outside[0] += time.perf_counter() - started

    return run


if __name__ == "__main__":
    main()
