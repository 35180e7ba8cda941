"""App and worker are killed again and again while jobs come in: none is lost, none has a doubled effect."""

import http.client
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests import faulty, services
from tests.conftest import slow
from tests.faulty import Process, Render, Site

CLIENTS = 4
LATENCY_MS = 150
SETTINGS = {"tenant_waiting_jobs": "150", "job_slots": "16", "tenant_job_slots": "16"}
COUNT = "select count(*) from result where state = 'done'"


@pytest.fixture
def stub() -> Iterator[int]:
    """Run the stub; return its port."""
    with faulty.stub(LATENCY_MS) as port:
        yield port


def build(render: Render, folder: Path, stub: int, *extras: str, **settings: str) -> Site:
    """Make a project whose jobs ask the stub."""
    site = faulty.build(render, folder, stub, *extras, **SETTINGS, **settings)
    site.models(first="ok")
    site.features({"late": ["first"]})
    site.run("setup")
    return site


def take(site: Site, number: int) -> str:
    """Ask for an answer later until it is taken, as a client with an idempotency key does; return its id."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        with suppress(OSError, http.client.HTTPException):
            said = site.ask("late", number, prefer="respond-async", idempotency_key=f"order-{number}")
            if said.status == 202:
                return str(said.json["id"])
        time.sleep(0.1)
    raise TimeoutError(number)


def survive(site: Site, count: int, kills: int) -> None:
    """Let clients ask while processes die; check that each request has one result and one usage row."""
    chance = random.Random(20)  # noqa: S311
    running: dict[str, Process] = {"serve": site.serve(), "worker": site.start("worker")}
    try:
        with ThreadPoolExecutor(CLIENTS) as threads:
            taken = threads.map(lambda number: take(site, number), range(count))
            for number in range(kills):
                faulty.until(partial(working, site, faulty.calls(site.stub)))
                time.sleep(chance.uniform(0, 2))
                kill(site, running, ("worker", "serve")[number % 2])
            names = set(taken)
        faulty.until(lambda: site.query(COUNT) == [(str(count),)], 120, "not all jobs were done")
    finally:
        for process in running.values():
            process.terminate()
            process.wait(timeout=40)
    assert len(names) == count
    assert site.ids() == names
    assert site.balance() == count


def working(site: Site, before: int) -> bool:
    """Whether jobs run."""
    return faulty.calls(site.stub) > before


def kill(site: Site, running: dict[str, Process], kind: str) -> None:
    """Kill one process and start it again."""
    running[kind].kill()
    running[kind].wait()
    running[kind] = site.serve() if kind == "serve" else site.start("worker")


@slow
def test_two_thousand_jobs_survive_kills_on_sqlite(render: Render, tmp_path: Path, stub: int) -> None:
    survive(build(render, tmp_path, stub), 2000, kills=6)


@slow
def test_jobs_survive_kills_on_postgres(render: Render, tmp_path: Path, stub: int) -> None:
    with services.postgres() as url:
        survive(build(render, tmp_path, stub, "postgres", database_url=url), 300, kills=3)
