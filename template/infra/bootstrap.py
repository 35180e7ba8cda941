"""Make a Debian or Ubuntu machine that exists ready for deploys; docs/infrastructure.md says how to run it.

The keys that open it now will open `deploy` (Docker) and `admin` (sudo); passwords and root no longer do.
"""

from io import StringIO
from pathlib import Path

from pyinfra import host
from pyinfra.facts.deb import DebPackages
from pyinfra.facts.files import Directory
from pyinfra.facts.server import Command, Which
from pyinfra.operations import apt, files, server

MACHINE = Path(__file__).parent / "machine"
OWN_KEYS = 'cat "$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)/.ssh/authorized_keys" || true'

lines = (host.get_fact(Command, OWN_KEYS) or "").splitlines()
keys = [line for line in lines if line.startswith(("ssh-", "ecdsa-", "sk-"))]
if not keys:
    raise SystemExit(f"{host.name} knows no key of yours, and would be closed for good: ssh-copy-id first")

wanted = ["sudo", "unattended-upgrades"] + ([] if host.get_fact(Which, command="docker") else ["docker.io"])
missing = [name for name in wanted if name not in host.get_fact(DebPackages)]


def put(name: str, target: str) -> bool:
    """Copy one of the files that cloud-init writes too; the operation says later whether it changed."""
    return files.put(name=f"Write {target}", src=str(MACHINE / name), dest=target, mode="644")


docker = put("docker.json", "/etc/docker/daemon.json")  # before Docker, which then starts with it
if missing:
    apt.packages(name=f"Install {', '.join(missing)}", packages=missing, update=True)
put("upgrades.conf", "/etc/apt/apt.conf.d/20auto-upgrades")
for name, group in {"deploy": "docker", "admin": "sudo"}.items():
    server.user(name, name=f"Let your keys open {name}", groups=[group], shell="/bin/bash", public_keys=keys)  # noqa: S604
files.put(
    name="Let admin use sudo",
    src=StringIO("admin ALL=(ALL) NOPASSWD:ALL\n"),
    dest="/etc/sudoers.d/admin",
    mode="440",
)
# sshd takes the first value it reads, and images bring a 50-cloud-init.conf of their own.
ssh = put("sshd.conf", "/etc/ssh/sshd_config.d/10-deploy.conf")
server.shell(name="Check the ssh settings", commands=["sshd -t"], _if=ssh.did_change)
if host.get_fact(Directory, path="/run/systemd/system"):
    server.service(name="Restart Docker", service="docker", restarted=True, _if=docker.did_change)
    server.service(name="Reload ssh", service="ssh", reloaded=True, _if=ssh.did_change)
