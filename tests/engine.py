"""A real Docker engine: the one that answers, or one of our own; and the base image of builds."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

DEBIAN = "slipway-test/python:bookworm"
BASE = "slipway-test/python:ca"  # the same with the certificates that this machine trusts
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway-tests"
PID = CACHE / "dockerd.pid"
LOCKED_DOWN = (
    "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",  # noqa: S108
)  # fmt: skip


class EngineFailed(Exception):
    """A docker command ended with an error; the message is what it printed."""


def docker(*words: str) -> str:
    """Run a docker command and return what it printed; raise EngineFailed."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineFailed(f"docker {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def start() -> None:
    """Make sure, once for all test workers, that an engine answers and has the base image; else skip."""
    if not shutil.which("docker"):
        pytest.skip("docker is not installed (Debian: apt-get install docker.io iptables)")
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / "engine.lock"):
        if not answers():
            launch()
        if not docker("images", "--quiet", DEBIAN):
            docker("import", str(debian()), DEBIAN)
        if not docker("images", "--quiet", BASE):
            trust()


def answers() -> bool:
    """Tell whether an engine answers."""
    return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0


def launch() -> None:
    """Start the system's engine in the background; `stop` ends it."""
    if not shutil.which("dockerd") or os.geteuid() != 0:
        pytest.skip(
            "no Docker engine answers; root can start one (Debian: apt-get install docker.io iptables)"
        )
    with (CACHE / "dockerd.log").open("w") as log:
        process = subprocess.Popen(["dockerd"], stdout=log, stderr=log, start_new_session=True)
    PID.write_text(str(process.pid))
    for _ in range(120):
        if answers():
            return
        time.sleep(0.5)
    raise EngineFailed(f"dockerd does not answer after a minute, see {log.name}")


def stop() -> None:
    """End the engine that `launch` started."""
    if PID.exists():
        os.kill(int(PID.read_text()), signal.SIGTERM)
        PID.unlink()


def debian() -> Path:
    """Return a minimal Debian with Python as an archive; made once on a machine."""
    found = CACHE / "python-bookworm.tar"
    if not found.exists():
        if not shutil.which("mmdebstrap"):
            pytest.skip("mmdebstrap is not installed (Debian: apt-get install mmdebstrap)")
        packages = "--include=python3,python3-venv,ca-certificates"
        half = found.with_suffix(".half.tar")
        command = ["mmdebstrap", "--quiet", "--variant=minbase", packages, "bookworm", str(half)]
        subprocess.run(command, check=True, capture_output=True)
        half.rename(found)
    return found


def trust() -> None:
    """Tag the base: Debian, with this machine's own certificates where it has some."""
    bundle = os.environ.get("SSL_CERT_FILE", "")
    if not bundle:
        docker("tag", DEBIAN, BASE)
        return
    inside = "/etc/ssl/certs/ca-certificates.crt"
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy2(bundle, Path(folder) / "bundle.crt")
        lines = f"FROM {DEBIAN}\nCOPY bundle.crt {inside}\nENV SSL_CERT_FILE={inside}\n"
        (Path(folder) / "Dockerfile").write_text(lines)
        docker("build", "--quiet", "--tag", BASE, folder)


def image(root: Path, tag: str, *words: str) -> str:
    """Build the image of a project that has its uv.lock; return its tag."""
    docker("build", "--build-arg", f"PYTHON_IMAGE={BASE}", "--tag", tag, *words, str(root))
    return tag


def layers(image: str) -> list[str]:
    """Return the hashes of an image's layers."""
    return list(json.loads(docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", image)))


@contextmanager
def volume() -> Iterator[str]:
    """Return a volume that lives as long as the block."""
    name = docker("volume", "create", f"slipway-test-{uuid.uuid4().hex[:8]}")
    try:
        yield name
    finally:
        docker("volume", "rm", "--force", name)


@contextmanager
def container(*words: str) -> Iterator[str]:
    """Run a container in the background, with `docker run`'s words, until the block ends; return its name."""
    name = f"slipway-test-{uuid.uuid4().hex[:8]}"
    try:
        docker("run", "--detach", "--name", name, *words)
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)


def logs(name: str) -> str:
    """Return what a container printed."""
    command = ["docker", "logs", name]
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    ).stdout


def port(name: str) -> int:
    """Return the port of this machine that leads to the container's one published port."""
    return int(docker("port", name).split(":")[-1])


def until(is_true: Callable[[], bool], at_most_s: float = 60) -> None:
    """Wait until something holds."""
    end = time.monotonic() + at_most_s
    while not is_true():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.2)
