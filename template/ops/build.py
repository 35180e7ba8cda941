"""Build the images: from exactly one commit, on the machine that runs them, through its engine's socket."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import tomllib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from ops import host as hosts
from ops.errors import Failed, NotReady
from ops.host import Host
from ops.stages import Stage

SERVER = Path("infra/server")
# What the gate said goes into the image.
REPORT = Path("var/reports/report.json")
VERSION_LENGTH = 12
Tell = Callable[[str], None]


def project() -> str:
    """The project's short name, as in pyproject.toml."""
    try:
        return str(tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["name"])
    except FileNotFoundError as error:
        raise NotReady("pyproject.toml is missing: run this in the project's root") from error


def prefix(stage: str) -> str:
    """What every name on a stage's machines begins with."""
    return f"{project()}-{stage}"


def version() -> str:
    """The version that HEAD is; raise NotReady where the work tree differs from it."""
    if changed := git("status", "--porcelain").decode().splitlines():
        listed = "\n".join(f"  {line}" for line in changed[:10])
        raise NotReady(f"the work tree differs from its commit; commit or stash first:\n{listed}")
    return git("rev-parse", "HEAD").decode()[:VERSION_LENGTH]


def git(*words: str) -> bytes:
    """What git prints; raise NotReady with its last line."""
    done = subprocess.run(["git", *words], capture_output=True)
    if done.returncode:
        said = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise NotReady(f"git {words[0]}: {said}")
    return done.stdout


def app(host: Host, image: str, extras: str, tell: Tell) -> None:
    """Build the app's image where the host does not hold it yet; raise Failed with the build's last lines."""
    if host.has_image(image):
        return
    version = image.rpartition(":")[2]  # not HEAD, which may have moved since the checks
    revision, created = git("show", "-s", "--format=%H %cI", version).decode().split()
    args = {"VERSION": version, "REVISION": revision, "CREATED": created, "EXTRAS": extras}
    with tempfile.TemporaryDirectory(prefix="build-") as folder:
        with tarfile.open(fileobj=BytesIO(git("archive", "--format=tar", version))) as tar:
            tar.extractall(folder, filter="data")
        if REPORT.exists():
            place = Path(folder) / REPORT
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPORT, place)
        build(host.url, image, Path(folder), args, tell)


def tools(host: Host, slug: str, tell: Tell, *, anew: bool = False) -> str:
    """The image of the server's tools, built where the host lacks it; `anew` with the latest packages."""
    image = f"{slug}-server:{fingerprint(SERVER)}"
    if anew or not host.has_image(image):
        build(host.url, image, SERVER, {}, tell, *(["--no-cache"] if anew else []))
    return image


def fingerprint(folder: Path) -> str:
    """The content of a folder and what it is built on, in 12 digits."""
    told = hashlib.sha256(os.environ.get("PYTHON_IMAGE", "").encode())
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc"):
        told.update(f"{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes())
    return told.hexdigest()[:VERSION_LENGTH]


def build(url: str, image: str, folder: Path, args: dict[str, str], tell: Tell, *more: str) -> None:
    """Run `docker build` on an engine; PYTHON_IMAGE of the environment is the base where it is set."""
    if base := os.environ.get("PYTHON_IMAGE"):
        args = {**args, "PYTHON_IMAGE": base}
    words = [word for name, value in args.items() if value for word in ("--build-arg", f"{name}={value}")]
    run(["docker", "-H", url, "build", "-t", image, *more, *words, str(folder)], tell)


def run(command: list[str], tell: Tell) -> None:
    """Run a command and tell its lines; raise Failed with the last of them."""
    last: list[str] = []
    try:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace"
        ) as done:
            for line in done.stdout or ():
                last = [*last[-11:], line.rstrip()]
                tell(line.rstrip())
    except FileNotFoundError as error:
        raise NotReady(f"{command[0]} is not installed: it builds the image") from error
    if done.returncode:
        listed = "\n".join(f"  | {line}" for line in last)
        raise Failed(f"{command[0]} build ended with {done.returncode}:\n{listed}")


def bring(host: Host, stage: Stage, image: str, tell: Tell) -> None:
    """Have the version's image on a machine: built there, or here and copied, or through a registry."""
    if stage.build == "host":
        app(host, image, stage.extras, tell)
        return
    if host.has_image(image):
        return
    with hosts.connect(hosts.LOCAL, host.name) as here:
        app(here, image, stage.extras, tell)
        if stage.build == "here":
            copy(here, host, image)
            return
        away = f"{stage.registry}:{image.rpartition(':')[2]}"
        here.docker.images.get(image).tag(away)
        run(["docker", "-H", here.url, "push", away], tell)
        here.docker.images.remove(away)
    run(["docker", "-H", host.url, "pull", away], tell)
    host.docker.images.get(away).tag(image)
    host.docker.images.remove(away)  # the other name keeps it, and goes when it is no longer kept


def copy(here: Host, host: Host, image: str) -> None:
    """Copy an image from this machine's engine to another one."""
    if here.url == host.url:
        return
    with subprocess.Popen(["docker", "-H", here.url, "save", image], stdout=subprocess.PIPE) as save:
        done = subprocess.run(["docker", "-H", host.url, "load"], stdin=save.stdout, capture_output=True)
    if save.returncode or done.returncode:
        raise Failed(f"{host.target}: {image} did not arrive: {done.stderr.decode().strip()[-200:]}")
