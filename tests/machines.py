"""Machines of our own: one that ssh reaches, and one with a network, an engine and a disk of its own."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import services

# Two addresses of a network for tests (RFC 2544): ours, and the other machine's.
HERE, THERE = "198.18.7.1", "198.18.7.2"
NAMESPACE, LINK = "slipway-there", "slipway-here"
ENTER = ("nsenter", f"--net=/var/run/netns/{NAMESPACE}")
SOCKET = "/var/run/docker.sock"


@dataclass(frozen=True)
class Machine:
    """Where ssh reaches a machine, the PATH that makes `ssh` know it, and its engine's own socket."""

    target: str
    path: str
    engine: str = f"unix://{SOCKET}"

    def docker(self, *words: str, given: bytes | None = None) -> str:
        """Run docker's command on the machine's engine; a failure fails the test with what it said."""
        done = subprocess.run(["docker", "-H", self.engine, *words], input=given, capture_output=True)
        assert done.returncode == 0, f"docker {' '.join(words)}: {done.stderr.decode()}"
        return done.stdout.decode().strip()

    def bring(self, *images: str) -> None:
        """Copy images from this machine's engine."""
        save = subprocess.run(["docker", "save", *images], check=True, capture_output=True)
        self.docker("load", given=save.stdout)


@contextmanager
def sshd(folder: Path, address: str = "127.0.0.1", inside: tuple[str, ...] = ()) -> Iterator[Machine]:
    """An OpenSSH server with keys of its own until the block ends; `inside` starts it in another place."""
    server = program_sshd()
    port, user = services.free_port(), getpass.getuser()
    for key in ("host", "mine"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(command, check=True)
    config = folder / "sshd_config"
    config.write_text(
        f"ListenAddress {address}:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/mine.pub\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nPidFile none\n"
    )
    known = (folder / "host.pub").read_text().rsplit(" ", 1)[0]
    (folder / "known").write_text(f"[{address}]:{port} {known}\n")
    (folder / "config").write_text(f"UserKnownHostsFile {folder}/known\nIdentityFile {folder}/mine\n")
    wrapper = folder / "bin/ssh"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n')
    wrapper.chmod(0o755)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with (folder / "sshd.log").open("w") as log:
        process = subprocess.Popen([*inside, server, "-D", "-e", "-f", str(config)], stderr=log)
    try:
        until_listens(address, port)
        yield Machine(f"ssh://{user}@{address}:{port}", f"{wrapper.parent}:{os.environ['PATH']}")
    finally:
        process.terminate()
        process.wait(timeout=20)


def program_sshd() -> str:
    """Find the server's program, which is on the PATH of root alone; skip without it."""
    usual = "/usr/sbin/sshd"
    return usual if Path(usual).exists() else services.program("sshd", "openssh-server")


def until_listens(address: str, port: int) -> None:
    """Wait until something listens, at most half a minute."""
    for _ in range(300):
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((address, port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on {address}:{port}")


@contextmanager
def another(folder: Path, disk_mb: int = 0) -> Iterator[Machine]:
    """A second machine in the network: its own engine, its own disk where told, and sshd."""
    with ExitStack() as opened:
        place = Path(tempfile.mkdtemp(prefix="slipway-there-"))
        opened.callback(shutil.rmtree, place, ignore_errors=True)
        (place / "data").mkdir()
        if disk_mb:
            size = f"size={disk_mb}m"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place / "data")], check=True)
            opened.callback(subprocess.run, ["umount", "--lazy", str(place / "data")], check=True)
        opened.enter_context(dockerd(place))
        # In a view of the files of its own, where the usual socket is that of the second engine.
        swap = f'mount --bind {place}/docker.sock {SOCKET} && exec "$@"'
        inside = (*ENTER, "unshare", "--mount", "sh", "-c", swap, "sh")
        machine = opened.enter_context(sshd(folder, THERE, inside))
        yield Machine(machine.target, machine.path, f"unix://{place}/docker.sock")


@contextmanager
def network() -> Iterator[None]:
    """A network namespace that one link connects with ours."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a network namespace and start a second engine")
    steps = (
        f"netns add {NAMESPACE}",
        f"link add {LINK} type veth peer name eth0 netns {NAMESPACE}",
        f"addr add {HERE}/30 dev {LINK}",
        f"link set {LINK} up",
        f"-n {NAMESPACE} addr add {THERE}/30 dev eth0",
        f"-n {NAMESPACE} link set lo up",
        f"-n {NAMESPACE} link set eth0 up",
        f"-n {NAMESPACE} route add default via {HERE}",
    )
    try:
        for step in steps:
            subprocess.run(["ip", *step.split()], check=True, capture_output=True)
        yield
    finally:
        for step in (f"link del {LINK}", f"netns del {NAMESPACE}"):
            subprocess.run(["ip", *step.split()], check=False, capture_output=True)


@contextmanager
def dockerd(place: Path) -> Iterator[None]:
    """A second engine in the namespace, with files of its own."""
    command = [*ENTER, "dockerd", "--host", f"unix://{place}/docker.sock"]
    for name in ("data-root", "exec-root", "pidfile"):
        command += [f"--{name}", str(place / name.split("-")[0])]
    with (place / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        probe = ["docker", "-H", f"unix://{place}/docker.sock", "version"]
        for _ in range(240):
            if subprocess.run(probe, check=False, capture_output=True).returncode == 0:
                break
            assert process.poll() is None, (place / "log").read_text()[-2000:]
            time.sleep(0.25)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
