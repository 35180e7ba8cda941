"""Redis goes away or hangs, the disk is full: the app goes on, and mends itself when they are back."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import faulty, services
from tests.faulty import Render, Site
from tests.services import Server

# A request without Redis may cost one wait for it, and no more.
PATIENCE_S = 4.0


@pytest.fixture
def stub() -> Iterator[int]:
    """Run the stub; return its port."""
    with faulty.stub() as port:
        yield port


@pytest.fixture
def redis() -> Iterator[Server]:
    """Run a Redis."""
    with services.redis_server() as server:
        yield server


@pytest.fixture
def shared(render: Render, tmp_path: Path, stub: int, redis: Server) -> Iterator[Site]:
    """Serve an app whose cache and rate limits lie in Redis."""
    urls = {"cache_url": redis.url, "limits_url": f"async+{redis.url}"}
    site = faulty.build(render, tmp_path, stub, "redis", **urls)
    site.models(first="ok")
    site.features({"late": ["first"]}, cache_ttl_s=600)
    site.run("setup")
    with site.serving():
        yield site


def cached(site: Site) -> bool:
    """Ask the same again, in time; return whether the answer came from the cache."""
    started = time.monotonic()
    said = site.ask("late", 1)
    assert time.monotonic() - started < PATIENCE_S
    assert said.status == 200, said.text
    return bool(said.json["meta"]["cached"])


@pytest.mark.parametrize(("gone", "back"), [(signal.SIGKILL, None), (signal.SIGSTOP, signal.SIGCONT)])
def test_redis_gone_is_a_miss_until_it_is_back(
    shared: Site, redis: Server, gone: signal.Signals, back: signal.Signals | None
) -> None:
    assert [cached(shared), cached(shared)] == [False, True]
    redis.process.send_signal(gone)
    try:
        assert [cached(shared) for _ in range(5)] == [False] * 5
    finally:
        if back:
            redis.process.send_signal(back)
    if not back:
        redis.process.wait()
        redis.start()
    faulty.until(lambda: cached(shared))
