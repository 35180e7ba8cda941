"""Whether a stage can be deployed: each check with its remedy, and nothing is changed by any of them."""

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from app import files, services, settings
from app.doctor import Finding
from app.errors import AppError
from ops import build, secrets, stages
from ops import host as hosts
from ops.errors import NotReady, OpsError
from ops.host import Host
from ops.stages import Stage

REPORT = Path("reports/report.json")
# An image, its layers while they are built, and the one before it.
FREE_GB = 3


def examine(name: str) -> Iterator[Finding]:
    """Every check of a stage, in the order in which a deploy would meet them."""
    stage = stages.load(name)
    yield from here(name, stage)
    for target in stage.hosts:
        yield from there(name, stage, target)


def here(name: str, stage: Stage) -> Iterator[Finding]:
    """The commit, its gate, config and secrets, and the tools of this machine."""
    yield Finding(
        bool(shutil.which("docker")), "docker's command is here", "install Docker's client: it builds"
    )
    yield tried("the work tree is a commit", build.version)
    yield Finding(Path("uv.lock").exists(), "the libraries are locked", "uv lock, then commit uv.lock")
    if stage.gate:
        yield gated()
    yield tried("features and config are right", lambda: services.plan(settings.load(auth="open")))
    yield tried(f"secrets of {name} can be used", lambda: secrets.bundle(name))
    yield complete(name)
    if len(stage.hosts) > 1:
        yield tried("several hosts share PostgreSQL and Redis", lambda: shared(name))


def tried(what: str, check: Callable[[], object]) -> Finding:
    """A check that raises what is wrong."""
    try:
        check()
    except (AppError, OpsError) as error:
        return Finding(False, what, str(error))
    return Finding(True, what)


def complete(name: str) -> Finding:
    """Whether a stage has all that its app and its backups need."""
    try:
        lacking = secrets.missing(name)
    except OpsError as error:
        lacking = [str(error)]
    return Finding(not lacking, f"secrets of {name} are complete", "; ".join(lacking))


def gated() -> Finding:
    """Whether the gate's last report is green and of this commit."""
    what, remedy = "the gate passed for this commit", "uv run gate all"
    place = settings.load().var_dir / REPORT
    try:
        said = json.loads(place.read_text(encoding="utf-8"))
        head = build.git("rev-parse", "HEAD").decode().strip()
        of, passed = said.get("commit", ""), said["passed"]
    except FileNotFoundError:
        return Finding(False, what, f"there is no report: {remedy}")
    except (ValueError, KeyError, NotReady) as error:
        return Finding(False, what, f"{place.as_posix()} cannot be read ({error}): {remedy}")
    if of != head:
        return Finding(
            False, what, f"its last report is of {of[:12] or 'files that were not committed'}: {remedy}"
        )
    return Finding(bool(passed), what, f"the report says no: see {place.parent.as_posix()}/report.html")


def shared(name: str) -> None:
    """Raise NotReady where machines would each keep data of their own, by what is deployed, not by .env."""
    given, kept = files.parse_toml(settings.CONFIG), secrets.values(name)
    for key, wanted in (("database_url", "postgresql"), ("limits_url", "redis"), ("cache_url", "redis")):
        value = str(kept.get(f"APP_{key.upper()}") or given.get(key, ""))
        if not value.startswith(wanted):
            raise NotReady(
                f"APP_{key.upper()} must be a {wanted} URL: uv run ops secrets set {name} APP_{key.upper()}"
            )


def there(name: str, stage: Stage, target: str) -> Iterator[Finding]:
    """One machine: ssh and engine, disk, ports, and the name that clients use."""
    try:
        with hosts.connect(target, build.prefix(name)) as host:
            yield Finding(True, f"{target}: the engine answers")
            yield spoken(host)
            yield from room(host)
            if target == stage.hosts[0]:
                yield from free_ports(host, stage)
    except OpsError as error:
        yield Finding(False, f"{target}: the engine answers", str(error))
    if target == stage.hosts[0] and stage.domain not in ("", "localhost"):
        yield named(stage.domain)


def spoken(host: Host) -> Finding:
    """Whether docker's command here and the engine there agree: a new command refuses an old engine."""
    done = subprocess.run(["docker", "-H", host.url, "version"], capture_output=True, text=True)
    said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    remedy = f"{said}: install a docker command and an engine of about the same year"
    return Finding(not done.returncode, f"{host.target}: docker's command can build there", remedy)


def room(host: Host) -> Iterator[Finding]:
    """Free space where the engine keeps its images, seen from a container once there is an image."""
    if not (images := host.docker.images.list(f"{build.project()}-server")):
        return
    script = "import shutil; print(shutil.disk_usage('/').free)"
    said = hosts.once(host, images[0].id or "", ["python3", "-c", script])
    free = int(said) / 1e9
    yield Finding(
        free >= FREE_GB,
        f"{host.target}: {free:.1f} GB are free",
        f"{FREE_GB} GB are needed: docker system df",
    )


def free_ports(host: Host, stage: Stage) -> Iterator[Finding]:
    """Whether another container has the edge's ports."""
    wanted = {port for _, port in stage.ports.values()}
    for held in host.docker.containers.list(ignore_removed=True):
        taken = wanted & set(published(held.ports.values()))
        if taken and held.name != f"{host.name}-edge":
            yield Finding(
                False, f"port {min(taken)} is free", f"{held.name} has it: stop it, or change the port"
            )


def published(ports: Iterable[list[dict[str, str]] | None]) -> Iterator[int]:
    """The machine's ports of a container."""
    for one in ports:
        yield from (int(bound["HostPort"]) for bound in one or ())


def named(domain: str) -> Finding:
    """Whether the domain leads anywhere: without it no certificate is given."""
    try:
        found = socket.getaddrinfo(domain, 443)[0][4][0]
    except OSError as error:
        return Finding(
            False, f"{domain} is known to DNS", f"{error}: add an A record with the machine's address"
        )
    return Finding(True, f"{domain} is {found}")
