"""How a stage begins and ends: a taken port, other proxies, and its end with or without its data."""

import socket
from collections.abc import Iterator

import pytest

from tests import services
from tests import stage as stages
from tests.engine import docker
from tests.stage import AT_ONCE, SECRETS, Stage
from tests.traffic import load


@pytest.fixture
def fresh(desk: Stage) -> Iterator[Stage]:
    """Return a second stage of the same project, with its secrets; nothing of it was deployed."""
    stage = Stage(desk.project, f"{desk.name}-fresh", services.free_port())
    stage.write(AT_ONCE)
    for secret in SECRETS:
        stage.ops("secrets", "set", stage.name, secret, "--generate")
    stage.commit("fresh")
    try:
        yield stage
    finally:
        stages.remove(stage)


def test_a_taken_port_is_told_and_another_one_works(fresh: Stage) -> None:
    with socket.create_server(("127.0.0.1", fresh.port)):
        said = fresh.deploy(code=2)
    assert "local: a port is taken (" in said
    assert f"{fresh.port}" in said
    assert "change it in config/deploy.toml" in said
    assert fresh.running("web") + fresh.running("edge") == []

    fresh.port = services.free_port()
    fresh.write(AT_ONCE)
    fresh.deploy()
    assert fresh.served() == "fresh"


def test_a_destroyed_stage_leaves_its_data_until_told_otherwise(fresh: Stage, desk: Stage) -> None:
    assert f"nothing runs there yet: uv run ops deploy {fresh.name}" in fresh.ops(
        "status", fresh.name, code=2
    )
    fresh.deploy()
    fresh.key = stages.tenant(fresh)
    assert "not confirmed" in fresh.ops("destroy", fresh.name, "--confirm", desk.name, code=2)
    assert fresh.ask()[0] == 200

    fresh.write(AT_ONCE)
    used = mounted(fresh)
    docker("volume", "create", f"{fresh.prefix}-too-data")  # of a stage whose name begins alike
    fresh.ops("destroy", fresh.name, "--confirm", fresh.name)
    kept = [f"{fresh.prefix}-{what}" for what in ("backups", "data", "too-data")]
    assert left(fresh, *used) == ([], kept, [])
    fresh.deploy()
    assert fresh.ask()[0] == 200  # the tenant's key is still known
    fresh.ops("destroy", fresh.name, "--confirm", fresh.name, "--data")
    assert left(fresh, *used) == ([], [kept[2]], [])
    assert desk.ask()[0] == 200


def left(stage: Stage, *used: str) -> tuple[list[str], list[str], list[str]]:
    """The containers, volumes (these too, where they are there) and networks of a stage."""
    volumes = docker("volume", "ls", "--format", "{{.Name}}").split()
    mine = [name for name in volumes if name.startswith(f"{stage.prefix}-") or name in used]
    return stage.names(), sorted(mine), stage.names("network")


def mounted(stage: Stage) -> list[str]:
    """The volumes that the stage's containers use, those without a name too."""
    form = '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}'
    return docker("inspect", "--format", form, *stage.names()).split()


def test_new_proxies_serve_on_another_port(desk: Stage) -> None:
    before, usual = desk.status()["stable"], desk.port
    try:
        desk.port = services.free_port()
        desk.write()
        desk.ops("proxy-upgrade", desk.name)
        assert desk.ask()[0] == 200
    finally:
        desk.port = usual
        desk.write()
        with load(desk) as asked:
            desk.ops("proxy-upgrade", desk.name)
    assert desk.ask()[0] == 200
    assert (desk.status()["stable"], desk.status()["broken"]) == (before, 0)
    assert 200 in asked.statuses
