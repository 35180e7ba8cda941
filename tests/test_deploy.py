"""One command brings a commit into service, and nobody who asks meanwhile notices."""

import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tests import stage as stages
from tests.engine import docker
from tests.stage import AT_ONCE, Stage
from tests.traffic import load

SLOT = {"x_slot": "green"}


def test_the_first_deploy_on_an_empty_stage_serves(desk: Stage) -> None:
    status, body = desk.ask()
    assert (status, body["output"]["answered"]) == (200, True)
    found = desk.status()
    assert (found["stable"], found["phase"], found["broken"]) == (desk.version, "idle", 0)
    assert [slot["state"] for slot in found["slots"].values() if slot["version"]] == ["UP"]
    assert len(desk.running("worker")) == 1


def test_what_serves_already_is_left_alone(desk: Stage) -> None:
    before = desk.picture()
    done = json.loads(desk.deploy().splitlines()[-1])
    assert (done["state"], done["version"]) == ("done", desk.version)
    assert desk.picture() == before


def test_canary_rollback_and_retention_lose_no_request(desk: Stage) -> None:
    before = desk.version
    with load(desk) as asked:
        second = desk.commit("second")
        told = [json.loads(line) for line in desk.deploy().splitlines()]
        assert (desk.served(), desk.status()["stable"]) == ("second", second)
        desk.ops("rollback", desk.name)
        found = desk.status()
        assert (found["stable"], found["past"]) == (before, [second])
        assert desk.served() != "second"
        desk.write(AT_ONCE)
        third = desk.commit("third")
        desk.deploy()
        assert desk.served() == "third"
    assert len(asked.statuses) > 200
    assert asked.failed == []
    ended = [line["step"] for line in told if line["state"] == "done" and "step" in line]
    assert ended[-6:] == ["golden cases", "canary 25 %", "canary 50 %", "promote", "drain", "prune"]
    only_two_versions_are_kept(desk, third, before, gone=second)
    said = " | ".join(line["said"] for line in desk.status()["audit"])
    assert f"{second} is stable | roll back to {before}; {second} serves | {before} is stable" in said
    assert desk.status()["broken"] == 0
    assert json.loads(desk.ops("logs", desk.name, "-n", "1"))


def only_two_versions_are_kept(desk: Stage, stable: str, past: str, gone: str) -> None:
    """The containers, images and secrets of `keep` = 2 versions are there, and of no other one."""
    found = desk.status()
    assert (found["stable"], found["past"]) == (stable, [past])
    web = sorted(f"{desk.prefix}-web-{version}" for version in (stable, past))
    assert desk.names("container", "label=deploy.role=web") == web
    assert desk.running("web") == [f"{desk.prefix}-web-{stable}"]
    tags = docker("images", "--format", "{{.Tag}}", desk.prefix).split()
    assert ({stable, past}, False) == (set(tags), gone in tags)
    held = {volume for volume in desk.names("volume") if "-secrets-" in volume}
    assert held == set(desk.state()["secrets"].values())


def test_a_changed_line_of_the_audit_is_shown(desk: Stage) -> None:
    edit = ["docker", "exec", f"{desk.prefix}-lb", "sed", "-i"]
    subprocess.run([*edit, "1s/deploy/Deploy/", "/state/audit.jsonl"], check=True)
    try:
        assert desk.status()["broken"] == 2
        assert "line 2 does not follow from the one before it" in desk.ops("status", desk.name)
    finally:
        subprocess.run([*edit, "1s/Deploy/deploy/", "/state/audit.jsonl"], check=True)
    assert desk.status()["broken"] == 0


def test_only_who_has_the_key_chooses_a_slot_and_no_app_sees_it(desk: Stage) -> None:
    state = desk.state()
    empty = next(slot for slot, version in state["slots"].items() if not version)
    for headers in ({"x_slot": empty}, {"x_slot": empty, "x_slot_key": "guessed"}):
        status, seen = desk.get("/echo", **headers)
        assert status == 200
        assert not [name for name in seen if name.startswith("x-slot")]
    # Nothing runs there: no other version answers in its place.
    assert desk.get("/echo", x_slot=empty, x_slot_key=state["slot_key"])[0] == 503
    used = next(slot for slot, version in state["slots"].items() if version)
    status, seen = desk.get("/echo", x_slot=used, x_slot_key=state["slot_key"])
    assert (status, [name for name in seen if name.startswith("x-slot")]) == (200, [])


def test_no_secret_is_in_a_process_an_image_a_log_the_audit_or_the_output(
    desk: Stage, tmp_path: Path
) -> None:
    desk.ops("secrets", "export", desk.name, str(tmp_path / "plain"))
    values = [path.read_text() for path in sorted((tmp_path / "plain").iterdir())]
    assert len(values) == len(stages.SECRETS)
    desk.write(AT_ONCE)
    desk.commit("watched")
    said = {"the output": desk.deploy() + desk.ops("status", desk.name) + desk.ops("doctor", desk.name)}
    said |= dict(whatever_the_engine_shows(desk, tmp_path))
    found = {where for where, text in said.items() for value in values if value in text}
    assert found == set()
    mounted = docker("exec", desk.running("web")[0], "cat", "/run/secrets/app_pepper")
    assert mounted in values  # the search would have found it


def whatever_the_engine_shows(desk: Stage, folder: Path) -> Iterator[tuple[str, str]]:
    """Where -> text: containers and their logs, processes, state and audit, the image and its layers."""
    for name in desk.names():
        yield f"docker inspect {name}", docker("inspect", name)
        done = subprocess.run(["docker", "logs", name], capture_output=True, text=True, check=True)
        yield f"docker logs {name}", done.stdout + done.stderr
    for name in docker("ps", "--filter", f"label=deploy.app={desk.prefix}", "--format", "{{.Names}}").split():
        for pid in [line.split()[1] for line in docker("top", name).splitlines()[1:]]:
            for file in (Path("/proc", pid, "cmdline"), Path("/proc", pid, "environ")):
                yield str(file), file.read_text(errors="replace")
    for kept in ("state.json", "audit.jsonl", "haproxy.cfg", "Caddyfile"):
        yield kept, docker("exec", f"{desk.prefix}-lb", "cat", f"/state/{kept}")
    image = f"{desk.prefix}:{desk.status()['stable']}"
    yield "docker history", docker("history", "--no-trunc", image)
    docker("save", "--output", str(folder / "image.tar"), image)
    with tarfile.open(folder / "image.tar") as layers:
        for member in layers.getmembers():
            if content := layers.extractfile(member):
                yield f"layer {member.name}", content.read().decode(errors="ignore")
