"""uv run python -m benchmarks.gateway: the rendered app beside LiteLLM's proxy, on the same stub.

Each cell is the median of alternating rounds. The servers run on one CPU, stub and client on another.
What differs is written below the table: it belongs to the numbers.
"""

import argparse
import asyncio
import json
import os
import platform
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks import load, servers
from benchmarks.load import Result
from benchmarks.servers import Server
from benchmarks.stub import calls, set_latency
from tests.services import free_port

MIN_RATIO = 5.0
WARM_UP_S = 2.0
PRIME_S = 0.3
# The cell that a goal is read from: where the gateway is busy, and where the provider takes its time.
BUSY, REAL = ("miss", 0, 16), ("miss", 50, 16)
NOTES = """\
CPU ms: of the server's process for one answer, the number that a busy machine disturbs least.
Both: one process, uvicorn, key checked, one fallback configured, prices given, memory cache, no access log.
The app also counts the tenant's budget in its database, guards input and output, checks the answer against
its schema and writes a usage row. LiteLLM's proxy has no database here: it computes costs and keeps none."""


@dataclass(frozen=True, order=True)
class Cell:
    """What is measured: cache misses or hits, at this latency of the provider, with this many at once."""

    kind: str
    latency_ms: int
    concurrency: int


Results = dict[tuple[Cell, str], list[Result]]


def main() -> None:
    """Measure all cells and print the tables."""
    given = arguments()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        work, port = Path(folder), free_port()
        project = servers.render(work, port)
        key = servers.new_key(project)
        os.sched_setaffinity(0, {servers.CLIENT_CPU})
        stub = stack.enter_context(servers.stub(work, port))
        measured = [stub, stack.enter_context(servers.app(project, key))]
        if not given.alone:
            measured.append(stack.enter_context(servers.litellm(work, port)))
        results = asyncio.run(rounds(measured, given))
        memory = {server.name: load.rss_mb(server.pid) for server in measured}
    report(results, memory, given)


def arguments() -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="of each cell in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--latency-ms", type=int, nargs="+", default=[0, 50], help="of the provider")
    parser.add_argument("--alone", action="store_true", help="without LiteLLM")
    parser.add_argument("--json", type=Path, help="write every window to this file")
    return parser.parse_args()


def cells(given: argparse.Namespace) -> list[Cell]:
    """Every cell; a hit never reaches the provider, so its latency plays no part."""
    misses = [Cell("miss", latency, c) for latency in given.latency_ms for c in given.concurrency]
    return misses + [Cell("hit", 0, c) for c in given.concurrency]


async def rounds(measured: list[Server], given: argparse.Namespace) -> Results:
    """Every cell of every server in alternating order; requests carry numbers that never come again."""
    results: Results = {}
    stub, number = measured[0], 1
    for server in measured:
        for target in (server.miss, server.hit):
            await load.measure(target, 16, WARM_UP_S, first=number * 10_000_000)
            number += 1
    for turn in range(given.rounds):
        for cell in cells(given):
            set_latency(stub.miss.port, cell.latency_ms)
            for server in measured if turn % 2 else reversed(measured):
                if cell.kind == "hit" and server is stub:
                    continue
                number += 1
                window = await one(stub, server, cell, given.seconds, number * 10_000_000)
                results.setdefault((cell, server.name), []).append(window)
    return results


async def one(stub: Server, server: Server, cell: Cell, seconds: float, first: int) -> Result:
    """One window, checked: a miss must reach the provider once each time, a hit never."""
    target = server.hit if cell.kind == "hit" else server.miss
    if cell.kind == "hit":  # the misses before may have pushed it out of the cache
        await load.measure(target, 1, PRIME_S)
    before = calls(stub.miss.port)
    result = await load.measure(target, cell.concurrency, seconds, server.pid, first)
    reached = calls(stub.miss.port) - before
    if reached != (0 if cell.kind == "hit" else result.requests):
        result.errors[f"{reached} calls for {result.requests} answers"] = 1
    return result


def report(results: Results, memory: dict[str, float], given: argparse.Namespace) -> None:
    """Print machine, versions, every cell and the goals."""
    peers = "" if given.alone else f", LiteLLM proxy {servers.LITELLM}"
    print(f"Linux {platform.machine()}, {cpu()}, {os.cpu_count()} cores, Python {platform.python_version()},")
    print(f"uvicorn {version('uvicorn')}{peers}; load average at the end {os.getloadavg()[0]:.1f}.")
    print(f"Medians of {given.rounds} alternating rounds of {given.seconds:g} s.\n")
    middle = {place: load.median(windows) for place, windows in results.items()}
    print("| what | requests/s | p50 ms | p95 ms | added p95 ms | CPU ms | core share | errors |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    for (cell, name), result in middle.items():
        print(row(cell, name, result, added(middle, cell, name)))
    print("\n| server | RSS MB |\n|---|---:|")
    for name, megabytes in memory.items():
        print(f"| {name} | {megabytes:.0f} |")
    if not given.alone:
        goals(middle)
    print(f"\n{NOTES}")
    if given.json:
        kept = [
            {**asdict(cell), "server": name, "windows": [asdict(window) for window in windows]}
            for (cell, name), windows in results.items()
        ]
        given.json.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def row(cell: Cell, name: str, result: Result, more: float) -> str:
    """One line of the table."""
    where = f"{name}, {cell.kind}, provider {cell.latency_ms} ms, {cell.concurrency} at once"
    numbers = f"{result.rps:.0f} | {result.p50_ms:.1f} | {result.p95_ms:.1f} | {more:.1f}"
    errors = ", ".join(f"{count} x {kind}" for kind, count in result.errors.items()) or "none"
    return f"| {where} | {numbers} | {result.cpu_ms:.2f} | {result.cpu_share:.2f} | {errors} |"


def added(middle: dict[tuple[Cell, str], Result], cell: Cell, name: str) -> float:
    """What a gateway adds to the provider's own p95, in ms; a hit has no provider."""
    direct = middle.get((cell, "stub"))
    return middle[cell, name].p95_ms - (direct.p95_ms if direct else 0)


def goals(middle: dict[tuple[Cell, str], Result]) -> None:
    """Print each cell's ratios, and the goals with the cells that they are read from."""
    print("\n| cell | requests/s, app:LiteLLM | added p95, LiteLLM:app | CPU, LiteLLM:app | goal | met |")
    print("|---|---:|---:|---:|---|---|")
    for cell in dict.fromkeys(cell for cell, _ in middle):
        ours, theirs = middle[cell, "app"], middle[cell, "litellm"]
        rps, cpu_ratio = ours.rps / theirs.rps, theirs.cpu_ms / ours.cpu_ms
        p95 = added(middle, cell, "litellm") / added(middle, cell, "app")
        place = (cell.kind, cell.latency_ms, cell.concurrency)
        goal, met = "", ""
        if place == BUSY or cell.kind == "hit":
            goal, met = f"requests/s >= {MIN_RATIO:g}x", yes(rps)
        elif place == REAL:
            goal, met = f"added p95 <= 1/{MIN_RATIO:g}", yes(p95)
        where = f"{cell.kind}, {cell.latency_ms} ms, {cell.concurrency} at once"
        print(f"| {where} | {rps:.1f} | {p95:.1f} | {cpu_ratio:.1f} | {goal} | {met} |")


def yes(ratio: float) -> str:
    """Whether a ratio reaches the goal."""
    return "yes" if ratio >= MIN_RATIO else "**no**"


def cpu() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown processor"


if __name__ == "__main__":
    main()
