"""The image of llama.cpp's server, compiled once for a machine, and model servers in containers."""

import hashlib
import shutil
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from tests import engine
from tests.engine import docker

IMAGE = "slipway-test/llama"
# What decides the compiled wheel.
MADE_FROM = ("compile.sh", "llama.txt")


def build(source: Path, context: Path) -> str:
    """Build the image from a copy of infra/inference; return its name."""
    wheels = cache(source)
    shutil.copytree(source, context)
    with FileLock(wheels.with_suffix(".lock")):
        if not any(wheels.glob("*.whl")):
            compiled = engine.image(context, f"{IMAGE}-build", "--target", "build")
            docker(
                "run", "--rm", "--volume", f"{wheels}:/kept", compiled, "sh", "-c", "cp /build/*.whl /kept"
            )
    for wheel in wheels.glob("*.whl"):
        shutil.copy2(wheel, context)
    return engine.image(context, IMAGE)


def cache(source: Path) -> Path:
    """Return the folder of this user that keeps the wheel of these sources."""
    content = b"".join((source / name).read_bytes() for name in MADE_FROM)
    folder = engine.CACHE / f"llama-{hashlib.sha256(content).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def mounts(root: Path) -> list[str]:
    """Return the options that mount a project's weights and registry, as compose.yaml does."""
    weights, registry = root / "var" / "models" / "model.gguf", root / "config" / "models.toml"
    return [f"--volume={weights}:/models/model.gguf:ro", f"--volume={registry}:/config/models.toml:ro"]


@contextmanager
def running(port: int, *words: str) -> Iterator[str]:
    """Run a model server until the block ends, give its container; its 8080 is `port` of this machine."""
    with engine.container(*engine.LOCKED_DOWN, f"--publish=127.0.0.1:{port}:8080", *words) as name:
        ready(port, name)
        yield name


def ready(port: int, name: str) -> None:
    """Wait until a server lists its models, at most a minute."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(docker("logs", name))
