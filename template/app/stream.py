"""A request that is streamed belongs to a task of its own: a client that leaves does not cut it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from app import db, problems, results
from app.ask import Ask
from app.errors import AppError, Unavailable
from app.events import Event
from app.live import Stream, line
from app.pipeline import answer
from app.services import Services

# A client that lost its connection finds the events here; later it gets the kept result.
LINGER_S = 60
POLL_S = 0.25
# A reader waits this long for what another process answers, then asks again.
WAIT_S = 300
LATE = "the answer is not there yet; ask again in a few seconds"


def start(services: Services, ask: Ask) -> Stream:
    """Begin to answer; the stream ends with `result` or `error`, whoever listens."""
    stream = Stream()
    services.streams[ask.id] = stream
    stream.task = asyncio.create_task(run(services, ask, stream))
    stream.task.add_done_callback(lambda _: leave(services, ask.id, stream))
    return stream


def leave(services: Services, name: str, stream: Stream) -> None:
    """Let go of a stream that has ended; one that was refused at once has nothing to come back to."""
    linger_s = LINGER_S if len(stream.events) > 1 else 0
    asyncio.get_running_loop().call_later(linger_s, services.streams.pop, name, None)


async def run(services: Services, ask: Ask, stream: Stream) -> None:
    """Answer into the stream."""
    try:
        done = await answer(services, ask, stream.send)
    except AppError as error:
        stream.send(Event("error", problems.describe(error, ask.id)))
    except Exception:  # the pipeline has logged it; the reader must still see an end
        stream.send(Event("error", problems.unknown(ask.id)))
    else:
        stream.send(Event("result", done.body))


def running(services: Services) -> dict[str, Stream]:
    """The streams that are still being answered."""
    return {name: one for name, one in services.streams.items() if one.task and not one.task.done()}


async def hold(services: Services) -> None:
    """Keep saying that this process answers its streams; a worker takes those that nobody holds."""
    lease_s = services.plan.settings.lease_s
    while True:
        await asyncio.sleep(lease_s / 3)
        if names := list(running(services)):
            with suppress(SQLAlchemyError, OSError):  # a database that is away must not end this loop
                await results.hold(services.engine, names, lease_s)


async def finish(services: Services) -> None:
    """Wait for the requests whose clients have left: their usage rows are owed too."""
    await asyncio.gather(*(stream.task for stream in running(services).values() if stream.task))


async def again(services: Services, tenant: str, name: str, last: int) -> AsyncIterator[bytes]:
    """The events of a request after number `last`: from here, or from its kept result once that is there."""
    if here := services.streams.get(name):
        async for part in here.follow(last + 1):
            yield part
        return
    ends_s = time.monotonic() + WAIT_S
    while (end := await ended(services, tenant, name)) is None and time.monotonic() < ends_s:
        await asyncio.sleep(POLL_S)
        yield b": wait\n\n"
    if end and end.kind == "result":
        # Another process answered: its events are not ours to number, so the reader begins again.
        last += 1
        yield line(Event("restart", {"model": ""}), last)
    yield line(end or Event("error", problems.describe(Unavailable(LATE), name)), last + 1)


async def ended(services: Services, tenant: str, name: str) -> Event | None:
    """The last event of a kept result, once it has an end; what stands in its way is an end too."""
    try:
        with db.reached():
            found = await results.fetch(services.engine, tenant, name)
    except AppError as error:
        return Event("error", problems.describe(error, name))
    if found.body is None:
        return None
    return Event("result" if found.state == "done" else "error", found.body)
