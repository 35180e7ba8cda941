"""A machine's Docker engine: over the local socket, or through one ssh connection."""

import io
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from docker import DockerClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from requests import RequestException

from ops.errors import Failed, Lost, NotReady

LOCAL = "local"
SOCKET = "/var/run/docker.sock"
# 20.10, the engine of Debian 12.
OLDEST_API = (1, 41)
CONNECT_S = 15
LABEL = "deploy.app"
# What no container of a stage may do, and when it is started again.
LOCKED = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}
ALWAYS = {"Name": "unless-stopped"}
# The remote `cat` ends with our input, however this process dies, and the connection with it. Missed beats
# end a connection that hangs, and with it the lock.
SSH = [
    "ssh", "-T", "-S", "none", "-o", "ControlMaster=no", "-o", "BatchMode=yes",
    "-o", "ExitOnForwardFailure=yes", "-o", f"ConnectTimeout={CONNECT_S}",
    "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=2",
]  # fmt: skip


@dataclass(frozen=True)
class Host:
    """An engine, the prefix of all that one stage has there, and the image with the server's tools."""

    target: str
    docker: DockerClient
    url: str
    name: str
    tools: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """What marks a container or volume as this stage's."""
        return {LABEL: self.name}

    def container(self, part: str) -> Container | None:
        """One of the stage's containers, or None."""
        try:
            return self.docker.containers.get(f"{self.name}-{part}")
        except NotFound:
            return None

    def containers(self, role: str) -> list[Container]:
        """The stage's containers of a role, stopped ones too; one that goes meanwhile is left out."""
        labels = [f"{LABEL}={self.name}", f"deploy.role={role}"]
        return list(self.docker.containers.list(all=True, filters={"label": labels}, ignore_removed=True))

    def has_image(self, image: str) -> bool:
        """Whether the engine holds an image."""
        try:
            self.docker.images.get(image)
        except ImageNotFound:
            return False
        return True


@contextmanager
def connect(target: str, name: str) -> Iterator[Host]:
    """The engine of `local` or `ssh://user@host` while the block runs; raise NotReady where there is none."""
    with tunnel(target) as url:
        try:
            client = DockerClient(base_url=url, version="auto", timeout=120)
            version = client.version()["ApiVersion"]
        except DockerException as error:
            raise NotReady(
                f"{target}: no Docker engine answers ({reason(error)}); {remedy(target)}"
            ) from error
        if tuple(map(int, version.split("."))) < OLDEST_API:
            oldest = ".".join(map(str, OLDEST_API))
            raise NotReady(f"{target}: the engine's API is {version}, {oldest} is needed: update Docker")
        try:
            yield Host(target, client, url, name)
        except (DockerException, RequestException) as error:
            raise Lost(f"{target}: the engine says: {reason(error)}") from error
        finally:
            client.close()


def remedy(target: str) -> str:
    """What makes an engine answer."""
    if target == LOCAL:
        return "start it, or set DOCKER_HOST"
    return f"try: ssh {target} docker version (docs/first-deploy.md says how to prepare a machine)"


def reason(error: BaseException) -> str:
    """The last line of what a library says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]


@contextmanager
def tunnel(target: str) -> Iterator[str]:
    """The URL of the engine's socket: the local one, or one that a single ssh connection forwards."""
    if target == LOCAL:
        yield os.environ.get("DOCKER_HOST") or f"unix://{SOCKET}"
        return
    if not shutil.which("ssh"):
        raise NotReady("ssh is not installed: install OpenSSH's client")
    with tempfile.TemporaryDirectory(prefix="deploy-") as folder:
        place = Path(folder) / "docker.sock"
        with (Path(folder) / "said").open("w+") as said:
            # In a session of its own, so that Ctrl-C reaches us alone and we can still tidy up.
            ssh = subprocess.Popen(
                [*SSH, "-L", f"{place}:{SOCKET}", target, "cat"],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True,
            )  # fmt: skip
            try:
                until(lambda: place.exists() or ssh.poll() is not None, CONNECT_S + 5)
                if not place.exists():
                    said.seek(0)
                    last = (said.read().strip().splitlines() or ["no answer"])[-1]
                    raise NotReady(
                        f"{target}: {last}; mend host, user and key until this works: ssh {target}"
                    )
                yield f"unix://{place}"
            finally:
                ssh.kill()
                ssh.wait()


def until(holds: Callable[[], bool], seconds: float, every: float = 0.1) -> bool:
    """Wait until something holds; whether it did in time."""
    end = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(every)
    return held


def once(
    host: Host, image: str, command: Sequence[str], *, entry: str = "", given: bytes = b"",
    network: str = "none", volumes: Mapping[str, str] | None = None, seconds: float = 600,
) -> str:  # fmt: skip
    """What a container prints that runs one command and goes; `given` is its input, `volumes` name -> path.

    `entry` is a program in the place of the image's own. Raises Failed with its last lines.
    """
    shared = {name: {"bind": path, "mode": "rw"} for name, path in (volumes or {}).items()}
    held = host.docker.containers.create(
        image, list(command), entrypoint=entry or None, network=network, volumes=shared, stdin_open=True,
        tmpfs={"/tmp": "size=64m"}, labels={**host.labels, "deploy.role": "once"}, **LOCKED,  # noqa: S108
    )  # fmt: skip
    try:
        send(held, given)
        code = held.wait(timeout=seconds)["StatusCode"]
        said: str = held.logs(stdout=True, stderr=False).decode(errors="replace")
        if code:
            raise Failed(f"{' '.join(command)}: exit code {code}\n{tail(held)}")
        return said
    finally:
        with suppress(APIError):  # 409: it goes already
            held.remove(force=True)


def send(held: Container, given: bytes) -> None:
    """Start a container and give it its whole input."""
    connection = held.attach_socket(params={"stdin": 1, "stream": 1})
    held.start()
    connection._sock.sendall(given)
    connection._sock.shutdown(socket.SHUT_WR)
    connection.close()


def executed(
    held: Container, command: Sequence[str], environment: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Exit code and output of a command in a running container; raise APIError where it does not run.

    Not the SDK's `exec_run`: that reads past what came together with the head of the answer, and loses it.
    """
    engine = held.client.api
    told = engine.exec_create(held.id, list(command), environment=environment)["Id"]
    url = f"{engine.base_url}/v{engine.api_version}/exec/{told}/start"
    answer = engine.post(url, json={"Detach": False, "Tty": False}, timeout=engine.timeout)
    if not answer.ok:
        raise APIError(f"{held.name}: {answer.text.strip()}", response=answer)
    frames, said = io.BytesIO(answer.content), b""
    while head := frames.read(8):  # the stream's number, three empty bytes, and the length of what follows
        said += frames.read(int.from_bytes(head[4:]))
    return engine.exec_inspect(told)["ExitCode"], said


def tail(held: Container, lines: int = 12) -> str:
    """The last lines that a container wrote."""
    said = held.logs(tail=lines).decode(errors="replace").rstrip()
    return "\n".join(f"  | {line}" for line in said.splitlines()) or "  | (it wrote nothing)"
