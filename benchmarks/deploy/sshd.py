"""A real sshd on loopback with keys of its own, and an `ssh` on PATH that knows it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services import free_port, wait

PLACES = f"{os.environ['PATH']}:/usr/sbin"


@contextmanager
def running(folder: Path) -> Iterator[tuple[str, str]]:
    """Run sshd until the block ends; gives the target of a deploy, and the PATH with the client."""
    daemon, client = shutil.which("sshd", path=PLACES), shutil.which("ssh")
    if not daemon or not client or os.geteuid():
        sys.exit("ssh, sshd and root are needed (Debian: apt-get install openssh-server)")
    folder.mkdir(mode=0o700)
    Path("/run/sshd").mkdir(exist_ok=True)
    port = free_port()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    public = (folder / "host.pub").read_text(encoding="utf-8")
    (folder / "known").write_text(f"[127.0.0.1]:{port} {public}", encoding="utf-8")
    config = [
        f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {folder}/host", "UsePAM no", "StrictModes no",
        f"AuthorizedKeysFile {folder}/user.pub", f"PidFile {folder}/pid", "PermitRootLogin yes",
    ]  # fmt: skip
    (folder / "sshd_config").write_text("\n".join(config), encoding="utf-8")
    (folder / "bin").mkdir()
    options = f"-i {folder}/user -o UserKnownHostsFile={folder}/known -o IdentitiesOnly=yes"
    (folder / "bin/ssh").write_text(f'#!/bin/sh\nexec {client} {options} "$@"\n', encoding="utf-8")
    (folder / "bin/ssh").chmod(0o755)
    with subprocess.Popen([daemon, "-D", "-f", str(folder / "sshd_config")]) as process:
        try:
            wait(port)
            yield f"ssh://root@127.0.0.1:{port}", f"{folder}/bin:{os.environ['PATH']}"
        finally:
            process.terminate()
