"""One run: the trace's requests against the app, each at its time, while releases are brought out."""

import asyncio
import json
import math
import sqlite3
import subprocess
import time
import urllib.request
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks import servers
from benchmarks.case_study import project as made
from benchmarks.case_study import world
from benchmarks.case_study.project import FEATURE, Arm
from benchmarks.case_study.world import Release, Request, World
from tests import frontends

LETTERS = str.maketrans("0123456789", "abcdefghij")
# What a prompt and its frame add to the text, in words.
FRAME = 24
SENTENCE = """
the van waits at the gate while the office looks for the papers and calls the customer about a new day because
the first driver is ill and the second one knows the road but not the house of the family
"""
WORDS = SENTENCE.split()
PATIENCE_S = 120


@dataclass(frozen=True)
class Seen:
    """What a caller saw: when it asked and for how long it waited (seconds of the trace), and what came."""

    at_s: float
    took_s: float
    status: int
    prompt: str
    cached: bool
    is_wrong: bool


@dataclass
class Brought:
    """A release that was brought out: when (seconds), and how it ended."""

    name: str
    kind: str
    at_s: float
    end: str


@dataclass
class Run:
    """All of one run; `took` are the provider's completions: when, tokens read, tokens written."""

    seen: list[Seen] = field(default_factory=list)
    took: list[tuple[float, int, int]] = field(default_factory=list)
    releases: list[Brought] = field(default_factory=list)
    touched: int = 0


class Clients:
    """Connections that are kept open, and opened as many as are needed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Ask the feature; the status and the body."""
        pair = self.idle.pop() if self.idle else await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = pair
        head = f"POST /v1/{FEATURE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(lines.partition(b"content-length:")[2].split(b"\r\n")[0])
        told = await reader.readexactly(length)
        self.idle.append(pair)
        return int(lines.split()[1]), told


def text(request: Request) -> str:
    """The text of a request: so many words that the prompt with it has the trace's tokens."""
    number, wanted = (str(one).translate(LETTERS) for one in (request.text, request.generated))
    head = f"Case {number} needs {wanted} words of what follows:"
    count = max(1, request.context - FRAME - len(head.split()))
    return f"{head} " + " ".join(WORDS[(request.text + place) % len(WORDS)] for place in range(count))


async def one(clients: Clients, request: Request, run: Run, began: float, speed: float) -> None:
    """Ask at its time, and keep what came."""
    body = json.dumps({"text": text(request)}).encode()
    await asyncio.sleep(began + request.at_s / speed - time.monotonic())
    status, told = 0, b""
    with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
        async with asyncio.timeout(PATIENCE_S / speed):
            status, told = await clients.post(body)
    took_s = (time.monotonic() - began) * speed - request.at_s
    answer = json.loads(told) if status == 200 else {}
    meta, said = answer.get("meta", {}), answer.get("output", {}).get("result", "")
    is_wrong = said.startswith("Die ") or "@" in said or "output-pii" in meta.get("flags", [])
    run.seen.append(
        Seen(request.at_s, took_s, status, meta.get("prompt", ""), meta.get("cached", False), is_wrong)
    )


async def ask_all(port: int, listed: list[Request], run: Run, began: float, speed: float) -> None:
    """Every request of the run; they are begun a little before their time, so that none is late for it."""
    clients = Clients(port)
    async with asyncio.TaskGroup() as tasks:
        for request in listed:
            await asyncio.sleep(max(0.0, began + request.at_s / speed - time.monotonic() - 0.5))
            tasks.create_task(one(clients, request, run, began, speed))


async def ops(project: Path, *words: str) -> None:
    """A command of the project; a failure ends the run."""
    process = await asyncio.create_subprocess_exec(
        str(project / ".venv/bin/ops"), *words, cwd=project,
        env=frontends.environment() | servers.app_environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:  # the run is over
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise SystemExit(f"ops {' '.join(words)}:\n{said.decode()[-2000:]}")


async def by_hand(project: Path, listed: list[Release], known: World, run: Run, began: float) -> None:
    """Playbook off: a release is for all at once, and people take a bad one back when they notice."""
    stable, after = "v1", [*(one.at_s for one in listed[1:]), math.inf]
    for release, next_s in zip(listed, after, strict=False):
        await until(release.at_s, known, began)
        run.releases.append(Brought(release.name, release.kind, release.at_s, "all at once"))
        await ops(project, "flags", "set", f"{FEATURE}.prompt", release.name, "--reason", "new")
        noticed_s = release.at_s + known.noticed_minutes * 60
        if release.kind == world.GOOD:
            stable = release.name
        elif noticed_s < next_s:
            await until(noticed_s, known, began)
            await ops(project, "flags", "set", f"{FEATURE}.prompt", stable, "--reason", "complaints")


async def by_rollout(project: Path, listed: list[Release], known: World, run: Run, began: float) -> None:
    """Playbook on: each release is a rollout, which begins when the one before it has ended."""
    for release in listed:
        await until(release.at_s, known, began)
        brought = Brought(release.name, release.kind, (time.monotonic() - began) * known.speed, "shadow")
        await ops(project, "rollout", "start", FEATURE, "--prompt", release.name)
        run.releases.append(brought)
        while brought.end in ("shadow", "canary"):
            await asyncio.sleep(0.5)
            brought.end = state(project)


async def until(at_s: float, known: World, began: float) -> None:
    """Wait for a time of the trace."""
    await asyncio.sleep(max(0.0, began + at_s / known.speed - time.monotonic()))


def state(project: Path) -> str:
    """The state of the last rollout."""
    with closing(sqlite3.connect(project / "var/app.db")) as database:
        return str(database.execute("select state from trial order by at desc limit 1").fetchone()[0])


def play(project: Path, provider: str, arm: Arm, known: World, listed: list[Release]) -> Run:
    """Play one run with a fresh database; what the provider was asked is in it."""
    run = Run()
    with made.running(project, arm) as port:
        tell(provider, asdict(known))
        began = time.monotonic()
        asyncio.run(both(project, port, arm, known, listed, run, began))
    run.took = [(at_s, int(read), int(written)) for at_s, read, written in tell(provider, None)]
    bad = [release.name for release in listed if release.kind != world.GOOD]
    with closing(sqlite3.connect(project / "var/app.db")) as database:
        marks = ",".join("?" * len(bad))
        [(run.touched,)] = database.execute(f"select count(*) from usage where prompt in ({marks})", bad)  # noqa: S608
    tell(provider, {})
    return run


async def both(
    project: Path, port: int, arm: Arm, known: World, listed: list[Release], run: Run, began: float
) -> None:
    """Requests and releases side by side, until the last request has its answer."""
    bring = by_rollout if arm.rollouts else by_hand
    releasing = asyncio.create_task(bring(project, listed, known, run, began))
    await ask_all(port, world.requests(known), run, began, known.speed)
    releasing.cancel()
    with suppress(asyncio.CancelledError):
        await releasing


def tell(provider: str, told: object) -> list[list[float]]:
    """Tell the provider the world ({}: the gate's), or read what it was asked."""
    data = None if told is None else json.dumps(told).encode()
    with urllib.request.urlopen(f"{provider}/{'' if told is None else 'world'}", data, timeout=30) as answer:  # noqa: S310
        found: list[list[float]] = json.load(answer)
    return found
