"""A steady stream of requests to a stage, while a block runs."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.stage import Stage


@dataclass
class Load:
    """What a steady stream of requests brought: every status, and which versions and containers answered."""

    statuses: list[int] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    going: bool = True

    @property
    def failed(self) -> list[int]:
        """What was no 200."""
        return [status for status in self.statuses if status != 200]


@contextmanager
def load(stage: Stage, per_second: int = 20) -> Iterator[Load]:
    """Ask questions at a steady rate while the block runs; each tenth request asks for the version."""
    found = Load()

    def one(number: int) -> None:
        status, body = stage.ask(number) if number % 10 else stage.get("/echo")
        found.statuses.append(status)
        if "version" in body:
            found.versions.add(body["version"])
            found.places.add(body.get("where", ""))

    def steady() -> None:
        with ThreadPoolExecutor(32) as asking:
            began, number = time.monotonic(), 0
            while found.going:
                number += 1
                asking.submit(one, number)
                time.sleep(max(0.0, began + number / per_second - time.monotonic()))

    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(steady)
        try:
            yield found
        finally:
            found.going = False
            running.result()
