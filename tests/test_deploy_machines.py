"""Machines other than this one: through ssh, with a full disk, and two of them at once."""

import json
import signal
from pathlib import Path

from tests import machines
from tests import stage as stages
from tests.engine import until
from tests.stage import AT_ONCE, Stage
from tests.traffic import load

HOLD = {"steps": [50], "min_requests": 1_000_000, "on_quiet": "hold"}


def test_ssh_deploys_and_a_killed_deploy_leaves_no_lock(desk: Stage, tmp_path: Path) -> None:
    with machines.sshd(tmp_path) as machine, load(desk) as asked:
        desk.write(HOLD, hosts=[machine.target])
        new = desk.commit("by ssh")
        running = desk.start("deploy", desk.name, "--json", PATH=machine.path)
        stages.until_told(running, "wait: ")
        found = json.loads(desk.ops("status", desk.name, "--json", PATH=machine.path))
        assert (found["host"], found["phase"], found["coming"]) == (machine.target, "canary", new)
        assert desk.names("container", "label=deploy.role=lock")
        stages.kill(running, signal.SIGKILL)
        until(lambda: not desk.names("container", "label=deploy.role=lock"), 3)
        desk.write(AT_ONCE, hosts=[machine.target])
        desk.deploy(PATH=machine.path)
        assert (desk.served(), desk.state()["stable"]) == ("by ssh", new)
        wrong = machine.target.replace("ssh://", "ssh://no-such-user-")
        desk.write(hosts=[wrong])
        assert f"until this works: ssh {wrong}" in desk.deploy(code=2, PATH=machine.path)
    assert asked.failed == []


def test_a_full_disk_is_told_before_anything_is_done(desk: Stage, tmp_path: Path) -> None:
    with machines.network(), machines.another(tmp_path, disk_mb=900) as machine:
        machine.bring(desk.tools())
        images = machine.docker("images", "--quiet")
        desk.write(hosts=[machine.target])
        said = desk.deploy(code=2, PATH=machine.path)
        assert f"{machine.target}: 0." in said
        assert " GB are free: no; 3 GB are needed: docker system df" in said
        left = [machine.docker(*words) for words in (("ps", "-aq"), ("volume", "ls", "-q"), ("images", "-q"))]
    assert left == ["", "", images]
