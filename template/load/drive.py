"""Start the app and the programs that ask it, wait for what they saw, and end whatever was started."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from app import files
from gate.errors import LoadFailed
from load import local, seen
from load.seen import Seen
from load.work import Work

HERE = Path(__file__).parent
READY_S = 60
# Requests that run when the time is over may end; those that do not are errors.
GRACE_S = 10
LATE_S = 60
Started = subprocess.Popen[bytes]


def run(told: Work, var: Path, tool: str) -> list[Seen]:
    """Ask what is told: the app at its URL, or one of our own and its index too."""
    folder = var / local.FOLDER
    if told.url:
        return ask(told, tool, folder, None)
    with app(folder) as (url, running):
        found = ask(told.model_copy(update={"url": url}), tool, folder, running)
    return found + ask(told, "search", folder, None)


@contextmanager
def app(folder: Path, port: int = 0) -> Iterator[tuple[str, Started]]:
    """The project's app, ready to be asked on this port, a free one for 0: its URL and process."""
    port = spare(port)
    with stopped_by_sigterm(), process(folder / "app.log", "-m", "load.serve", str(port)) as running:
        url = f"http://127.0.0.1:{port}"
        ends_s = time.monotonic() + READY_S
        while not is_ready(url):
            require_alive(running, folder / "app.log", "before it was ready")
            if time.monotonic() > ends_s:
                raise LoadFailed(f"the app was not ready within {READY_S} s; see {folder / 'app.log'}")
            time.sleep(0.1)
        require_alive(running, folder / "app.log", "before it was asked")
        yield url, running


def ask(told: Work, tool: str, folder: Path, running: Started | None) -> list[Seen]:
    """Let a program ask; raise LoadFailed where it fails, or the app dies meanwhile."""
    words = command(tool, told)
    files.write_atomic(folder / "work.json", told.model_dump_json(indent=1) + "\n")
    (folder / "seen.json").unlink(missing_ok=True)
    log = folder / f"{tool}.log"
    ends_s = time.monotonic() + told.seconds + GRACE_S + LATE_S
    with stopped_by_sigterm(), process(log, *words, folder=folder) as asking:
        while asking.poll() is None:
            if running:
                require_alive(running, folder / "app.log", "while it was asked")
            if time.monotonic() > ends_s:
                raise LoadFailed(f"{tool} did not end in time; see {log}")
            time.sleep(0.1)
    if not (folder / "seen.json").exists():
        raise LoadFailed(f"{tool} ended with code {asking.returncode} and saw nothing; {last_words(log)}")
    return seen.FILE.validate_json((folder / "seen.json").read_bytes())


def command(tool: str, told: Work) -> list[str]:
    """The words that start a program; raise LoadFailed where it is not installed."""
    if tool == "search":
        return ["-m", "load.search"]
    if tool == "k6" and not shutil.which("k6"):
        raise LoadFailed("k6 is not installed; without it: uv run gate load --tool locust")
    if tool == "k6":
        return ["k6", "run", "--quiet", str(HERE / "inference.js")]
    if not importlib.util.find_spec("locust"):
        raise LoadFailed("locust is not installed: uv sync --group load")
    return [
        "-m", "locust", "-f", str(HERE / "locustfile.py"), "--headless", "--only-summary", "--host", told.url,
        "-u", str(told.users), "-r", str(told.users), "-t", f"{told.seconds}s",
        "--stop-timeout", str(GRACE_S), "--exit-code-on-error", "0",
    ]  # fmt: skip


@contextmanager
def process(log: Path, *words: str, folder: Path | None = None) -> Iterator[Started]:
    """A program, or a module of this Python, that has ended when the block has."""
    log.parent.mkdir(parents=True, exist_ok=True)
    paths = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH", "")]))
    env = {**os.environ, "PYTHONPATH": paths}
    if folder:
        places = {"LOAD_WORK": folder / "work.json", "LOAD_SEEN": folder / "seen.json"}
        env |= {name: str(place.resolve()) for name, place in places.items()}  # k6 begins at its script
    start = [sys.executable, *words] if words[0] == "-m" else list(words)
    with log.open("wb") as said:
        running = subprocess.Popen(start, stdin=subprocess.PIPE, stdout=said, stderr=said, env=env)
        try:
            yield running
        finally:
            end(running)


def end(running: Started) -> None:
    """End a process, by force if it does not listen; its input ends too."""
    if running.poll() is None:
        running.terminate()
    try:
        running.communicate(timeout=GRACE_S)
    except subprocess.TimeoutExpired:
        running.kill()
        running.communicate()


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM ends this process as Ctrl-C does: what it started ends first."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def spare(port: int) -> int:
    """The port if nothing listens there, any free one for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise LoadFailed(f"port {port} is in use; stop what listens there or name another") from error
        return int(probe.getsockname()[1])


def is_ready(url: str) -> bool:
    """Whether the app answers."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as said:  # noqa: S310  # loopback
            return bool(said.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def require_alive(running: Started, log: Path, when: str) -> None:
    """Raise LoadFailed with the app's last words if it has ended."""
    if running.poll() is not None:
        raise LoadFailed(f"the app ended with code {running.returncode} {when}; {last_words(log)}")


def last_words(log: Path) -> str:
    """The last lines of a log, and where it is."""
    lines: Sequence[str] = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "\n".join(["it said last:", *lines[-5:], f"all of it is in {log.as_posix()}"])
