"""The stage of a project on the real engine: its versions as commits, and the commands of ops."""

import json
import re
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import engine, frontends
from tools import git

NAME = "try"
SLUG = "bench-desk"
PREFIX = f"{SLUG}-{NAME}"
COMMAND_S = 600
STAGE = """\
[stages.{name}]
hosts = ["{host}"]
port = {port}
gate = false
ready_s = 30
replay = {replay}

[stages.{name}.canary]
steps = {steps}
bake_s = {bake_s}
tick_s = 1
min_requests = 30
max_p95_ms = {max_p95_ms}
"""
Event = dict[str, Any]


@dataclass(frozen=True)
class Ran:
    """What a command of ops told: its exit code, its lines with the time of each, and its last words."""

    code: int
    events: list[Event]
    said: str
    seconds: float


@dataclass
class Stage:
    """The project, the port of its edge, and the environment of ops; `base` is the commit without marks."""

    root: Path
    port: int
    stub_port: int
    environment: dict[str, str]
    base: str = ""
    key: str = ""
    settings: dict[str, object] = field(default_factory=dict)

    def commit(self, version: str, fault: str = "", **settings: object) -> str:
        """Commit a version, good or with a fault, and its canary; returns the version of its image."""
        git.run(self.root, "checkout", "--quiet", self.base, "--", "app", "config")
        text = (Path(__file__).parent / "marked.py").read_text(encoding="utf-8")
        marks = f'VERSION, FAULT = "{version}", "{fault}"'
        own = f"# {uuid.uuid4().hex}\n"  # two commits of the same marks are two versions
        write(self.root / "app/marked.py", re.sub(r"^VERSION, FAULT = .*$", marks, text, flags=re.M) + own)
        web = "app.add_middleware(LimitBody, max_bytes=plan.settings.max_body_bytes)"
        mended(
            self.root / "app/web.py",
            "from app.ask import Ask\n",
            "from app.ask import Ask\nfrom app.marked import Marked\n",
        )
        mended(self.root / "app/web.py", web, f"{web}\n    app.add_middleware(Marked)")
        if fault == "slow":
            mended(self.root / "app/pipeline.py", "import json\n", "import asyncio\nimport json\n")
            wait = "        await asyncio.sleep(0.6)\n"
            mended(
                self.root / "app/pipeline.py",
                "        caller = await admitted",
                f"{wait}        caller = await admitted",
            )
        self.configure(**settings)
        frontends.save(self.root, f"{version} {fault}".strip())
        return git.run(self.root, "rev-parse", "HEAD")[:12]

    def configure(self, **settings: object) -> None:
        """Write config/deploy.toml."""
        told = {"name": NAME, "port": self.port, "host": "local", "replay": 5, **self.settings, **settings}
        write(self.root / "config/deploy.toml", STAGE.format(**told))

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command of ops that tells its steps."""
        command = [str(self.root / ".venv/bin/ops"), *words]
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ops(self, *words: str) -> Ran:
        """Run a command of ops to its end."""
        began, events = time.monotonic(), []
        with self.begin(*words) as process:
            for line in process.stdout or ():
                if line.startswith("{"):
                    events.append({"at": time.time(), **json.loads(line)})
            said = process.stderr.read().strip() if process.stderr else ""
        return Ran(process.wait(COMMAND_S), events, said, time.monotonic() - began)

    def good(self, *words: str) -> Ran:
        """Run a command of ops; a failure ends the measurement."""
        done = self.ops(*words)
        if done.code:
            sys.exit(f"ops {' '.join(words)}: exit code {done.code}\n{done.said}\n{done.events[-3:]}")
        return done

    def deploy(self) -> Ran:
        """Run `ops deploy`."""
        return self.ops("deploy", NAME, "--json")

    def status(self) -> Event:
        """What `ops status` tells."""
        told = self.good("status", NAME, "--json").events[-1]
        return {key: value for key, value in told.items() if key != "at"}

    def failed(self) -> dict[str, int]:
        """The failures that HAProxy counted, by slot."""
        return {slot: one["failed"] for slot, one in self.status()["slots"].items()}

    def make_key(self) -> None:
        """Make a tenant in the app that runs, and keep its key."""
        name = f"{PREFIX}-web-{self.status()['stable']}"
        engine.docker("exec", name, "app", "tenant", "add", "bench")
        self.key = engine.docker("exec", name, "app", "tenant", "key", "bench").split()[-1]


def write(path: Path, text: str) -> None:
    """Write a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def mended(path: Path, old: str, new: str) -> None:
    """Replace a text that stands once in a file."""
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        sys.exit(f"{path}: {old!r} stands there {text.count(old)} times")
    write(path, text.replace(old, new))
