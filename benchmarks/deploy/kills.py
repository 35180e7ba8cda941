"""Kill the deploy at every step while people use the app, look, and run it again."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.deploy import rollouts
from benchmarks.deploy.rollouts import Load, Seen
from benchmarks.deploy.stage import NAME, PREFIX, Event, Ran, Stage
from tests import engine

LOCK_S, STEP_S = 60, 240
STEPS = [5, 25]
# The app's own 20 s, and two checks of the proxy.
LEASE_S = 23


@dataclass(frozen=True)
class Point:
    """Where a deploy is killed: when a step is so far, or seconds later; a fault is that of its version."""

    step: str
    state: str = "done"
    later_s: float = 0
    fault: str = ""

    def __str__(self) -> str:
        later = f" + {self.later_s:g} s" if self.later_s else ""
        return f"{self.step}, {'begin' if self.state == 'running' else 'done'}{later}"


POINTS = [
    *(Point(step) for step in ("preflight", "lock", "proxy")),
    Point("image", "running", 2), Point("image"),
    *(Point(step) for step in ("secrets", "backup", "migrate")),
    Point("start", "running"), Point("start"), Point("ready"), Point("golden cases"),
    Point("canary 5 %", "running"), Point("canary 5 %"), Point("canary 25 %", "running", 2),
    Point("canary 25 %"), Point("promote", "running"), Point("promote"),
    Point("drain", "running", 1), Point("drain"), Point("prune", "running"), Point("prune"),
    Point("take back", "running", 0, "errors"), Point("take back", "done", 0, "errors"),
]  # fmt: skip
QUICK = ["migrate, done", "canary 5 %, done", "promote, begin", "take back, begin"]


@dataclass(frozen=True)
class Killed:
    """What one kill left and what became of it."""

    point: Point
    version: str
    code: int
    lock_ms: float
    left: Event
    again: Ran
    after: Event
    running: list[str]
    seen: Seen

    @property
    def wanted(self) -> int:
        """The exit code of the second run: a bad version is taken back again."""
        return 1 if self.point.fault else 0

    @property
    def ours(self) -> int:
        """Failed requests and cut streams but those of a bad version."""
        bad = "bad" if self.point.fault else None
        return sum(one["version"] != bad for one in (*self.seen.failures, *self.seen.told["cut"]))

    @property
    def is_met(self) -> bool:
        """Whether it was killed, came right in the second run, and nobody noticed."""
        is_right = (self.after["stable"] == self.version) != bool(self.point.fault)
        settled = self.after["phase"] == "idle" and self.running == [
            f"web {self.after['stable']}",
            f"worker {self.after['stable']}",
        ]
        return self.code == -9 and self.again.code == self.wanted and is_right and settled and not self.ours


def kill(stage: Stage, load: Load, point: Point, number: int) -> Killed:
    """Deploy a new version under load, kill it at a point, and deploy it again."""
    marks = ("bad", point.fault) if point.fault else (f"k{number}", "")
    version = stage.commit(*marks, steps=STEPS, bake_s=2, replay=2)
    with rollouts.used(stage, load) as seen:
        code = killed(stage, point)
        lock_ms = freed_ms()
        left = stage.status()
        again = stage.deploy()
        after, running = stage.status(), runs()
    return Killed(point, version, code, lock_ms, left, again, after, running, seen)


@dataclass(frozen=True)
class Left:
    """A canary whose deploy died and that nobody runs again: when people last got it, in seconds."""

    last_s: float
    seen: Seen

    @property
    def is_met(self) -> bool:
        """Whether it left by itself, and nobody noticed."""
        return self.last_s <= LEASE_S and not self.seen.failures and not self.seen.told["cut"]

    def __str__(self) -> str:
        told = self.seen.told
        return (
            f"Killed at 25 %, not run again: its last answer came {self.last_s:.1f} s later "
            f"(goal {LEASE_S:g} s); {told['requests']:,} requests, {len(self.seen.failures)} failed, "
            f"{told['streams']} streams whole, {len(told['cut'])} cut."
        )


def left(stage: Stage, load: Load) -> Left:
    """Kill a deploy in its canary, and wait until the lease has ended."""
    stage.commit("left", steps=STEPS, bake_s=2, replay=2)
    with rollouts.used(stage, load) as seen:
        killed(stage, Point("canary 25 %"))
        at = time.time()
        time.sleep(LEASE_S + 5)
    _, _, last = seen.told["versions"].get("left", (0, at, at))
    return Left(last - at, seen)


def killed(stage: Stage, point: Point) -> int:
    """Run a deploy and end it by SIGKILL at a point; its exit code, -9 where it was killed."""
    ends = time.monotonic() + STEP_S
    with stage.begin("deploy", NAME, "--json") as process:
        for text in process.stdout or ():
            told = json.loads(text)
            if (told.get("step"), told.get("state")) == (point.step, point.state) or time.monotonic() > ends:
                time.sleep(point.later_s)
                process.kill()
                break
    return process.returncode


def freed_ms() -> float:
    """Milliseconds until the lock's container is gone."""
    began = time.monotonic()
    command = ["docker", "container", "inspect", f"{PREFIX}-lock"]
    while time.monotonic() - began < LOCK_S:
        if subprocess.run(command, capture_output=True, check=False).returncode:
            break
    return (time.monotonic() - began) * 1000


def runs() -> list[str]:
    """Role and version of the app's containers that run."""
    form = '{{.Label "deploy.role"}} {{.Label "deploy.version"}}'
    told = engine.docker("ps", "--filter", f"label=deploy.app={PREFIX}", "--format", form).splitlines()
    return sorted(one for one in told if one.startswith(("web", "worker")))


def every(stage: Stage, load: Load, names: list[str]) -> Iterator[Killed]:
    """Kill at each point, or at those that are named."""
    chosen = [point for point in POINTS if not names or str(point) in names]
    for number, point in enumerate(chosen):
        done = kill(stage, load, point, number)
        print(line(done), *details(done), sep="\n", file=sys.stderr, flush=True)
        yield done


def table(found: list[Killed]) -> str:
    """The kills as a table, and their sum."""
    head = (
        "| killed at | lock free, ms | found | the second run | s | serve then | requests | failed | by us | "
        "met |\n|---|---:|---|---:|---:|---:|---:|---:|---:|---|"
    )
    asked = sum(one.seen.told["requests"] for one in found)
    failed, ours = sum(len(one.seen.failures) for one in found), sum(one.ours for one in found)
    total = (
        f"{len(found)} kills: {asked:,} requests, {failed} failed, {ours} of them (and of the streams) by us."
    )
    return "\n".join([head, *map(line, found), "", total])


def line(one: Killed) -> str:
    """One line of the table."""
    told = one.seen.told
    cells = [str(one.point), f"{one.lock_ms:.0f}", f"{one.left['phase']} {one.left['share'] or ''}".strip()]
    cells += [
        f"exit code {one.again.code}",
        f"{one.again.seconds:.0f}",
        f"{sum(r.startswith('web') for r in one.running)}",
    ]
    cells += [
        f"{told['requests']:,}",
        f"{len(one.seen.failures)}",
        f"{one.ours}",
        "yes" if one.is_met else "**no**",
    ]
    return f"| {' | '.join(cells)} |"


def details(one: Killed) -> Iterator[str]:
    """What is to be known of a kill that is not as it should be."""
    if one.is_met:
        return
    yield f"  killed: {one.code}, ran then: {one.running}, after: {one.after['phase']} {one.after['stable']}"
    yield f"  second run: {one.again.said[-1500:]}"
    bad = [*one.seen.failures, *one.seen.told["cut"]]
    yield f"  failures: {bad[:10]}"
