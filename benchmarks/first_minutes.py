"""uv run python -m benchmarks.first_minutes: how long the first minutes of a new project take.

Every figure is a median over alternating runs on one machine; peers run in the same session.
"""

import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from tests import frontends
from tests.services import free_port
from tools import checkout

ROOT = Path(__file__).resolve().parents[1]
RUNS = 5
PLAIN = "_subdirectory: template\n_exclude: []\nname: {type: str, default: plain}\n"


def main() -> None:
    """Measure everything and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        template = work / "slipway"
        checkout.clone(ROOT, template)
        project = frontends.copy(template, work / "project")
        frontends.start_history(project)
        rows = [*copy_rows(template, project, work), *project_rows(project)]
    tools = ", ".join(f"{name} {version(name)}" for name in ("copier", "cookiecutter"))
    print(
        f"Linux {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {tools}.\n"
    )
    print("| what | median | goal | met |\n|---|---:|---:|---|")
    for what, value, unit, goal in rows:
        met = "yes" if value <= goal else "**no**"
        print(f"| {what} | {value:.2f} {unit} | {goal:g} {unit} | {met} |")


def copy_rows(template: Path, project: Path, work: Path) -> list[tuple[str, float, str, float]]:
    """`copier copy` against Copier copying the same files plain, as CPU time of the whole process."""
    plain = work / "plain"
    shutil.copytree(project, plain / "template", ignore=shutil.ignore_patterns(".git"))
    (plain / "copier.yml").write_text(PLAIN, encoding="utf-8")
    ours, theirs = [], []
    for number in range(RUNS):
        ours.append(cpu_s(copy(template, work / f"ours-{number}")))
        theirs.append(cpu_s(copy(plain, work / f"plain-{number}")))
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    files = sum(path.is_file() for path in (plain / "template").rglob("*"))
    return [(f"`copier copy`, CPU, against {files} plain files by Copier", ratio, "x", 1.3)]


def copy(source: Path, target: Path) -> list[str]:
    """The command of one copy."""
    return [sys.executable, "-m", "copier", "copy", "--defaults", "--quiet", str(source), str(target)]


def cpu_s(command: list[str]) -> float:
    """CPU seconds of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def project_rows(project: Path) -> list[tuple[str, float, str, float]]:
    """The rendered project: install, gate, start and the pipeline's own time."""
    run(project, "uv", "sync", "--quiet")
    run(project, "uv", "run", "app", "setup")
    gate = wall_s(lambda: run(project, "uv", "run", "gate", "all"))
    starts = [start_s(project) for _ in range(RUNS)]
    overhead = run(project, "uv", "run", "python", str(ROOT / "benchmarks/overhead.py"))
    return [
        ("`gate all` of the default project, first run", gate, "s", 90),
        ("app start to ready, warm", statistics.median(starts), "s", 3),
        ("pipeline without model and retrieval, p95", float(overhead.split()[-1]), "ms", 5),
    ]


def run(project: Path, *command: str) -> str:
    """Run a command in the project; its output."""
    done = subprocess.run(command, cwd=project, env=frontends.environment(), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def wall_s(work: Callable[[], object]) -> float:
    """Seconds that some work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def start_s(project: Path) -> float:
    """Seconds from the start of `app serve` to its first ready answer."""
    port = free_port()
    environment = frontends.environment() | {"APP_AUTH": "open"}
    started = time.perf_counter()
    command = [str(project / ".venv/bin/app"), "serve", "--port", str(port)]
    app = subprocess.Popen(command, cwd=project, env=environment, stderr=subprocess.DEVNULL)
    try:
        while time.perf_counter() - started < 60:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                    return time.perf_counter() - started
            except (urllib.error.URLError, OSError):
                time.sleep(0.02)
        sys.exit("the app did not start within a minute")
    finally:
        app.terminate()
        app.wait()


if __name__ == "__main__":
    main()
