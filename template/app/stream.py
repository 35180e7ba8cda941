"""A request that is streamed belongs to a task of its own: a client that leaves does not cut it."""

import asyncio
from collections.abc import AsyncIterator

from fastapi.sse import format_sse_event

from app import problems
from app.errors import AppError
from app.events import Event
from app.pipeline import Ask, answer
from app.reply import body
from app.services import Services

RUNNING: set[asyncio.Task[None]] = set()


class Stream:
    """The events of one request so far; any number of readers follow them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.changed = asyncio.Event()

    def send(self, event: Event) -> None:
        """Add one event and wake the readers."""
        self.events.append(event)
        self.changed.set()

    async def begun(self) -> Event:
        """The first event: an error here came before anything was sent, and can still be an HTTP status."""
        while not self.events:
            self.changed.clear()
            await self.changed.wait()
        return self.events[0]

    async def follow(self) -> AsyncIterator[bytes]:
        """Every event as server-sent bytes, until the last one."""
        told = 0
        while True:
            while told < len(self.events):
                event = self.events[told]
                data = problems.dump(event.data)
                yield format_sse_event(data_str=data, event=event.kind, id=str(told))
                told += 1
                if event.kind in ("result", "error"):
                    return
            self.changed.clear()
            await self.changed.wait()


def start(services: Services, ask: Ask) -> Stream:
    """Begin to answer; the stream ends with `result` or `error`, whoever listens."""
    stream = Stream()
    task = asyncio.create_task(run(services, ask, stream))
    RUNNING.add(task)
    task.add_done_callback(RUNNING.discard)
    return stream


async def finish() -> None:
    """Wait for the requests whose clients have left: their usage rows are owed too."""
    here = asyncio.get_running_loop()
    await asyncio.gather(*(task for task in RUNNING if task.get_loop() is here))


async def run(services: Services, ask: Ask, stream: Stream) -> None:
    """Answer into the stream."""
    try:
        done = await answer(services, ask, stream.send)
    except AppError as error:
        stream.send(Event("error", problems.describe(error)))
    except Exception:  # the pipeline has logged it; the reader must still see an end
        stream.send(Event("error", problems.UNKNOWN))
    else:
        stream.send(Event("result", body(done)))
