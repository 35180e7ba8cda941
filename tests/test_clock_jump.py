"""The machine's clock jumps by two hours while app and worker run: each effect comes once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import faulty
from tests.conftest import slow
from tests.faulty import Render, Site

LATENCY_MS = 3000
JOBS, STREAMS = 8, 4
# Under libfaketime clock_nanosleep() fails after a jump, on the monotonic clock too: sleep by other means.
SLEEP = "import select, time\ntime.sleep = lambda s: select.select([], [], [], s) and None\n"


def library() -> Path:
    """Find the library that fakes the time; skip without it."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("libfaketime is not installed (Debian: apt-get install faketime)")
    return found[0]


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """Return the file that says how far the clock is off."""
    file = tmp_path / "clock"
    file.write_text("+0", encoding="utf-8")
    return file


@pytest.fixture
def site(render: Render, tmp_path: Path, clock: Path) -> Iterator[Site]:
    """Make a project whose processes read that file every second."""
    with faulty.stub(LATENCY_MS) as stub:
        site = faulty.build(render, tmp_path, stub, lease_s="60", job_slots="16", tenant_job_slots="16")
        (tmp_path / "sitecustomize.py").write_text(SLEEP, encoding="utf-8")
        site.settings.update(
            LD_PRELOAD=str(library()), FAKETIME_TIMESTAMP_FILE=str(clock), FAKETIME_CACHE_DURATION="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1", PYTHONPATH=str(tmp_path),
        )  # fmt: skip
        site.models(first="ok")
        site.features({"late": ["first"]})
        site.run("setup")
        yield site


@slow
@pytest.mark.parametrize("jump", ["+2h", "-2h"])
def test_a_jump_of_the_clock_doubles_and_loses_nothing(site: Site, clock: Path, jump: str) -> None:
    with site.serving(), site.working(), ThreadPoolExecutor(STREAMS) as threads:
        jobs = {site.ask("late", n, prefer="respond-async").json["id"] for n in range(JOBS)}
        running = "select count(*) from result where state = 'running'"
        faulty.until(lambda: site.query(running) != [("0",)])
        streams = [
            threads.submit(site.ask, "late", 100 + n, accept="text/event-stream") for n in range(STREAMS)
        ]
        faulty.until(lambda: faulty.calls(site.stub) == JOBS + STREAMS)
        clock.write_text(jump, encoding="utf-8")
        told = [stream.result().events for stream in streams]
        names = jobs | {events[0][1]["id"] for events in told}
        faulty.until(lambda: site.ids() == names)
        later = site.ask("late", 200).json["meta"]["id"]
        faulty.until(lambda: later in site.ids())
        fetched = {faulty.call(site.port, "GET", f"/v1/results/{name}").status for name in names}
    assert "Traceback" not in site.log.read_text(encoding="utf-8")
    assert {events[-1][0] for events in told} == {"result"}
    assert fetched == {200}
    assert site.balance() == len(names) + 1
    times = "select count(*) from usage where latency_ms not between 0 and 60000 or first_token_ms < 0"
    assert site.query(times) == [("0",)]
    hours = "select abs(round((julianday(max(at)) - julianday(min(at))) * 24)) from usage"
    assert site.query(hours) == [("2.0",)]
