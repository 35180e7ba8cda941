"""compose.yaml of a rendered project, on a real engine."""

import json
import re
import shutil
import subprocess
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import engine, services
from tests.rendered import Project

PROFILES = ("postgres", "redis", "inference", "observability")


def compose(folder: Path, *words: str) -> str:
    """Run Compose, the plugin or the program of its own, in a project's folder; a failure fails the test."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    program = ["docker-compose"] if plugin.returncode else ["docker", "compose"]
    if not shutil.which(program[0]):
        pytest.skip("Compose is not installed (Debian: apt-get install docker-compose)")
    done = subprocess.run([*program, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def described(packed: Path) -> dict[str, Any]:
    """Return the services of the file by their names."""
    return dict(yaml.safe_load((packed / "compose.yaml").read_text())["services"])


@pytest.fixture
def up(packed: Path, tmp_path: Path, app_image: str) -> Iterator[int]:
    """Run app and worker; return the port of the app."""
    root, port = shutil.copytree(packed, tmp_path / "project"), services.free_port()
    given = {
        "PYTHON_IMAGE": engine.BASE,
        "PORT": port,
        "COMPOSE_PROJECT_NAME": f"slipway-{uuid.uuid4().hex[:8]}",
    }
    (root / ".env").write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    try:
        compose(root, "up", "--detach")
        assert engine.layers("client-desk:local") == engine.layers(app_image)
        engine.until(lambda: "(healthy)" in compose(root, "ps"))
        yield port
    finally:
        compose(root, "down", "--volumes")
        engine.docker("rmi", "--no-prune", "client-desk:local")


def test_the_app_answers_at_once_and_the_worker_later(up: int) -> None:
    assert said(up, "/v1/answer")["output"]["answered"]
    place = f"/v1/results/{said(up, '/v1/answer', Prefer='respond-async')['id']}"
    engine.until(lambda: "output" in said(up, place))


def said(port: int, path: str, **headers: str) -> dict[str, Any]:
    """Return what the app says to a question, or of a result."""
    body = json.dumps({"question": "What is an error budget?"}).encode() if path == "/v1/answer" else None
    given = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, given)
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
        return dict(json.load(reply))


@pytest.fixture(scope="module")
def resolved(packed: Path) -> dict[str, Any]:
    """Return the services of all profiles as compose understands them."""
    words = [word for profile in PROFILES for word in ("--profile", profile)]
    return dict(yaml.safe_load(compose(packed, *words, "config"))["services"])


def test_every_profile_is_understood(resolved: dict[str, Any]) -> None:
    assert {"setup", "app", "worker", "postgres", "redis", "inference", "prometheus"} <= resolved.keys()


def test_no_service_may_more_than_it_needs(resolved: dict[str, Any]) -> None:
    for name, service in resolved.items():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_starts_from_the_base_of_the_dockerfile(packed: Path, described: dict[str, Any]) -> None:
    base = re.search(r"(?m)^ARG PYTHON_IMAGE=(.*)$", (packed / "Dockerfile").read_text())
    assert base
    assert described["app"]["build"]["args"]["PYTHON_IMAGE"] == f"${{PYTHON_IMAGE:-{base[1]}}}"


def test_prometheus_reads_the_rules_of_the_slos(project: Callable[..., Project], tmp_path: Path) -> None:
    found = project()
    shutil.copy(found.root / "infra/prometheus/prometheus.yml", tmp_path)
    found.check("gate", "slo", "--out", str(tmp_path / "rules"))
    command = [
        services.program("promtool", "prometheus"),
        "check",
        "config",
        str(tmp_path / "prometheus.yml"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "rules found" in done.stdout) == (0, True), done.stdout + done.stderr
