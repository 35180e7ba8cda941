"""The lock of a stage: a container that lives as long as our connection, and through which all changes go.

Its `cat` ends with its input, so the lock cannot outlive who took it. Each file and each weight is written
by a program in it: without the lock nothing can be changed.
"""

import base64
import getpass
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import FrameType

from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from requests import RequestException

from ops.errors import Failed, Locked, Lost
from ops.host import Host, executed, until

NAME = "lock"
STATE = "/state"
# Between its making and its start a lock is nobody's.
BORN_S = 3


@dataclass(frozen=True)
class Shell:
    """A container of the server's tools that sees the stage's state."""

    container: Container

    def run(self, script: str, *words: str) -> str:
        """What a script prints; raise Lost without its container, Failed with what it says."""
        try:
            code, said = executed(self.container, ["sh", "-c", script, "sh", *words])
        except (NotFound, APIError) as error:  # 404: it is gone, 409: it has ended
            raise Lost(f"{self.container.name} is gone: somebody broke the lock; run this again") from error
        text = str(said.decode(errors="replace"))
        if code:
            raise Failed(f"{script.split()[0]}: exit code {code}: {text.strip()[-300:]}")
        return text

    def require(self) -> None:
        """Raise Lost unless the lock is still ours."""
        self.run("true")

    @staticmethod
    def place(name: str) -> str:
        """Where a file of the state is."""
        return f"{STATE}/{name}"

    def read(self, name: str) -> str:
        """A file of the state, or nothing."""
        return self.run('if [ -e "$1" ]; then cat "$1"; fi', self.place(name))

    def write(self, name: str, text: str) -> None:
        """Replace a file of the state as a whole, and see it on the disk."""
        script = 'echo "$2" | base64 -d >"$1.new" && chmod 600 "$1.new" && sync "$1.new" && mv "$1.new" "$1"'
        self.run(script, self.place(name), base64.b64encode(text.encode()).decode())


@contextmanager
def hold(host: Host, why: str) -> Iterator[Shell]:
    """Hold the stage's lock while the block runs; raise Locked with who has it."""
    held, connection = take(host, why), None
    try:
        connection = held.attach_socket(params={"stdin": 1, "stream": 1})
        held.start()
        with interruptible():
            yield Shell(held)
    finally:
        if connection:
            connection.close()
        with suppress(DockerException, RequestException):  # ours alone: another one may have its name by now
            held.remove(force=True)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, so that a cancelled job takes its canary back."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def take(host: Host, why: str) -> Container:
    """Make the lock's container, whose name nobody else can take; raise Locked."""
    for _ in range(2):
        try:
            return create(host, why)
        except APIError as error:
            if error.status_code != 409:
                raise
        found = host.container(NAME)
        if found and until(partial(lives, found), BORN_S):
            owner, at, doing = (found.labels[f"deploy.{key}"] for key in ("owner", "at", "why"))
            remedy = "wait, or break it with: uv run ops unlock STAGE"
            raise Locked(f"{host.name} is locked by {owner} since {at}: {doing}; {remedy}")
        if found:  # its owner died before it lived; by its id, since another one may have its name
            with suppress(APIError):
                found.remove(force=True)
    raise Locked(f"{host.name} was locked a moment ago: try again")


def create(host: Host, why: str) -> Container:
    """A lock that is not yet held."""
    told = {"deploy.role": NAME, "deploy.owner": me(), "deploy.why": why, "deploy.at": now()}
    return host.docker.containers.create(
        host.tools, ["cat"], name=f"{host.name}-{NAME}", stdin_open=True, auto_remove=True,
        network="none", labels={**host.labels, **told},
        volumes={f"{host.name}-state": {"bind": STATE, "mode": "rw"}},
    )  # fmt: skip


def lives(held: Container) -> bool:
    """Whether a lock is held; one that is gone is not."""
    with suppress(NotFound):
        held.reload()
        return bool(held.status == "running")
    return False


def me() -> str:
    """Who runs this, and where."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def release(host: Host) -> bool:
    """Remove the lock; whether there was one."""
    with suppress(NotFound, APIError):
        host.docker.api.remove_container(f"{host.name}-{NAME}", force=True)
        return True
    return False
