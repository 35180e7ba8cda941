"""The lock of a stage: a container that lives as long as our connection, and through which all changes go.

Its `cat` ends with its input, so the lock cannot outlive who took it. Each file and each weight is written
by a program in it: without the lock nothing can be changed.
"""

import base64
import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from docker.errors import APIError, NotFound
from docker.models.containers import Container

from ops.errors import Failed, Locked, Lost
from ops.host import Host

NAME = "lock"
STATE = "/state"


@dataclass(frozen=True)
class Shell:
    """A container of the server's tools that sees the stage's state."""

    container: Container

    def run(self, script: str, *words: str) -> str:
        """What a script prints; raise Lost without its container, Failed with what it says."""
        try:
            code, said = self.container.exec_run(["sh", "-c", script, "sh", *words])
        except (NotFound, APIError) as error:  # 404: it is gone, 409: it has ended
            raise Lost(f"{self.container.name} is gone: somebody broke the lock; run this again") from error
        text = str(said.decode(errors="replace"))
        if code:
            raise Failed(f"{script.split()[0]}: exit code {code}: {text.strip()[-300:]}")
        return text

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
    held = take(host, why)
    connection = held.attach_socket(params={"stdin": 1, "stream": 1})
    try:
        held.start()
        yield Shell(held)
    finally:
        connection.close()
        release(host)


def take(host: Host, why: str) -> Container:
    """Make the lock's container, whose name nobody else can take."""
    told = {"deploy.role": NAME, "deploy.owner": me(), "deploy.why": why, "deploy.at": now()}
    try:
        return host.docker.containers.create(
            host.tools, ["cat"], name=f"{host.name}-{NAME}", stdin_open=True, auto_remove=True,
            network="none", labels={**host.labels, **told},
            volumes={f"{host.name}-state": {"bind": STATE, "mode": "rw"}},
        )  # fmt: skip
    except APIError as error:
        if error.status_code != 409:
            raise
        found = host.container(NAME)
        who = found.labels if found else {}
        said = "by {deploy.owner} since {deploy.at}: {deploy.why}" if who else "by somebody who just left"
        for key, value in who.items():
            said = said.replace(f"{{{key}}}", value)
        raise Locked(f"{host.name} is locked {said}; wait, or break it with: ops unlock") from error


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
