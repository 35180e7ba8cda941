"""The same app on a real PostgreSQL: only a URL changes."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rendered import Project

Render = Callable[..., Project]


def program(name: str) -> str:
    """Find a PostgreSQL program, on PATH or where Debian keeps it; skip without one."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(debian[-1]) if debian else None)
    if not found:
        pytest.skip(f"{name} is not installed (Debian: apt-get install postgresql)")
    return found


def free_port() -> int:
    """Return a free port of the loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def postgres() -> Iterator[str]:
    """Start a PostgreSQL of our own on loopback; return its URL for SQLAlchemy."""
    user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="slipway-pg-"))  # a short path: it holds a socket
    if user:
        shutil.chown(folder, user)
    port = free_port()
    data = str(folder / "data")
    initdb = [program("initdb"), "-D", data, "-U", "app", "--auth=trust", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, user=user, cwd=folder)
    command = [program("postgres"), "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd=folder)
    try:
        wait(port)
        yield f"postgresql+psycopg://app@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(timeout=20)
        shutil.rmtree(folder)


def wait(port: int) -> None:
    """Wait until something listens, at most half a minute."""
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")


def test_tables_tenants_and_usage_live_in_postgres(
    render: Render, tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = render()
    shutil.copytree(source.root, tmp_path / "project")
    project = Project(tmp_path / "project", tmp_path)
    monkeypatch.setenv("APP_DATABASE_URL", postgres)
    monkeypatch.setenv("APP_PEPPER", "p" * 32)
    extra = ("--extra", "postgres")
    project.check(*extra, "app", "setup")
    project.check(*extra, "app", "tenant", "add", "client-one", "--budget-usd", "5")
    key = project.check(*extra, "app", "tenant", "key", "client-one").split()[-1]
    port = free_port()
    with serving(project, port, "serve", extra=extra):
        answer = ask(port, key, "What is an error budget?")
    assert answer["output"]["answered"]
    count = [program("psql"), postgres.replace("+psycopg", ""), "-At", "-c"]
    rows = subprocess.run(
        [*count, "select tenant_id, outcome from usage"], capture_output=True, text=True, check=True
    )
    assert rows.stdout.splitlines() == ["client-one|ok"]


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


def ask(port: int, key: str, question: str) -> dict[str, dict[str, object]]:
    """Ask the answer feature with a key."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    body = json.dumps({"question": question}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/answer", body, headers)
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
        return dict(json.load(reply))
