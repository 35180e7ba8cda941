"""The events of a request while it runs, and who reads them."""

import asyncio
import itertools
from collections.abc import AsyncIterator

from app import problems
from app.events import Event

LAST = ("result", "error")


class Stream:
    """The events of one request so far; any number of readers follow them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

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

    async def follow(self, start: int = 0) -> AsyncIterator[bytes]:
        """Every event from number `start` as server-sent bytes, until the last one."""
        for number in itertools.count(start):
            while number >= len(self.events):
                if self.events and self.events[-1].kind in LAST:
                    return
                self.changed.clear()
                await self.changed.wait()
            yield line(self.events[number], number)


def line(event: Event, number: int) -> bytes:
    """One event as server-sent bytes."""
    from fastapi.sse import format_sse_event

    return format_sse_event(data_str=problems.dump(event.data), event=event.kind, id=str(number))
