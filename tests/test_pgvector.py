"""The index in PostgreSQL with pgvector: the project's own tests of it, and two machines that share it."""

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import faulty, services
from tests.faulty import Reply
from tests.rendered import Project
from tests.services import Server

Render = Callable[..., Project]
EXTRAS = ("--extra", "postgres", "--extra", "vectors")
# How long an answer may be the old one, with room for a slow machine.
NOTICED_S = 5.0


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """Run a PostgreSQL that has pgvector."""
    with services.postgres_server(services.with_pgvector()) as server:
        yield server


def test_the_projects_own_tests_pass_on_pgvector(
    render: Render, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_INDEX_URL", postgres.url)
    said = render().check(*EXTRAS, "pytest", "-rs", "tests/test_pgindex.py")
    assert "passed" in said
    assert "skipped" not in said.lower()


def test_without_pgvector_the_fault_and_the_remedy_are_said(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    with services.postgres() as url:
        monkeypatch.setenv("APP_INDEX_URL", url)
        done = render().run(*EXTRAS, "app", "index")
    assert done.returncode == 2
    assert "config/app.toml: index_url: FeatureNotSupported; it needs pgvector (as a" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.fixture
def machines(
    render: Render, tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> list[Project]:
    """Copy the project for two machines, that share no index but that in PostgreSQL."""
    database = f"sqlite+aiosqlite:///{tmp_path}/app.db"
    for name, value in (("DATABASE_URL", database), ("INDEX_URL", postgres.url), ("AUTH", "open")):
        monkeypatch.setenv(f"APP_{name}", value)
    for name in ("one", "two"):
        shutil.copytree(render().root, tmp_path / name, ignore=shutil.ignore_patterns("var"))
    return [Project(tmp_path / name, render().cache) for name in ("one", "two")]


def ask(port: int) -> Reply:
    """Ask what one page alone answers."""
    body = b'{"question": "What does the quokka protocol require?"}'
    return faulty.call(port, "POST", "/v1/answer", body)


def cites(port: int, word: str) -> bool:
    """Whether the answer rests on a passage with this word."""
    said = ask(port)
    return said.status == 200 and word in said.text


def test_two_machines_see_a_new_build_and_outlive_their_postgres(
    machines: list[Project], postgres: Server
) -> None:
    first, second = machines
    pages = [machine.root / "data/seed/handbook/quokka.md" for machine in machines]
    for path in pages:
        path.write_text("# Quokka protocol\n\nThe quokka protocol requires seven signatures.\n")
    first.check(*EXTRAS, "app", "setup")
    ports = [services.free_port() for _ in machines]
    with ExitStack() as running:
        for machine, port in zip(machines, ports, strict=True):
            running.enter_context(services.serving(machine, port, "serve", extra=EXTRAS))
        assert not (second.root / "var/index").exists()
        assert [cites(port, "seven") for port in ports] == [True, True]
        for path in pages:
            path.write_text("# Quokka protocol\n\nThe quokka protocol requires eleven signatures.\n")
        first.check(*EXTRAS, "app", "index")
        for port in ports:
            faulty.until(lambda port=port: cites(port, "eleven"), NOTICED_S)  # type: ignore[misc]
        postgres.stop(signal.SIGINT)
        assert {ask(port).status for port in ports} == {503}
        postgres.start()
        for port in ports:
            faulty.until(lambda port=port: cites(port, "eleven"))  # type: ignore[misc]
