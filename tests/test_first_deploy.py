"""The page "your first deploy" is followed word by word, from a bare Debian to an answer through HTTPS.

A container stands for the machine. What is not as on a real one: Docker is started by hand, as there is no
systemd, and is given the base image, as there is no registry; the domain is `localhost`, whose certificate
Caddy makes.
"""

import json
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import engine, services
from tests.conftest import slow
from tests.rendered import Project
from tests.test_bootstrap import BARE, run

BLOCKS = re.compile(r"```(sh|toml)\n(.*?)```", re.DOTALL)
# All that an engine in a container needs, without the one right that a machine for tests may not have itself.
RIGHTS = (
    "--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--device-cgroup-rule=a *:* rwm",
    *(f"--security-opt={name}=unconfined" for name in ("seccomp", "apparmor", "systempaths")),
)  # fmt: skip
WRITABLE = """
mount -o remount,bind,rw /sys
for place in /sys/fs/cgroup /sys/fs/cgroup/*; do
    ! mountpoint -q $place || mount -o remount,bind,rw $place
done
"""
AS_SYSTEMD_WOULD = f"""
kill -HUP $(cat /run/sshd.pid)
{WRITABLE}
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
dockerd > /var/log/dockerd.log 2>&1 &
for attempt in $(seq 120); do
    ! docker version > /dev/null 2>&1 || exit 0
    sleep 0.5
done
tail /var/log/dockerd.log
exit 1
"""
ROOT_CERTIFICATE = "client-desk-production-edge cat /data/caddy/pki/authorities/local/root.crt"
SSH = """
IdentityFile {home}/.ssh/id_ed25519
UserKnownHostsFile {home}/.ssh/known_hosts
StrictHostKeyChecking yes
BatchMode yes
"""


class Reader:
    """Whoever follows the page: a home folder with an ssh key, a bare machine, and what is typed."""

    def __init__(self, project: Project, home: Path, machine: str) -> None:
        self.project, self.home, self.machine = project, home, machine
        self.address = run("docker", "inspect", "--format", "{{.NetworkSettings.IPAddress}}", machine).strip()
        self.names = {
            "203.0.113.7": self.address,
            "app.example.com": "localhost",
            "uvx pyinfra@3.10.0": "uvx pyinfra@3.10.0 -y",
            "<feature>": "answer",
            "<input>": json.dumps({"question": "What is an error budget?"}),
        }
        self.said: dict[str, str] = {}
        self.equip()

    def equip(self) -> None:
        """Make the home folder: OpenSSH looks for it in the list of users, so `ssh` is told where it is."""
        key, ssh = self.home / ".ssh/id_ed25519", self.home / "bin/ssh"
        key.parent.mkdir(parents=True, mode=0o700)
        ssh.parent.mkdir()
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        key.with_name("config").write_text(SSH.format(home=self.home))
        ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {self.home}/.ssh/config "$@"\n')
        ssh.chmod(0o755)
        (self.home / ".curlrc").write_text(
            f'silent\nfail-with-body\nconnect-to = "localhost:443:{self.address}:443"\n'
            f'cacert = "{self.home}/root.crt"\n'
        )
        self.inside(BARE, given=key.with_suffix(".pub").read_text())

    def inside(self, script: str, given: str = "") -> str:
        """Run a script as root on the machine."""
        return run("docker", "exec", "--interactive", self.machine, "sh", "-ec", script, given=given)

    def environment(self) -> dict[str, str]:
        """What the shell of the reader knows: its home, and the caches and the base image of the tests."""
        theirs = self.project.environment()
        return theirs | {
            "HOME": str(self.home),
            "PATH": f"{self.home}/bin:{theirs['PATH']}",
            "PYTHON_IMAGE": engine.BASE,
            "UV_CACHE_DIR": run("uv", "cache", "dir").strip(),
            "UV_PYTHON_INSTALL_DIR": run("uv", "python", "dir").strip(),
        }

    def named(self, text: str) -> str:
        """Put the reader's own names in the place of the page's."""
        for theirs, own in self.names.items():
            text = text.replace(theirs, own)
        return text

    def types(self, line: str, code: int = 0) -> str:
        """Run a line of the page; another exit code than expected fails the test with what it said."""
        began = time.monotonic()
        done = subprocess.run(
            ["sh", "-c", self.named(line)], cwd=self.project.root, env=self.environment(), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900,
            check=False,
        )  # fmt: skip
        print(f"$ {line}  # {time.monotonic() - began:.0f} s\n{done.stdout}")
        assert done.returncode == code, f"{line}: exit {done.returncode}"
        self.said[line] = done.stdout
        self.afterwards(line)
        return done.stdout

    def afterwards(self, line: str) -> None:
        """Do what a real machine does by itself, and remember what the reader would."""
        if "infra/bootstrap.py" in line:
            self.inside(AS_SYSTEMD_WOULD)
            self.types(f"docker save {engine.BASE} | ssh deploy@203.0.113.7 docker load")
        elif line.startswith("./deploy"):
            found = self.inside(f"docker exec {ROOT_CERTIFICATE}")
            (self.home / "root.crt").write_text(found)
        elif "tenant key" in line:
            self.names["<key>"] = re.findall(r"\bsw_\S+", self.said[line])[0]

    def configures(self, block: str) -> None:
        """Write the reader's names into config/deploy.toml, whose lines the page repeats."""
        place = self.project.root / "config/deploy.toml"
        place.write_text(self.named(place.read_text("utf-8")), "utf-8")
        missing = [line for line in self.named(block).splitlines() if line not in place.read_text("utf-8")]
        assert missing == []


@pytest.fixture
def reader(project: Callable[..., Project], tmp_path: Path) -> Iterator[Reader]:
    """Return somebody with a new project and a bare machine of their own."""
    engine.start()
    services.program("curl", "curl")
    name = f"slipway-test-first-{uuid.uuid4().hex[:8]}"
    try:
        run(
            "docker", "run", "--detach", "--init", "--name", name, *RIGHTS, "--volume", "/var/lib/docker",
            engine.DEBIAN, "sleep", "3600",
        )  # fmt: skip
        yield Reader(project(), tmp_path / "home", name)
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False)


@slow
def test_the_page_of_the_first_deploy_leads_to_an_answer_through_https(reader: Reader) -> None:
    page = (reader.project.root / "docs/first-deploy.md").read_text(encoding="utf-8")
    for kind, block in BLOCKS.findall(page):
        if kind == "toml":
            reader.configures(block)
            said = reader.types("uv run ops doctor production", code=2)
            assert "✗ secrets of production are complete\n  APP_PEPPER: uv run ops secrets set" in said
            continue
        for line in block.splitlines():
            reader.types(line)
    assert "✗" not in reader.said["uv run ops doctor production"]
    assert "is stable, idle" in reader.said["uv run ops status production"]
    answers = [json.loads(said) for line, said in reader.said.items() if line.startswith("curl ")]
    assert answers[0]["status"] == "ready"
    assert "error budget" in answers[1]["output"]["answer"].lower()
