"""Deploys of good and bad versions while people use the app, each with what they noticed."""

import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks import servers
from benchmarks.deploy import sshd
from benchmarks.deploy.stage import NAME, Ran, Stage

CALM_S, CLIENT_S = 3, 180
# How long a version with 20 % errors may be in the traffic.
GONE_S = 10


@dataclass(frozen=True)
class Load:
    """How much people ask: requests a second, open streams, and how many different questions there are."""

    rate: float
    streams: int
    distinct: int


@dataclass
class Seen:
    """What the client saw, filled when the load ends."""

    told: dict[str, Any] = field(default_factory=dict)

    @property
    def failures(self) -> list[dict[str, Any]]:
        """The requests that did not get their answer."""
        return list(self.told["failures"])

    def stayed_s(self, version: str) -> float:
        """Seconds between the first and the last request that a version answered."""
        _, first, last = self.told["versions"].get(version, (0, 0.0, 0.0))
        return float(last - first)

    def count(self, version: str) -> int:
        """How many requests a version answered."""
        return int(self.told["versions"].get(version, (0,))[0])


@dataclass(frozen=True)
class Row:
    """One line of the table; a bad version may stay for `gone_s`, and its crash broke `crashed` requests."""

    name: str
    ran: Ran
    seen: Seen
    bad: str
    wanted: int
    crashed: int = 0
    gone_s: float = math.inf

    @property
    def ours(self) -> int:
        """Failed requests but those that the bad version answered itself, or broke when it crashed."""
        without = [one for one in self.seen.failures if not self.bad or one["version"] != self.bad]
        lone = len([one for one in without if not one["version"]])
        return len(without) - min(lone, self.crashed)

    @property
    def cut(self) -> int:
        """Streams that broke, but those on a version that crashed."""
        return sum(one["version"] != self.bad or not self.bad for one in self.seen.told["cut"])

    @property
    def is_met(self) -> bool:
        """Whether nobody noticed, the exit code is right, and a bad version was gone in time."""
        return (
            not self.ours and not self.cut and self.ran.code == self.wanted and self.stayed_s <= self.gone_s
        )

    @property
    def stayed_s(self) -> float:
        """How long people got the bad version."""
        return self.seen.stayed_s(self.bad) if self.bad else 0


@contextmanager
def used(stage: Stage, load: Load) -> Iterator[Seen]:
    """Keep the app busy while the block runs, and a while before and after it."""
    words = [str(stage.port), "--rate", str(load.rate), "--streams", str(load.streams)]
    command = [sys.executable, "-m", "benchmarks.deploy.client", *words, "--distinct", str(load.distinct)]
    seen = Seen()
    client = subprocess.Popen(
        command, cwd=servers.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert client.stdin  # noqa: S101  # for the type checker
        client.stdin.write(f"{stage.key}\n")
        client.stdin.flush()
        time.sleep(CALM_S)
        yield seen
        time.sleep(CALM_S)
        out, _ = client.communicate(timeout=CLIENT_S)
        seen.told = json.loads(out)
    finally:
        client.kill()
        client.wait()


def good(stage: Stage, load: Load) -> Row:
    """A new version with 5, 25, 50 and 100 percent."""
    stage.commit("good")
    return rolled(stage, load, "v1 -> v2, 5/25/50/100 %")


def ssh(stage: Stage, load: Load) -> Row:
    """The same over a real ssh connection."""
    with sshd.running(stage.root.parent / "sshd") as (target, path):
        stage.commit("ssh", host=target)
        plain, stage.environment["PATH"] = stage.environment["PATH"], path
        try:
            return rolled(stage, load, "the same through ssh")
        finally:
            stage.environment["PATH"] = plain
            stage.commit("local")


def rollback(stage: Stage, load: Load) -> Row:
    """Back to the version before, by hand."""
    with used(stage, load) as seen:
        ran = stage.ops("rollback", NAME, "--json")
    return Row("rollback by hand", ran, seen, "", 0)


def never_ready(stage: Stage, load: Load) -> Row:
    """A version that is never ready."""
    stage.commit("unready", "never-ready")
    return rolled(stage, load, "never ready", "unready")


def slow(stage: Stage, load: Load) -> Row:
    """A version that takes 600 ms longer."""
    stage.commit("slow", "slow")
    return rolled(stage, load, "slow, +600 ms", "slow")


def errors(stage: Stage, load: Load) -> Row:
    """A version that fails every fifth request."""
    stage.commit("errors", "errors")
    return rolled(stage, load, "20 % errors", "errors", GONE_S)


def crash(stage: Stage, load: Load) -> Row:
    """A version that ends after a hundred requests."""
    stage.commit("crash", "crash")
    return rolled(stage, load, "crashes", "crash")


SCENARIOS: dict[str, Callable[[Stage, Load], Row]] = {
    "good": good, "ssh": ssh, "rollback": rollback, "never-ready": never_ready, "slow": slow,
    "errors": errors, "crash": crash,
}  # fmt: skip


def rolled(stage: Stage, load: Load, name: str, bad: str = "", gone_s: float = math.inf) -> Row:
    """Deploy what is committed under load. A crash's own failures are those that HAProxy counted there."""
    before = stage.status()
    with used(stage, load) as seen:
        ran = stage.deploy()
    idle = [slot for slot, one in before["slots"].items() if one["version"] != before["stable"]]
    after = stage.failed()
    crashed = sum(after[slot] - before["slots"][slot]["failed"] for slot in idle) if bad == "crash" else 0
    return Row(name, ran, seen, bad, 1 if bad else 0, crashed, gone_s)


def table(rows: list[Row]) -> str:
    """The rows as a table."""
    head = (
        "| deploy | s | requests | failed | by us | streams whole | cut by us | answers of the bad version | "
        "for s | p50, p95 ms | met |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|"
    )
    return "\n".join([head, *map(line, rows)])


def line(row: Row) -> str:
    """One line of the table."""
    told = row.seen.told
    cells = [row.name, f"{row.ran.seconds:.1f}", f"{told['requests']:,}", f"{len(row.seen.failures)}"]
    cells += [f"{row.ours}", f"{told['streams']}", f"{row.cut}"]
    cells += [f"{row.seen.count(row.bad)}" if row.bad else "", f"{row.stayed_s:.1f}" if row.bad else ""]
    cells += [f"{told['p50_ms']:.0f}, {told['p95_ms']:.0f}", "yes" if row.is_met else "**no**"]
    return f"| {' | '.join(cells)} |"


def details(row: Row) -> Iterator[str]:
    """What a person wants to know of a line that is not as it should be, and of every failure."""
    for what, found in (("request", row.seen.failures), ("stream", row.seen.told["cut"])):
        kinds = Counter(
            (one["status"], one["version"] or "nobody", during(row.ran, one["at"])) for one in found
        )
        for (status, version, step), count in kinds.items():
            yield f"{row.name}: {count} x {what} {status} by {version}, sent during: {step}"
    if row.ran.code != row.wanted:
        yield f"{row.name}: exit code {row.ran.code}, wanted {row.wanted}: {row.ran.said[-1500:]}"
    elif row.bad:
        yield f"{row.name}: {row.ran.said.splitlines()[0][:300] if row.ran.said else 'no reason was told'}"


def during(ran: Ran, at: float) -> str:
    """The step that a deploy was in."""
    begun = [one["step"] for one in ran.events if one["at"] <= at and one.get("state") == "running"]
    over = ran.events and at > ran.events[-1]["at"]
    return "after" if over else begun[-1] if begun else "before"
