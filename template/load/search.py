"""python -m load.search: search the index in this process, with as many questions at once as there are users.

There is no route that only searches, so this is where the index shows alone, without HTTP, guard and model.
"""

import asyncio
import os
import time
from pathlib import Path

from app import services
from app.services import Services
from app.shelf import Source
from load import local, seen, work
from load.seen import Seen
from load.tally import Tally
from load.work import Route, Work

MOST_S = 10


async def measure() -> list[Seen]:
    """Every feature that searches, one after the other."""
    told, plan = work.read(), local.plan()
    await services.setup(plan)
    async with services.start(plan) as held:
        return [(await ask(held, told, route)).seen() for route in told.routes if route.searches]


async def ask(held: Services, told: Work, route: Route) -> Tally:
    """Keep the searches of one feature going; what is counted begins with the open index."""
    retrieval = held.plan.features[route.feature].spec.retrieval
    assert retrieval  # for the type checker: the route says so
    source = held.plan.source(retrieval)
    await once(held, source, route, retrieval.k)
    tally = Tally(route, "search")
    ends_s = time.perf_counter() + min(told.seconds, MOST_S)

    async def user() -> None:
        while time.perf_counter() < ends_s:
            started_s = time.perf_counter()
            await once(held, source, route, retrieval.k)
            tally.note(200, "", (time.perf_counter() - started_s) * 1000)

    await asyncio.gather(*(user() for _ in range(told.users)))
    return tally


async def once(held: Services, source: Source, route: Route, k: int) -> None:
    """One question, after those of the others that were there before it."""
    question = str(work.given(route, 0)[route.text])
    await asyncio.sleep(0)
    await held.library.search(source, question, k, "", 0)


if __name__ == "__main__":
    found = asyncio.run(measure())
    Path(os.environ["LOAD_SEEN"]).write_bytes(seen.FILE.dump_json(found))
