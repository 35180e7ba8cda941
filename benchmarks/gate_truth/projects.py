"""The rendered project, its copies, and the gate's command line in each of them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks import servers
from benchmarks.gate_truth.change import FEATURES, Base, Change, Edit
from tests import frontends
from tools import checkout

# The command that a change is judged by, and what it needs where the provider is asked and not a recording.
EVALS: tuple[str, ...] = ("evals",)
LIVE: tuple[str, ...] = ("--live", "--max-usd", "100")
# One feature is enough to be wrong by chance: 600 answers a run.
OPTIONS: dict[Base, tuple[str, ...]] = {
    "keyless": (),
    "hosted": LIVE,
    "recorded": (),
    "chance": ("answer", *LIVE),
}
HERE = Path(__file__).parent
Word = Literal["passed", "blocked", "inconclusive", "refused", "crashed"]
# What a fresh checkout does not hold.
MADE = shutil.ignore_patterns("var", "__pycache__", "*.pyc", ".venv", ".git")


@dataclass(frozen=True)
class Seen:
    """What the gate said of one change: `refused` is exit code 2, it could not judge."""

    word: Word
    why: str

    @property
    def stopped(self) -> bool:
        """Whether the change cannot be merged."""
        return self.word in ("blocked", "inconclusive", "refused")


@dataclass
class Runner:
    """A process that runs the gate in one copy after the other."""

    process: "subprocess.Popen[str]"
    work: Path
    count: int = field(default=0)

    def copy(self, project: Path) -> Path:
        """A copy of a project as a fresh checkout has it; the one before is removed."""
        shutil.rmtree(self.work / str(self.count), ignore_errors=True)
        self.count += 1
        return Path(shutil.copytree(project, self.work / str(self.count), ignore=MADE))

    def gate(self, folder: Path, *command: str, environment: Mapping[str, str] | None = None) -> int:
        """Run `gate ...` in a folder; its exit code."""
        job = {"folder": str(folder), "command": command, "environment": dict(environment or {})}
        given, told = self.process.stdin, self.process.stdout
        if given is None or told is None:
            return -1
        given.write(json.dumps(job) + "\n")
        given.flush()
        line = told.readline()
        return int(json.loads(line)["exit"]) if line else -1


def render(work: Path) -> Path:
    """Render the working tree into `work`/project and install it."""
    checkout.clone(servers.ROOT, work / "slipway")
    project = frontends.copy(work / "slipway", work / "project")
    servers.run(project, "uv", "sync", "--quiet")
    return project


@contextmanager
def runner(project: Path, work: Path) -> Iterator[Runner]:
    """Start a runner on the project's own environment."""
    work.mkdir()
    command = [str(project / ".venv/bin/python"), str(HERE / "runner.py"), str(project)]
    process = subprocess.Popen(
        command, cwd=work, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Runner(process, work)
    finally:
        process.communicate()


@contextmanager
def model(project: Path, port: int) -> Iterator[str]:
    """Serve the models of model.py; gives their address."""
    command = [str(project / ".venv/bin/python"), str(HERE / "model.py"), str(port)]
    log = project.parent / "model.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=project, env=environment(), stdout=out, stderr=out)
    try:
        servers.wait(process, f"http://127.0.0.1:{port}/", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def environment() -> dict[str, str]:
    """No setting of this machine may reach the project, and no compiled file is left in a copy."""
    own = {name: said for name, said in frontends.environment().items() if not name.startswith("APP_")}
    return own | {"PYTHONDONTWRITEBYTECODE": "1"}


def accepted(runner: Runner, project: Path, base: Base, edit: Edit) -> Path:
    """A copy with some edits whose present results are its baseline, hosted answers recorded."""
    folder = Path(shutil.copytree(project, runner.work.parent / base, ignore=MADE))
    edit(folder)
    features = ("answer",) if base == "chance" else ()
    steps = [("accept", *features, "--reason", "The benchmark starts here")]
    if base != "keyless":
        steps.insert(0, ("record", *features, "--max-usd", "100"))
    for step in steps:
        if runner.gate(folder, *step):
            sys.exit(f"{step[0]} failed:\n{(folder / 'gate.log').read_text(encoding='utf-8')[-2000:]}")
    (folder / "gate.log").unlink()
    return folder


def judge(runner: Runner, base: Path, change: Change) -> Seen:
    """Make a change to a copy of a project, and ask the gate."""
    folder = runner.copy(base)
    change.edit(folder)
    for feature in FEATURES:  # a person says why cases have changed: without it each such change is refused
        runner.gate(folder, "case", "note", feature, "reviewed")
    (folder / "gate.log").unlink(missing_ok=True)
    code = runner.gate(folder, "check") or runner.gate(
        folder, *EVALS, *OPTIONS[change.base], environment=change.environment
    )
    return seen(folder, code)


def seen(folder: Path, code: int) -> Seen:
    """What the exit code and the report say."""
    log = (folder / "gate.log").read_text(encoding="utf-8") if (folder / "gate.log").exists() else ""
    if code == 2:
        said = [line for line in log.strip().splitlines() if not line.startswith("...")]
        return Seen("refused", said[-1] if said else "")
    if code not in (0, 1) or "Traceback" in log:
        return Seen("crashed", f"exit {code}: {log.strip()[-300:]}")
    verdicts = json.loads((folder / "var/reports/report.json").read_text(encoding="utf-8"))["verdicts"]
    words = {verdict["word"] for verdict in verdicts}
    why = "; ".join(
        f"{v['feature']} {v['part']} {v['word']}: {v['said']}"
        for v in verdicts
        if v["word"] in ("BLOCK", "INCONCLUSIVE")
    )
    if code == 0:
        told = "; ".join(f"{v['feature']} {v['part']}: {v['said']}" for v in verdicts)
        return Seen("passed", told)
    return Seen("blocked" if "BLOCK" in words else "inconclusive", why)


def cores() -> int:
    """How many runs go at once."""
    return os.cpu_count() or 1
