"""The same app on a real PostgreSQL and Redis: only URLs change."""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import services
from tests.conftest import slow
from tests.rendered import PYTEST, Project

Render = Callable[..., Project]


@pytest.fixture
def postgres() -> Iterator[str]:
    """Start a PostgreSQL of our own; return its URL for SQLAlchemy."""
    with services.postgres() as url:
        yield url


def test_redis_keeps_what_it_is_given_on_its_own_port() -> None:
    with services.redis() as url:
        command = [services.program("redis-cli", "redis-tools"), "-u", url]
        subprocess.run([*command, "set", "colour", "blue"], check=True, capture_output=True)
        kept = subprocess.run([*command, "get", "colour"], check=True, capture_output=True, text=True)
    assert kept.stdout == "blue\n"


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
    port = services.free_port()
    with services.serving(project, port, "serve", extra=extra):
        answer = ask(port, key, "What is an error budget?")
    assert answer["output"]["answered"]
    count = [services.program("psql"), postgres.replace("+psycopg", ""), "-At", "-c"]
    rows = subprocess.run(
        [*count, "select tenant_id, outcome from usage"], capture_output=True, text=True, check=True
    )
    assert rows.stdout.splitlines() == ["client-one|ok"]


@slow
def test_every_test_of_a_project_holds_on_postgres_and_redis(
    render: Render, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(render().root, tmp_path)
    with services.postgres_server(services.with_pgvector()) as server, services.redis() as url:
        for name in ("TEST_DATABASE_URL", "TEST_INDEX_URL"):
            monkeypatch.setenv(name, server.url)
        monkeypatch.setenv("TEST_REDIS_URL", url)
        said = project.check(*PYTEST, "-o", "addopts=", "-q", "-rs")
        command = [services.program("redis-cli", "redis-tools"), "-u", url, "info", "commandstats"]
        used = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert " passed" in said
    assert "TEST_DATABASE_URL is set" in said  # the reason of those that are about files
    assert "cmdstat_set:" in used


def ask(port: int, key: str, question: str) -> dict[str, dict[str, object]]:
    """Ask the answer feature with a key."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    body = json.dumps({"question": question}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/answer", body, headers)
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
        return dict(json.load(reply))


def test_two_apps_and_two_workers_share_postgres_and_redis(
    render: Render, tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(render().root, tmp_path / "project")
    project = Project(tmp_path / "project", tmp_path)
    extra = ("--extra", "postgres", "--extra", "redis")
    ports = [services.free_port() for _ in range(2)]
    with services.redis() as url, ExitStack() as opened:
        for name, value in (("DATABASE_URL", postgres), ("CACHE_URL", url), ("LIMITS_URL", url)):
            monkeypatch.setenv(f"APP_{name}", value)
        monkeypatch.setenv("APP_AUTH", "open")
        project.check(*extra, "app", "setup")
        for port in ports:
            opened.enter_context(services.serving(project, port, "serve", extra=extra))
        for _ in range(2):
            opened.enter_context(services.working(project, extra))
        names = [later(ports[n % 2], f"What is an error budget? Number {n}") for n in range(20)]
        with services.working(project, extra) as third:
            result(ports[0], names[2])
            os.killpg(third.pid, signal.SIGKILL)
        assert {result(ports[n % 2], name)["meta"]["id"] for n, name in enumerate(names)} == set(names)
        asked = [ask(port, "", "What is an error budget?")["meta"]["cached"] for port in (*ports, ports[0])]
    assert asked == [False, True, True]
    count = [services.program("psql"), postgres.replace("+psycopg", ""), "-At", "-c"]
    query = "select count(*), count(distinct id), min(outcome), max(outcome) from usage"
    rows = subprocess.run([*count, query], capture_output=True, text=True, check=True)
    assert rows.stdout.strip() == "23|23|ok|ok"


def later(port: int, question: str) -> str:
    """Ask for an answer later; return where it will be."""
    headers = {"Content-Type": "application/json", "Prefer": "respond-async"}
    body = json.dumps({"question": question}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/answer", body, headers)
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
        return str(json.load(reply)["id"])


def result(port: int, name: str) -> dict[str, dict[str, object]]:
    """Return a result once it is there, within half a minute."""
    for _ in range(150):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/results/{name}", timeout=30) as reply:
            if reply.status == 200:
                return dict(json.load(reply))
        time.sleep(0.2)
    raise TimeoutError(name)
