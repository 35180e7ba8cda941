"""A closed-loop HTTP client: N connections, each asks again as soon as it has its answer.

Raw asyncio protocols with keep-alive, so that the client costs a fraction of what it measures.
"""

import asyncio
import contextlib
import gc
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

TICKS_S = 1 / os.sysconf("SC_CLK_TCK")
GRACE_S = 30


@dataclass(frozen=True)
class Target:
    """Where to ask, what, with which headers; `body` gives the JSON of the n-th request."""

    port: int
    path: str
    body: Callable[[int], bytes]
    headers: dict[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"

    def request(self, number: int) -> bytes:
        """The bytes of the n-th request."""
        body = self.body(number)
        lines = [f"POST {self.path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Result:
    """One window: answers a second, latency in ms, CPU ms of the server for each answer; errors by kind."""

    requests: int
    rps: float
    p50_ms: float
    p95_ms: float
    cpu_ms: float
    cpu_share: float
    errors: dict[str, int]


class Window:
    """What all connections share while one window runs."""

    def __init__(self, target: Target, ends: float, first: int = 0) -> None:
        self.target = target
        self.ends = ends
        self.number = first
        self.spent_ms: list[float] = []
        self.errors: dict[str, int] = {}

    def next(self) -> bytes:
        """The next request's bytes; no two are of the same number."""
        self.number += 1
        return self.target.request(self.number)

    def fail(self, kind: str) -> None:
        """Count an error by its kind: a status or `connection`."""
        self.errors[kind] = self.errors.get(kind, 0) + 1


class Connection(asyncio.Protocol):
    """One connection: send, read by Content-Length, note the time, send again until the window ends."""

    def __init__(self, window: Window, done: "asyncio.Future[None]") -> None:
        self.window = window
        self.done = done
        self.asked = False
        self.transport: asyncio.Transport | None = None
        self.reset()

    def reset(self) -> None:
        """Forget the answer that was read."""
        self.buffer = bytearray()
        self.wanted = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask the first time."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # for the type checker
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        """Send a request, or close when the window is over."""
        assert self.transport  # noqa: S101  # for the type checker
        self.asked = time.perf_counter() < self.window.ends
        if not self.asked:
            self.transport.close()
            return
        data = self.window.next()
        self.started = time.perf_counter()
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Collect an answer; count it when it is whole."""
        self.buffer += data
        if not self.wanted:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self.wanted = end + 4 + length(bytes(self.buffer[:end]))
        if len(self.buffer) >= self.wanted:
            self.window.spent_ms.append((time.perf_counter() - self.started) * 1000)
            status = self.buffer[9:12].decode()
            if status != "200":
                self.window.fail(status)
            self.reset()
            self.ask()

    def connection_lost(self, _: Exception | None) -> None:
        """End; a connection that breaks while it waits is an error."""
        if self.asked:
            self.window.fail("connection")
        if not self.done.done():
            self.done.set_result(None)


def length(head: bytes) -> int:
    """The Content-Length of an answer's head; 0 without one."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


async def measure(
    target: Target, concurrency: int, seconds: float, pid: int | None = None, first: int = 0
) -> Result:
    """Keep `concurrency` requests in flight for some seconds; `pid` is the server whose CPU is counted."""
    loop = asyncio.get_running_loop()
    before = cpu_s(pid) if pid else 0.0
    started = time.perf_counter()
    window = Window(target, started + seconds, first)
    gc.disable()  # a collection in the client would show as latency of the server
    try:
        waiting = [loop.create_future() for _ in range(concurrency)]
        for done in waiting:
            await loop.create_connection(lambda d=done: Connection(window, d), target.host, target.port)  # type: ignore[misc]
        await asyncio.wait_for(asyncio.gather(*waiting), seconds + GRACE_S)
    finally:
        gc.enable()
    took = time.perf_counter() - started
    return summed(window, took, (cpu_s(pid) if pid else 0.0) - before)


def summed(window: Window, took_s: float, cpu: float) -> Result:
    """The window's numbers."""
    spent, count = sorted(window.spent_ms), len(window.spent_ms)
    return Result(
        requests=count,
        rps=count / took_s,
        p50_ms=quantile(spent, 0.5),
        p95_ms=quantile(spent, 0.95),
        cpu_ms=cpu * 1000 / max(count, 1),
        cpu_share=cpu / took_s,
        errors=window.errors,
    )


def quantile(ordered: list[float], share: float) -> float:
    """The value below which this share of an ordered list lies (nearest rank); NaN of nothing."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def median(results: list[Result]) -> Result:
    """The median of every number over windows of one cell; requests and errors are added up."""
    errors: dict[str, int] = {}
    for result in results:
        for kind, count in result.errors.items():
            errors[kind] = errors.get(kind, 0) + count
    middle = {
        name: statistics.median(getattr(result, name) for result in results)
        for name in ("rps", "p50_ms", "p95_ms", "cpu_ms", "cpu_share")
    }
    return Result(requests=sum(result.requests for result in results), errors=errors, **middle)


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, that a process and its living children have used."""
    return sum(own_cpu_s(one) for one in family(pid))


def own_cpu_s(pid: int) -> float:
    """CPU seconds of one process, all threads (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICKS_S


def rss_mb(pid: int) -> float:
    """Resident memory of a process and its children, in MB."""
    pages = [int(Path(f"/proc/{one}/statm").read_text(encoding="utf-8").split()[1]) for one in family(pid)]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1_000_000


def family(pid: int) -> list[int]:
    """A process and all its living descendants."""
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended meanwhile
            for child in (thread / "children").read_text(encoding="utf-8").split():
                found += family(int(child))
    return found
