"""The image of a rendered project, built and run by a real engine as on a server."""

import gzip
import json
import re
import shutil
import signal
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import engine
from tests.conftest import slow
from tests.engine import docker

MAX_MB = 400
PEPPER = ("--env", f"APP_PEPPER={'p' * 40}")
MARKER = "marker-of-a-leaked-secret"


@pytest.fixture(scope="module")
def data(app_image: str) -> Iterator[str]:
    """Return a volume with tables and indexes."""
    with engine.volume() as name:
        docker("run", "--rm", *options(name), app_image, "setup")
        yield name


@pytest.fixture(scope="module")
def served(app_image: str, data: str) -> Iterator[str]:
    """Return the name of a container that serves and is healthy."""
    with serving(app_image, data) as name:
        yield name


@pytest.fixture(scope="module")
def key(served: str) -> str:
    """Return the key of a tenant."""
    docker("exec", served, "app", "tenant", "add", "client-one")
    return docker("exec", served, "app", "tenant", "key", "client-one").split()[0]


@contextmanager
def serving(app_image: str, data: str) -> Iterator[str]:
    """Run a container that serves until the block ends; return its name once it is healthy."""
    with engine.container(*options(data), "--publish", "127.0.0.1::8000", app_image) as name:
        state = ("inspect", "--format", "{{.State.Health.Status}}", name)
        engine.until(lambda: docker(*state) == "healthy")
        yield name


def options(data: str) -> list[str]:
    """Return what locks a container down, with its one writable folder."""
    return [*engine.LOCKED_DOWN, *PEPPER, "--volume", f"{data}:/app/var"]


def inspect(image: str) -> dict[str, object]:
    """Return what the engine knows of an image."""
    return dict(json.loads(docker("image", "inspect", image))[0])


def ask(name: str, path: str, shown: str = "", body: object = None, **headers: str) -> tuple[int, str]:
    """Return status and body of what the served app says."""
    request = urllib.request.Request(f"http://127.0.0.1:{engine.port(name)}{path}")
    request.data = json.dumps(body).encode() if body else None
    given = {"Content-Type": "application/json", "Authorization": f"Bearer {shown}"} | headers
    for header, value in given.items():
        request.add_header(header.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_answers_on_a_read_only_root_without_any_right(served: str, key: str) -> None:
    question = {"question": "What is an error budget?"}
    assert ask(served, "/healthz") == (200, '{"status":"ok"}')
    assert ask(served, "/v1/answer", "", question)[0] == 401
    status, said = ask(served, "/v1/answer", key, question)
    assert (status, json.loads(said)["output"]["answered"]) == (200, True)


def test_runs_as_nobody_and_may_write_its_data_alone(served: str) -> None:
    assert docker("exec", served, "id", "-u") == "10001"
    writable = docker("exec", served, "find", "/app", "/venv", "-writable", "-not", "-path", "/app/var*")
    assert writable == ""
    with pytest.raises(engine.EngineFailed, match="Read-only file system"):
        docker("exec", "--user", "0", served, "touch", "/app/new")


def test_a_stop_signal_ends_it_cleanly(app_image: str, data: str) -> None:
    with serving(app_image, data) as name:
        assert stopped(name) == "143"
        assert "Application shutdown complete" in engine.logs(name)


def test_a_stop_signal_ends_it_while_it_starts(app_image: str, data: str) -> None:
    with engine.container(*options(data), app_image) as name:
        process = Path("/proc", docker("inspect", "--format", "{{.State.Pid}}", name), "status")
        engine.until(lambda: catches_sigterm(process.read_text()))
        assert stopped(name) == "143"
        assert "Application startup complete" not in engine.logs(name)


def catches_sigterm(status: str) -> bool:
    """Tell from /proc/<pid>/status whether a process handles SIGTERM, as its first lines make it do."""
    (mask,) = re.findall(r"SigCgt:\s*([0-9a-f]+)", status)
    return bool(int(mask, 16) & 1 << signal.SIGTERM - 1)


def stopped(name: str) -> str:
    """Stop a container, which must not take until it is killed; return its exit code."""
    docker("stop", "-t", "30", name)
    return docker("inspect", "--format", "{{.State.ExitCode}}", name)


def test_turns_unhealthy_in_the_probes_eyes_without_an_app(app_image: str) -> None:
    command = ["run", "--rm", "--entrypoint", "python", app_image, "-m", "app.probe", "/healthz"]
    with pytest.raises(engine.EngineFailed, match="exit 1"):
        docker(*command)


def test_a_canary_that_is_left_alone_says_so(served: str) -> None:
    docker("exec", served, "touch", "/tmp/canary-lease")  # noqa: S108
    assert ask(served, "/readyz")[0] == 200
    docker("exec", served, "touch", "--date", "-21 seconds", "/tmp/canary-lease")  # noqa: S108
    assert ask(served, "/readyz")[0] == 503
    docker("exec", served, "rm", "/tmp/canary-lease")  # noqa: S108


def test_a_worker_of_the_same_image_answers_what_waits(
    app_image: str, data: str, served: str, key: str
) -> None:
    question = {"question": "What is an error budget?"}
    status, said = ask(served, "/v1/answer", key, question, Prefer="respond-async")
    assert status == 202
    place = f"/v1/results/{json.loads(said)['id']}"
    with engine.container(*options(data), "--no-healthcheck", app_image, "worker") as worker:
        engine.until(lambda: ask(served, place, key)[0] == 200)
        assert stopped(worker) == "0"


def test_holds_the_app_and_nothing_of_the_laptop(app_image: str) -> None:
    listed = docker(
        "run", "--rm", "--entrypoint", "sh", app_image, "-c", "ls /app /venv/lib/python3*/site-packages"
    )
    names = set(listed.split())
    assert {"app", "features", "config", "data", "var", "fastapi"} <= names
    assert (
        not {"gate", "ops", "tests", "pytest", "mypy", "pyrage", "dotenv.py", "locust", "uv", "pip"} & names
    )


def test_no_secret_of_the_folder_is_in_any_layer(packed: Path, tmp_path: Path) -> None:
    engine.start()
    root = shutil.copytree(packed, tmp_path / "project")
    for place in (
        ".env",
        ".env.local",
        "secrets/staging.env",
        "features/answer/.env",
        ".git/config",
        "var/app.db",
    ):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(f"APP_PEPPER={MARKER}\n")
    tag = engine.image(root, "slipway-test/app:secrets")
    try:
        found = list(contents(tag, tmp_path))
    finally:
        docker("rmi", "--no-prune", tag)
    assert not any(MARKER.encode() in part for part in found)
    assert any(b"def create_app" in part for part in found)  # it looks where it should


def contents(tag: str, folder: Path) -> Iterator[bytes]:
    """Return every file of a saved image, layers as archives of their own, unpacked."""
    docker("save", "--output", str(folder / "image.tar"), tag)
    with tarfile.open(folder / "image.tar") as saved:
        for member in saved:
            part = saved.extractfile(member)
            content = part.read() if part else b""
            yield gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


def test_says_what_it_is(packed: Path) -> None:
    engine.start()
    given = {"VERSION": "1.2.3", "REVISION": "abc", "CREATED": "2026-01-01T00:00:00Z", "LICENSES": "MIT"}
    words = [word for name, value in given.items() for word in ("--build-arg", f"{name}={value}")]
    tag = engine.image(packed, "slipway-test/app:labels", *words)
    config = inspect(tag)["Config"]
    docker("rmi", "--no-prune", tag)
    assert isinstance(config, dict)
    for name, value in given.items():
        assert config["Labels"][f"org.opencontainers.image.{name.lower()}"] == value
    assert (config["User"], config["StopSignal"]) == ("10001:10001", "SIGTERM")
    assert config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "app.probe", "/healthz"]
    assert not [line for line in config["Env"] if "APP_" in line]


@slow
def test_the_same_inputs_give_the_same_layers(packed: Path, tmp_path: Path, app_image: str) -> None:
    root = shutil.copytree(packed, tmp_path / "project", copy_function=shutil.copyfile)  # other dates
    for folder in (root / "app", root / "features"):
        folder.chmod(0o700)
    tag = engine.image(root, "slipway-test/app:again", "--no-cache")
    again = engine.layers(tag)
    docker("rmi", tag)
    assert again == engine.layers(app_image)


def test_a_change_of_one_line_leaves_the_libraries_alone(
    packed: Path, tmp_path: Path, app_image: str
) -> None:
    root = shutil.copytree(packed, tmp_path / "project")
    with (root / "app/main.py").open("a") as module:
        module.write("# changed\n")
    tag = engine.image(root, "slipway-test/app:changed")
    changed, before = engine.layers(tag), engine.layers(app_image)
    docker("rmi", tag)
    assert changed[:-1] == before[:-1]
    assert changed[-1] != before[-1]


def test_is_no_larger_than_promised(app_image: str) -> None:
    size = inspect(app_image)["Size"]
    assert isinstance(size, int)
    assert size <= MAX_MB * 1_000_000


def test_a_library_with_another_hash_is_refused(packed: Path, tmp_path: Path) -> None:
    engine.start()
    root = shutil.copytree(packed, tmp_path / "project")
    lock = root / "uv.lock"
    text, count = re.subn(
        r'(/fastapi-[^"]*", hash = "sha256:)[0-9a-f]{8}', r"\g<1>00000000", lock.read_text()
    )
    assert count
    lock.write_text(text)
    with pytest.raises(engine.EngineFailed, match="Hash mismatch for `fastapi"):
        engine.image(root, "slipway-test/app:refused")
