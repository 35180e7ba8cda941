"""A bare Debian is made ready for deploys over real ssh, and a second run changes nothing.

A container stands for the machine, so what needs systemd is left out: Docker restarted and sshd reloaded.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import engine
from tests.conftest import slow
from tests.rendered import Project

IMAGE = "slipway-test/python:bookworm"
NAME = "slipway-test-bootstrap"
PYINFRA = "pyinfra@3.10.0"
BARE = """
apt-get -qq update && apt-get -qq install --yes --no-install-recommends openssh-server
mkdir -p /run/sshd /root/.ssh
echo 'PasswordAuthentication yes' > /etc/ssh/sshd_config.d/50-cloud-init.conf
cat > /root/.ssh/authorized_keys
/usr/sbin/sshd
"""


class Machine:
    """A container with sshd, opened by one key."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key"))
        run("docker", "run", "--detach", "--name", name, "--publish", "127.0.0.1::22", IMAGE, "sleep", "1800")
        self.inside(BARE, (folder / "key.pub").read_text(encoding="utf-8"))
        self.port = run("docker", "port", name, "22").rpartition(":")[2].strip()

    def inside(self, script: str, given: str = "") -> str:
        """Run a script as root in the container."""
        return run("docker", "exec", "--interactive", self.name, "sh", "-ec", script, given=given)

    def ssh(self, user: str, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as somebody, by the key alone."""
        options = ["BatchMode=yes", "StrictHostKeyChecking=no", f"UserKnownHostsFile={self.folder}/hosts"]
        words = ["ssh", *(word for each in options for word in ("-o", each)), "-i", str(self.folder / "key")]
        words += ["-p", self.port, f"{user}@127.0.0.1", command]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    def reload_ssh(self) -> None:
        """Do what bootstrap leaves to systemd, and wait for sshd."""
        self.inside("kill -HUP $(cat /run/sshd.pid)")
        for _ in range(60):
            time.sleep(0.5)
            if self.ssh("deploy", "true").returncode == 0:
                return
        raise TimeoutError("sshd does not answer")

    def bootstrap(self, project: Path, *login: str) -> subprocess.CompletedProcess[str]:
        """Run the project's bootstrap; stdout holds stderr too."""
        words = ["uvx", "--quiet", PYINFRA, "--yes", *login, "--ssh-port", self.port]
        words += [
            "--ssh-key",
            str(self.folder / "key"),
            "--data",
            f"ssh_known_hosts_file={self.folder}/known",
        ]
        return subprocess.run(
            [*words, "127.0.0.1", "infra/bootstrap.py"], cwd=project, text=True, timeout=400, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


def run(*command: str, given: str = "") -> str:
    """Run a command that must succeed; return what it prints."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{command[:3]}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Return a bare machine, without a user but root and with passwords allowed."""
    engine.start()
    name = f"{NAME}-{tmp_path.parent.name}"
    try:
        yield Machine(name, tmp_path)
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)


def changes(said: str) -> tuple[int, int]:
    """Return how many operations changed something, and how many found nothing to do."""
    words = next(line for line in said.splitlines() if "Grand total" in line).split()[2:]
    total, changed, failed, unchanged = (0 if word == "-" else int(word) for word in words)
    assert (failed, total) == (0, changed + unchanged)
    return changed, unchanged


@slow
def test_a_bare_machine_is_ready_after_one_run_and_unchanged_by_a_second(
    render: Callable[..., Project], machine: Machine, tmp_path: Path
) -> None:
    shutil.copytree(render().root / "infra", tmp_path / "project/infra")
    first = machine.bootstrap(tmp_path / "project", "--ssh-user", "root")
    assert first.returncode == 0, first.stdout
    assert changes(first.stdout)[0] >= 6
    machine.reload_ssh()
    assert "(docker)" in machine.ssh("deploy", "id").stdout
    assert machine.ssh("deploy", "sudo -n id").returncode != 0
    assert "Permission denied" in machine.ssh("root", "id").stderr
    ssh = machine.inside("/usr/sbin/sshd -T").splitlines()
    for line in ("passwordauthentication no", "kbdinteractiveauthentication no", "permitrootlogin no"):
        assert line in ssh
    for line in ("maxsessions 30", "clientaliveinterval 5", "clientalivecountmax 2"):
        assert line in ssh
    assert json.loads(machine.inside("cat /etc/docker/daemon.json"))["live-restore"]
    assert 'Unattended-Upgrade "1"' in machine.inside("apt-config dump")

    second = machine.bootstrap(tmp_path / "project", "--ssh-user", "admin", "--sudo")
    assert second.returncode == 0, second.stdout
    assert changes(second.stdout)[0] == 0, second.stdout

    machine.inside("sed -i 's/^/restrict /' /home/admin/.ssh/authorized_keys")
    third = machine.bootstrap(tmp_path / "project", "--ssh-user", "admin", "--sudo")
    assert third.returncode != 0
    assert re.search("knows no key of yours.*ssh-copy-id", third.stdout)
