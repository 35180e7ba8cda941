"""One deploy at a time; a killed one leaves no lock, and no canary that nobody watches."""

import json
import signal
import time

from tests import stage as stages
from tests.engine import until
from tests.stage import AT_ONCE, Stage
from tests.traffic import load

HOLD = {"steps": [50], "min_requests": 1_000_000, "max_wait_s": 600, "on_quiet": "hold"}


def test_a_second_deploy_at_once_is_told_who_deploys(desk: Stage) -> None:
    desk.write(HOLD)
    new, before = desk.commit("held"), desk.status()["stable"]
    running = desk.start("deploy", desk.name, "--json")
    stages.until_told(running, "wait: ")
    serving = desk.picture()
    said = desk.deploy(code=3)
    assert f"{desk.prefix} is locked by " in said
    assert f": deploy {new}; wait, or break it with: " in said
    said = desk.ops("rollback", desk.name, code=3)
    assert " is locked by " in said
    assert desk.picture() == serving

    assert "unlocked: local" in desk.ops("unlock", desk.name)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 4
    assert "-lock is gone: somebody broke the lock; run this again" in said
    found = desk.state()
    assert (found["phase"], found["stable"], found["coming"]) == ("canary", before, new)
    assert "it was not locked" in desk.ops("unlock", desk.name)
    assert "an earlier run ended while it was canary" in recovered(desk, new)


def recovered(desk: Stage, new: str) -> str:
    """Deploy again after a run that died; the new version serves. Return the audit's last lines."""
    desk.write(AT_ONCE)
    desk.deploy()
    found = desk.status()
    assert (found["stable"], found["phase"], found["broken"]) == (new, "idle", 0)
    assert desk.running("web") == [f"{desk.prefix}-web-{new}"]
    return json.dumps(found["audit"])


def test_a_killed_deploy_leaves_neither_lock_nor_canary(desk: Stage) -> None:
    desk.write(HOLD)
    old, new = desk.served(), desk.commit("killed")
    running = desk.start("deploy", desk.name, "--json")
    stages.until_told(running, "wait: ")
    with load(desk) as asked:
        until(lambda: asked.versions == {old, "killed"}, 30)
        stages.kill(running, signal.SIGKILL)
        killed = time.monotonic()
        until(lambda: not desk.names("container", "label=deploy.role=lock"), 2)
        until(lambda: desk.status()["slots"][slot(desk, new)]["state"].startswith("DOWN"), 15)
        left = time.monotonic() - killed
        asked.versions.clear()
        until(lambda: len(asked.versions) > 0, 10)
        time.sleep(2)
        assert asked.versions == {old}
        assert "an earlier run ended while it was canary" in recovered(desk, new)
    assert asked.failed == []
    assert left > 3  # it is the lease of 5 s that took it out


def slot(desk: Stage, version: str) -> str:
    """Where a version runs."""
    return next(str(name) for name, held in desk.state()["slots"].items() if held == version)
