"""Redis goes away or hangs, the disk is full: the app goes on, and mends itself when they are back."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests import faulty, services
from tests.faulty import Render, Site
from tests.services import Server

# A request without Redis may cost one wait for it, and no more.
PATIENCE_S = 4.0
# Longer than the app's own retries take.
FULL_S = 12.0
DATABASE = "sqlite+aiosqlite:///{}/app.db"


@pytest.fixture(scope="module")
def stub() -> Iterator[int]:
    """Run the stub; return its port."""
    with faulty.stub() as port:
        yield port


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    """Run a Redis."""
    with services.redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def on_redis(
    render: Render, tmp_path_factory: pytest.TempPathFactory, stub: int, redis: Server
) -> Iterator[Site]:
    """Serve an app whose cache and rate limits lie in Redis."""
    urls = {"cache_url": redis.url, "limits_url": redis.url}
    site = faulty.build(render, tmp_path_factory.mktemp("redis"), stub, "redis", **urls)
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
    on_redis: Site, redis: Server, gone: signal.Signals, back: signal.Signals | None
) -> None:
    assert [cached(on_redis), cached(on_redis)][1]
    redis.process.send_signal(gone)
    try:
        assert [cached(on_redis) for _ in range(5)] == [False] * 5
    finally:
        if back:
            redis.process.send_signal(back)
    if not back:
        redis.process.wait()
        redis.start()
    faulty.until(lambda: cached(on_redis))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of eight megabytes; return its folder."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing may be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def on_small_disk(render: Render, tmp_path: Path, stub: int, small_disk: Path) -> Iterator[Site]:
    """Serve an app whose data lie on the small disk."""
    site = faulty.build(
        render, tmp_path, stub, var_dir=str(small_disk), database_url=DATABASE.format(small_disk)
    )
    site.models(first="ok")
    site.features({"late": ["first"]})
    site.run("setup")
    with site.serving():
        yield site


def fill(ballast: Path) -> None:
    """Write until the disk is full."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_full_disk_loses_no_row_and_is_left_behind(on_small_disk: Site, small_disk: Path) -> None:
    site, ballast = on_small_disk, small_disk / "ballast"
    said = [site.ask("late", 0)]
    fill(ballast)
    ends = time.monotonic() + FULL_S
    while time.monotonic() < ends:
        said.append(site.ask("late", len(said)))
        time.sleep(0.2)
    later, ready = site.ask("late", 1000, prefer="respond-async"), site.ready()
    ballast.unlink()
    faulty.until(lambda: site.ask("late", 2000).status == 200)
    assert {reply.status for reply in said} <= {200, 503}
    assert (later.status, ready.status) == (503, 503)
    assert "takes no rows" in ready.text
    assert "usage rows wait for the database" in site.log.read_text(encoding="utf-8")
    answered = {reply.json["meta"]["id"] for reply in said if reply.status == 200}
    faulty.until(lambda: answered <= site.ids())
    assert site.query("pragma integrity_check") == [("ok",)]
    site.balance()
