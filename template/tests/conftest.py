"""Fixtures of every test: a clean environment, a project in a temporary folder, the running app."""

import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.keyless import server
from tests import embedder as embeddings
from tests import kit, stores


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting of this machine reaches a test, and no test's logging the next one."""
    for name in [name for name in os.environ if name.startswith("APP_")]:
        monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small project; it is the current folder."""
    monkeypatch.chdir(tmp_path)
    kit.project()
    with stores.fresh() as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield tmp_path


@pytest.fixture
async def site(project: Path) -> AsyncIterator[kit.Site]:
    """The project's app, running and open to all."""
    async with kit.site() as running:
        yield running


@pytest.fixture(scope="session")
def keyless_url() -> Iterator[str]:
    """The keyless model as a server on this machine."""
    with kit.serve(server.create_server()) as url:
        yield url


@pytest.fixture
def embedder(project: Path) -> Iterator[embeddings.Embedder]:
    """The project searches with the vectors of this server."""
    pytest.importorskip("numpy", reason="uv sync --extra vectors")
    served = embeddings.Embedder()
    with kit.serve(served.app) as url:
        embeddings.encoder(url)
        yield served
