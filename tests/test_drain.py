"""SIGTERM under load: what runs comes to its end, and a proxy sees no failed request."""

import http.client
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from benchmarks import servers
from tests import faulty, services
from tests.conftest import slow
from tests.faulty import Render, Site

CLIENTS = 6
DRAIN_S = 1.5
PROBE_S = 0.2
LATENCY_MS = 800


@pytest.fixture(scope="module")
def stub() -> Iterator[int]:
    """Run the stub, whose answers take a while; return its port."""
    with faulty.stub(LATENCY_MS) as port:
        yield port


@pytest.fixture
def site(render: Render, tmp_path: Path, stub: int) -> Site:
    """Make a project that asks the stub."""
    site = faulty.build(render, tmp_path, stub, job_slots="4", tenant_job_slots="4")
    site.models(first="ok")
    site.features({"late": ["first"]})
    site.run("setup")
    return site


def test_requests_and_streams_that_run_come_to_their_end(site: Site) -> None:
    before = faulty.calls(site.stub)
    with site.serving() as app, ThreadPoolExecutor(16) as threads:
        plain = [threads.submit(site.ask, "late", n) for n in range(8)]
        streams = [threads.submit(site.ask, "late", 100 + n, accept="text/event-stream") for n in range(8)]
        faulty.until(lambda: faulty.calls(site.stub) == before + 16)
        app.send_signal(signal.SIGTERM)
        assert {reply.result().status for reply in plain} == {200}
        assert {reply.result().events[-1][0] for reply in streams} == {"result"}
        app.wait(timeout=20)
    assert site.balance() == 16


def test_a_worker_finishes_its_jobs_and_begins_no_other(site: Site) -> None:
    before = faulty.calls(site.stub)
    with site.serving():
        for number in range(12):
            assert site.ask("late", number, prefer="respond-async").status == 202
        with site.working() as worker:
            faulty.until(lambda: faulty.calls(site.stub) > before)
        assert worker.returncode == 0
        begun = faulty.calls(site.stub) - before
        assert 0 < begun == site.balance() < 12
        with site.working():
            faulty.until(lambda: site.balance() == 12)
    assert faulty.calls(site.stub) == before + 12


@dataclass
class Proxy:
    """What a proxy does: it asks each server whether it is ready, and sends requests to those that are."""

    ports: tuple[int, ...]
    ready: list[int] = field(default_factory=list)
    statuses: list[object] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        """Let all come to their end."""
        self.over.set()

    def is_ready(self, port: int) -> bool:
        """Whether requests go to this server."""
        return port in self.ready

    def probe(self) -> None:
        """Ask each server until the end."""
        while not self.over.wait(PROBE_S):
            self.ready = [port for port in self.ports if alive(port)]

    def send(self, number: int) -> None:
        """Send requests until the end, on one connection as long as its server is ready."""
        used, connection = 0, http.client.HTTPConnection("127.0.0.1")
        while not self.over.is_set():
            port = self.ready[number % len(self.ready)]
            if port != used:
                connection.close()
                used, connection = port, http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            self.statuses.append(outcome(connection, servers.ask_bench(number)))


JSON = {"Content-Type": "application/json"}


def outcome(connection: http.client.HTTPConnection, body: bytes) -> object:
    """The status of one request, or what broke it."""
    try:
        connection.request("POST", "/v1/summarize", body, JSON)
        reply = connection.getresponse()
        reply.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return repr(error)
    return reply.status


def alive(port: int) -> bool:
    """Whether a server says that it is ready."""
    try:
        return faulty.call(port, "GET", "/readyz").status == 200
    except (OSError, http.client.HTTPException):
        return False


@slow
def test_a_rolling_restart_fails_no_request(site: Site) -> None:
    sites = [site, replace(site, port=services.free_port())]
    proxy = Proxy(tuple(one.port for one in sites))
    with ExitStack() as opened:
        running = [opened.enter_context(one.serving(APP_DRAIN_S=str(DRAIN_S))) for one in sites]
        proxy.ready = list(proxy.ports)
        with ThreadPoolExecutor(CLIENTS + 1) as threads, closing(proxy):
            threads.submit(proxy.probe)
            clients = [threads.submit(proxy.send, number) for number in range(CLIENTS)]
            for one, process in zip(sites, running, strict=True):
                time.sleep(1)
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=20)
                opened.enter_context(one.serving(APP_DRAIN_S=str(DRAIN_S)))
                faulty.until(partial(proxy.is_ready, one.port))
    assert [client.exception() for client in clients] == [None] * CLIENTS
    assert len(proxy.statuses) > 200
    assert set(proxy.statuses) == {200}
