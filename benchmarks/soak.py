"""uv run python -m benchmarks.soak: many requests for minutes; memory stays, and no usage row is lost.

The inputs differ, so that every request goes to the stub; its answers, the usage rows in the database and
the memory after the warm-up and at the end are compared.
"""

import argparse
import asyncio
import os
import sqlite3
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load, servers
from benchmarks.load import Result
from benchmarks.servers import Server
from tests.services import free_port

MAX_GROWTH = 0.05
WARM_UP_S = 20
SLICE_S = 10


@dataclass(frozen=True)
class Soak:
    """What was seen: memory in MB, and the answers by status."""

    idle_mb: float
    start_mb: float
    end_mb: float
    requests: int
    errors: dict[str, int]

    @property
    def growth(self) -> float:
        """The share by which memory grew after the warm-up."""
        return self.end_mb / self.start_mb - 1


def main() -> None:
    """Soak the app, stop it, count its rows and print the table; exit 1 when a goal is missed."""
    given = arguments()
    with tempfile.TemporaryDirectory() as folder:
        work, port = Path(folder), free_port()
        project = servers.render(work, port)
        key = servers.new_key(project)
        os.sched_setaffinity(0, {servers.CLIENT_CPU})
        with servers.stub(work, port), servers.app(project, key) as app:
            seen = asyncio.run(soak(app, given))
        rows = usage_rows(project)
    sys.exit(report(seen, rows, given))


def arguments() -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--warm-up-s", type=float, default=WARM_UP_S)
    return parser.parse_args()


async def soak(app: Server, given: argparse.Namespace) -> Soak:
    """Warm up, then keep the app busy in slices; every answer counts, also those of the warm-up."""
    idle_mb = load.rss_mb(app.pid)
    windows = [await load.measure(app.miss, given.concurrency, given.warm_up_s)]
    start_mb = load.rss_mb(app.pid)
    slices = max(1, round(given.minutes * 60 / SLICE_S))
    for number in range(1, slices + 1):
        windows.append(await load.measure(app.miss, given.concurrency, SLICE_S, first=number * 10_000_000))
        print(f"{number * SLICE_S} s: {told(windows[-1])}, {load.rss_mb(app.pid):.1f} MB", file=sys.stderr)
    total = load.median(windows)
    return Soak(idle_mb, start_mb, load.rss_mb(app.pid), total.requests, total.errors)


def told(window: Result) -> str:
    """A slice in short."""
    return f"{window.rps:.0f} requests/s, p95 {window.p95_ms:.0f} ms, errors {window.errors or 'none'}"


def usage_rows(project: Path) -> int:
    """The usage rows that the stopped app left in its SQLite file."""
    connection = sqlite3.connect(project / "var/app.db")
    try:
        return int(connection.execute("select count(*) from usage").fetchone()[0])
    finally:
        connection.close()


def report(seen: Soak, rows: int, given: argparse.Namespace) -> int:
    """Print the table; 1 when a goal is missed, else 0."""
    failed = sum(seen.errors.values())
    goals = [
        (f"memory growth in {given.minutes:g} min", f"{seen.growth:.1%}", "5 %", seen.growth <= MAX_GROWTH),
        ("answers without a usage row", f"{seen.requests - rows}", "0", seen.requests == rows),
        ("answers that are no 200", f"{failed}", "0", not failed),
    ]
    print(f"{given.concurrency} at once, {seen.requests} answers, {rows} usage rows.\n")
    print("| what | found | goal | met |\n|---|---:|---:|---|")
    memory = ", ".join(f"{found:.0f}" for found in (seen.idle_mb, seen.start_mb, seen.end_mb))
    print(f"| memory idle, warm, at the end | {memory} MB | | |")
    for what, found, goal, met in goals:
        print(f"| {what} | {found} | {goal} | {'yes' if met else '**no**'} |")
    return 0 if all(met for *_, met in goals) else 1


if __name__ == "__main__":
    main()
