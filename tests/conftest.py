"""Fixtures: the template as a tagged clone and projects rendered from it, for all workers."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from tests import engine, frontends
from tests.frontends import Answer
from tests.rendered import Project
from tools import checkout

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.stage import Stage

ROOT = Path(__file__).resolve().parents[1]

REQUIRED = os.environ.get("SLIPWAY_REQUIRE_ALL") == "1"
slow = pytest.mark.skipif(not REQUIRED, reason="slow: SLIPWAY_REQUIRE_ALL=1 runs it")

# Git's own settings of the machine must not decide a test; Copier and Cookiecutter inherit this.
os.environ["GIT_CONFIG_GLOBAL"] = str(ROOT / "tests" / "gitconfig")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure under SLIPWAY_REQUIRE_ALL=1: no test may be left out there."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Do the same for a module that skips itself."""
    report = yield
    if report.skipped:
        refuse_skip(report)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the Docker engine of our own after the last test worker."""
    if not hasattr(session.config, "workerinput"):
        engine.stop()


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Mark a skipped report as failed when every test is required."""
    if REQUIRED:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"SLIPWAY_REQUIRE_ALL=1 forbids this skip: {reason}"


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return a folder that all test workers see."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def template(shared: Path) -> Path:
    """Return a clean clone of the working tree; every release and the present state are tagged."""
    target = shared / "slipway"
    with FileLock(shared / "slipway.lock"):
        if not target.exists():
            checkout.clone(ROOT, target)
    return target


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return this worker's folder: the environment and the caches that its projects share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def render(template: Path, shared: Path, cache: Path) -> Callable[..., Project]:
    """Return a function that renders answers once; every caller reads the same project."""

    def project(**answers: Answer) -> Project:
        key = hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()[:12]
        with FileLock(shared / f"{key}.lock"):
            if not (shared / key).exists():
                frontends.copy(template, shared / key, answers)
        return Project(shared / key, cache)

    return project


@pytest.fixture
def project(render: Callable[..., Project], tmp_path: Path) -> Callable[..., Project]:
    """Return a function that gives a project of one's own, in git, free to be broken."""

    def own(**answers: frontends.Answer) -> Project:
        source = render(**answers)
        shutil.copytree(source.root, tmp_path / "project")
        frontends.start_history(tmp_path / "project")
        return Project(tmp_path / "project", source.cache)

    return own


@pytest.fixture(scope="session")
def packed(render: Callable[..., Project], shared: Path) -> Path:
    """Return the default project with its uv.lock, to be built and copied and not to be changed."""
    target = shared / "packed"
    with FileLock(shared / "packed.lock"):
        if not target.exists():
            half = shared / "packed.half"
            shutil.copytree(render().root, half, ignore=shutil.ignore_patterns("uv.lock", "var"))
            subprocess.run(["uv", "lock", "--quiet"], cwd=half, env=frontends.environment(), check=True)
            half.rename(target)
    return target


@pytest.fixture(scope="session")
def app_image(packed: Path, shared: Path) -> str:
    """Return the image of the default project; the first test worker builds it."""
    engine.start()
    with FileLock(shared / "image.lock"):
        return engine.image(packed, "slipway-test/app:session")


@pytest.fixture(scope="session")
def serving(
    render: Callable[..., Project], tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> "Iterator[Stage]":
    """Return a stage that serves, one for each test worker."""
    from tests import stage

    source, folder = render(project_name="Ship Desk"), tmp_path_factory.mktemp("stage")
    with stage.deployed(source, folder, f"t-{worker_id}") as found:
        yield found


@pytest.fixture
def desk(serving: "Stage") -> "Iterator[Stage]":
    """Return the stage; afterwards its project is at what serves, with the usual rules."""
    yield serving
    serving.write()
    serving.restore(serving.state()["stable"])


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Return a headless Chromium."""
    from tests.browser import chromium

    with chromium() as found:
        yield found
