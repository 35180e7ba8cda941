"""How large the image is, and how long deploys take that wait for no canary."""

import statistics
import sys
from dataclasses import dataclass

from benchmarks.deploy import project
from benchmarks.deploy.stage import PREFIX, Stage
from tests import engine

MAX_MB, REBUILD_S, EMPTY_S = 400, 30, 90


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, in which unit, each time, and what is wanted."""

    name: str
    unit: str
    found: list[float]
    goal: float

    @property
    def is_met(self) -> bool:
        """Whether the median keeps the goal."""
        return statistics.median(self.found) <= self.goal


def measure(stage: Stage, runs: int) -> list[Row]:
    """Deploy a change of one line, and to an engine that has nothing, some times each."""
    return [
        Row("image", "MB", [image_mb(stage)], MAX_MB),
        Row("one line changed: build and deploy", "s", [changed(stage, n) for n in range(runs)], REBUILD_S),
        Row("first deploy, base image alone", "s", [empty(stage, n) for n in range(runs)], EMPTY_S),
    ]


def image_mb(stage: Stage) -> float:
    """The size of the image that serves."""
    name = f"{PREFIX}:{stage.status()['stable']}"
    return int(engine.docker("image", "inspect", "--format", "{{.Size}}", name)) / 1e6


def changed(stage: Stage, number: int) -> float:
    """Seconds of a deploy after a change of one line, all at once: with backup, golden cases and drain."""
    stage.commit(f"line{number}", steps=[])
    return took(stage)


def empty(stage: Stage, number: int) -> float:
    """Seconds of a deploy to an engine that has the base image and no other, and no layer of a build."""
    project.remove(stage)
    project.remove_images()
    stage.environment["PYTHON_IMAGE"] = project.fresh_base()
    stage.commit(f"empty{number}", steps=[])
    return took(stage)


def took(stage: Stage) -> float:
    """Seconds of `ops deploy`; how long each step took goes to stderr."""
    done = stage.deploy()
    if done.code:
        sys.exit(f"deploy: exit code {done.code}\n{done.said}")
    steps = [
        f"{one['step']} {one['seconds']}"
        for one in done.events
        if one.get("state") == "done" and "step" in one
    ]
    print(f"{done.seconds:.1f} s: {', '.join(steps)}", file=sys.stderr, flush=True)
    return done.seconds


def table(rows: list[Row]) -> str:
    """The rows as a table."""
    lines = ["| what | median | fastest | slowest | goal | met |", "|---|---:|---:|---:|---:|---|"]
    for row in rows:
        middle, low, high = statistics.median(row.found), min(row.found), max(row.found)
        numbers = f"{middle:.1f} {row.unit} | {low:.1f} | {high:.1f} | {row.goal:g} {row.unit}"
        lines.append(f"| {row.name} | {numbers} | {'yes' if row.is_met else '**no**'} |")
    return "\n".join(lines)
