"""Backups of a stage: made, listed, tried and restored by containers of the server's tools on its machine.

Their program is infra/server/backup.py. No secret passes through here: they mount the volume that has them.
"""

import io
import json
import secrets
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.types import LogConfig, Mount

from ops.errors import NotReady
from ops.host import LOCKED, Host
from ops.stages import Backup

PROGRAM = ["python3", "/opt/backup/backup.py"]
USER = "10001:10001"
VAR, KEPT, SECRETS, SCRATCH = "/app/var", "/backups", "/run/secrets", "/scratch"
STATUS, DISK = f"{KEPT}/status.json", f"{KEPT}/restic"
ROLE = "backup"
STOP_S = 30
Json = dict[str, Any]


def snapshot(host: Host, backup: Backup, tag: str, held: str = "") -> Json:
    """Save the stage under a tag while it runs; returns id, tags, rows, tables, bytes and seconds.

    `held` is another volume of secrets than the one the app uses. Raises NotReady with the last lines and
    the remedy: a deploy must then stop.
    """
    return dict(ask(host, backup, ["snapshot", tag], held))


def every(host: Host, backup: Backup) -> list[Json]:
    """All snapshots, the oldest first: id, time, tags."""
    return list(ask(host, backup, ["list"]))


def find(host: Host, backup: Backup, which: str) -> Json:
    """The newest snapshot of this tag or id; raise NotReady with the known ones."""
    return dict(ask(host, backup, ["find", which]))


def drill(host: Host, backup: Backup, which: str) -> Json:
    """Restore aside and compare every table; `differences` says what is not as it was saved."""
    return dict(ask(host, backup, ["drill", which]))


def restore(host: Host, backup: Backup, which: str, say: Callable[[str], None], *, save: bool = True) -> Json:
    """Save the present, then put a snapshot in its place; nothing writes meanwhile.

    Raises NotReady, and then the database is as before: it is replaced whole or not at all.
    """
    name, tag = find(host, backup, which)["id"], f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    with stopped(host, say):
        say(f"restoring {name}" + (f", the present is saved as {tag}" if save else ""))
        return dict(ask(host, backup, ["restore", name, *(["--save-as", tag] if save else [])]))


@contextmanager
def stopped(host: Host, say: Callable[[str], None]) -> Iterator[None]:
    """The stage's web and worker containers stand still during the block, and run again after it."""
    held = [one for role in ("web", "worker") for one in host.containers(role) if one.status == "running"]
    try:
        for container in held:
            say(f"stopping {container.name}")
            container.stop(timeout=STOP_S)
        yield
    finally:
        for container in held:
            say(f"starting {container.name}")
            try:
                container.start()
            except DockerException as error:  # the others shall run again all the same
                say(f"{container.name} does not start: {error}; try: docker start {container.name}")


def ensure_nightly(host: Host, backup: Backup) -> None:
    """Start the container that saves each night, in the place of the one that is there."""
    if old := host.container(ROLE):
        old.remove(force=True, v=True)
    keep = [str(number) for number in (backup.keep_daily, backup.keep_weekly, backup.keep_monthly)]
    create(host, backup, ["nightly", backup.at, "--keep", *keep], ROLE).start()


def status(host: Host) -> Json | None:
    """How the last night went (`ok`, `at`, and `said` or `id`); None before the first one."""
    try:
        stream, _ = host.docker.containers.get(f"{host.name}-{ROLE}").get_archive(STATUS)
    except NotFound:
        return None
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        member = archive.extractfile(archive.getmembers()[0])
        return dict(json.load(member)) if member else None


def ask(host: Host, backup: Backup, words: list[str], secrets_from: str = "") -> Any:
    """What the program says in a container of its own, which goes afterwards."""
    held = None
    try:
        held = create(host, backup, words, f"{ROLE}-{words[0]}-{secrets.token_hex(3)}", secrets_from)
        held.start()
        code = held.wait(timeout=None)["StatusCode"]
        said = held.logs(stdout=True, stderr=False).decode(errors="replace").splitlines()
        if code > 1 or not said:
            why = held.logs(tail=6).decode(errors="replace").strip() or f"exit code {code}"
            raise NotReady(f"{host.name}: {' '.join(words[:2])}: {why}; nothing was changed")
        return json.loads(said[-1])
    except DockerException as error:
        raise NotReady(f"{host.name}: {' '.join(words[:2])}: {error}") from error
    finally:
        if held:
            with suppress(APIError):  # 409: it goes already
                held.remove(force=True, v=True)


def create(host: Host, backup: Backup, words: list[str], part: str, secrets_from: str = "") -> Container:
    """A container of the tools that sees the backups, the secrets and, but for a drill, the app's volume."""
    address = DISK if backup.repository == "disk" else backup.repository
    return host.docker.containers.create(
        host.tools, [*PROGRAM, "--repository", address, *words], name=f"{host.name}-{part}", user=USER,
        # restic knows its own locks by the name of the machine.
        hostname=host.name[:63], network=network(host, backup),
        mounts=mounts(host, secrets_from or secrets_volume(host), data=words[0] != "drill"),
        tmpfs={"/tmp": "size=64m"}, labels={**host.labels, "deploy.role": ROLE}, init=True, **LOCKED,  # noqa: S108
        restart_policy={"Name": "always"} if part == ROLE else None,
        log_config=LogConfig(type=LogConfig.types.JSON, config={"max-size": "1m", "max-file": "3"}),
    )  # fmt: skip


def network(host: Host, backup: Backup) -> str | None:
    """The stage's network; for S3 the machine's, whose role a container of another network does not get."""
    if backup.repository.startswith("s3:"):
        return "host"
    found = [network.name for network in host.docker.networks.list(names=[host.name])]
    return host.name if host.name in found else None


def mounts(host: Host, secrets_from: str, *, data: bool) -> list[Mount]:
    """The volumes; the scratch of a drill is one without a name, which goes with its container."""
    found = [Mount(KEPT, f"{host.name}-backups"), Mount(SCRATCH, None)]
    if data:
        found.append(Mount(VAR, f"{host.name}-data"))
    if secrets_from:
        found.append(Mount(SECRETS, secrets_from, read_only=True))
    return found


def secrets_volume(host: Host) -> str:
    """The volume of secrets that the app uses, or the newest before it runs; empty where there is none."""
    for container in host.containers("web"):
        for mount in container.attrs["Mounts"]:
            if mount["Destination"] == SECRETS and container.status == "running":
                return str(mount.get("Name", ""))
    prefix = f"{host.name}-secrets-"
    found = host.docker.volumes.list(filters={"name": prefix})
    named = [volume for volume in found if volume.name.startswith(prefix)]
    return str(max(named, key=lambda volume: str(volume.attrs["CreatedAt"])).name) if named else ""
