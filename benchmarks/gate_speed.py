"""uv run python -m benchmarks.gate_speed: 200 cases by the gate and by other tools, and 1,000 keyless cases.

Every run is a whole process, from its start to its report. Installing is not timed.
"""

import argparse
import itertools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks import servers
from benchmarks.gateway import cpu
from benchmarks.peers import tools as peers
from benchmarks.peers.tools import EVALS, Case, Tool
from benchmarks.stub import calls, set_latency
from tests import frontends
from tests.services import free_port
from tools import checkout

CASES, RIGHT = 200, 190
LATENCY_MS = 50
KEYLESS, KEYLESS_GOAL_S = 1_000, 60
NOTES = """\
All send the same two turns with the same limits to the same stub, 16 at once, look for the same words, and
write a report; 190 of the 200 answers hold them, by each tool's own count, and the stub saw 200 calls a run.
The gate also guards input and output, checks the answer against its schema, writes a usage row, runs one
adversarial case and compares with the accepted run. deepeval asks no model: OpenAI's client asks for it."""


@dataclass(frozen=True)
class Run:
    """One whole process: seconds that passed, and CPU seconds that it took."""

    wall_s: float
    cpu_s: float


def main() -> None:
    """Set everything up, measure in alternating order and print the tables."""
    given = arguments()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        work, port = Path(folder), free_port()
        stack.enter_context(servers.stub(work, port))
        set_latency(port, LATENCY_MS)
        tools = set_up(given.peers or work / "peers", work / "ours", port)
        runs: dict[str, list[Run]] = {tool.name: [] for tool in tools}
        for turn in range(given.rounds):
            for tool in tools if turn % 2 else reversed(tools):
                runs[tool.name].append(timed(tool, port))
        keyless = timed_keyless(work, given.rounds)
    report(runs, keyless)


def arguments() -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=Path, help="keep the other tools in this folder for the next run")
    return parser.parse_args()


def set_up(folder: Path, ours: Path, port: int) -> list[Tool]:
    """Install every tool, and run it once so that no first run is timed."""
    cases, folder = written(), folder.resolve()
    ours.mkdir()
    makers = (peers.promptfoo, peers.deepeval, peers.inspect)
    tools = [peers.gate(ours, port, cases), *(make(folder, port, cases) for make in makers)]
    for tool in tools:
        timed(tool, port)
    return tools


def written() -> list[Case]:
    """The cases: the stub's one answer holds the fact of all but the last ten."""
    names = ["".join(letters) for letters in itertools.product("abcdefghij", repeat=3)]
    facts = ["two days"] * RIGHT + ["three weeks"] * (CASES - RIGHT)
    return [Case(names[n], servers.said(n), fact) for n, fact in enumerate(facts)]


def timed(tool: Tool, port: int) -> Run:
    """One run, checked: every case was asked once, and the right number passed."""
    before, spent, started = calls(port), cpu_s(), time.perf_counter()
    tool.run()
    took = Run(time.perf_counter() - started, cpu_s() - spent)
    asked, passed = calls(port) - before, tool.passed(tool.folder)
    if (asked, passed) != (CASES, RIGHT):
        sys.exit(f"{tool.name}: {asked} calls and {passed} passed, {CASES} and {RIGHT} are right")
    return took


def cpu_s() -> float:
    """CPU seconds of all processes that were waited for so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed_keyless(work: Path, rounds: int) -> list[float]:
    """Seconds of `gate evals` in the default project with its golden cases multiplied to 1,000."""
    checkout.clone(servers.ROOT, work / "slipway")
    project = frontends.copy(work / "slipway", work / "keyless")
    servers.run(project, "uv", "sync", "--quiet")
    multiplied(project)
    servers.run(project, *EVALS[:-1], "accept", "--reason", "The benchmark starts here")
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        servers.run(project, *EVALS)
        seconds.append(time.perf_counter() - started)
    said = json.loads((project / "var/reports/report.json").read_text(encoding="utf-8"))
    count = sum(case["kind"] == "golden" for feature in said["features"] for case in feature["cases"])
    if count != KEYLESS:
        sys.exit(f"{count} golden cases ran, {KEYLESS} are right")
    return seconds


def multiplied(project: Path) -> None:
    """Repeat the golden cases of all features, each under its own name and with its own text, to 1,000."""
    paths = sorted(project.glob("features/*/golden.yaml"))
    files = {path: yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths}
    originals = [(path, case) for path in paths for case in files[path]["cases"]]
    more: dict[Path, list[dict[str, Any]]] = {path: [] for path in paths}
    for number in range(KEYLESS):
        turn, place = divmod(number, len(originals))
        path, case = originals[place]
        more[path].append(again(case, turn) if turn else case)
    for path in paths:
        content = {**files[path], "cases": more[path]}
        path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")


def again(case: dict[str, Any], turn: int) -> dict[str, Any]:
    """The same case as another one: no answer may come from the cache."""
    inputs = {name: f"{said}\n\n{'Thank you. ' * turn}" for name, said in case["inputs"].items()}
    metadata = {name: said for name, said in case["metadata"].items() if name != "pair"}
    return {**case, "name": f"{case['name']}-{turn}", "inputs": inputs, "metadata": metadata}


def report(runs: dict[str, list[Run]], keyless: list[float]) -> None:
    """Print the machine, both tables and whether the goals are met."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    print(f"Linux {platform.machine()}, {cpu()}, {os.cpu_count()} cores, Python {platform.python_version()},")
    print(f"node {node}; load average at the end {os.getloadavg()[0]:.1f}.\n")
    walls = {name: [run.wall_s for run in taken] for name, taken in runs.items()}
    middle = {name: statistics.median(taken) for name, taken in walls.items()}
    ours = middle["slipway"]
    print("| 200 cases, provider takes 50 ms, 16 at once | median s | fastest | slowest | CPU s | ratio |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in sorted(runs, key=lambda name: middle[name]):
        spent = statistics.median(run.cpu_s for run in runs[name])
        spread = f"{min(walls[name]):.2f} | {max(walls[name]):.2f}"
        print(f"| {name} | {middle[name]:.2f} | {spread} | {spent:.2f} | {middle[name] / ours:.2f} |")
    whole, goal = statistics.median(keyless), KEYLESS_GOAL_S
    print("\n| what | median | goal | met |\n|---|---:|---:|---|")
    print(f"| 200 cases | {ours:.2f} s | the fastest | {yes(min(middle.values()) == ours)} |")
    print(f"| 1,000 keyless cases | {whole:.1f} s | {goal} s | {yes(whole <= goal)} |")
    print(f"\n{NOTES}")


def yes(met: bool) -> str:
    """As the tables say it."""
    return "yes" if met else "**no**"


if __name__ == "__main__":
    main()
