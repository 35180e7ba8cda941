"""Two machines that share PostgreSQL and Redis serve one stage, and a deploy walks both or neither."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import machines, services
from tests import stage as stages
from tests.conftest import slow
from tests.engine import until
from tests.machines import HERE, Machine
from tests.rendered import Project
from tests.stage import AT_ONCE, WEB, Stage
from tests.traffic import load

# Not ready where the machine's volume holds a mark.
READY = "    async def readyz(request: Request) -> Response:\n"
MARKED = """        if __import__("pathlib").Path("var/marked").exists():
            return JSONResponse({}, 503)
"""


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL that both machines reach; gives its URL."""
    user = "nobody" if os.geteuid() == 0 else None
    folder, port = Path(tempfile.mkdtemp(prefix="slipway-pg-")), services.free_port()
    if user:
        shutil.chown(folder, user)
    data = str(folder / "data")
    initdb = [services.program("initdb"), "-D", data, "-U", "app", "--auth=trust", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, user=user, cwd=folder)
    with (folder / "data/pg_hba.conf").open("a") as rules:
        rules.write("host all all samenet trust\nhost all all 172.16.0.0/12 trust\n")
    command = [services.program("postgres"), "-D", data, "-h", f"127.0.0.1,{HERE}", "-p", str(port)]
    url = f"postgresql+psycopg://app@{HERE}:{port}/postgres"
    with services.running(url, [*command, "-k", str(folder)], port, folder, user):
        yield url


@contextmanager
def redis() -> Iterator[str]:
    """A Redis that both machines reach; gives its URL."""
    folder, port = Path(tempfile.mkdtemp(prefix="slipway-redis-")), services.free_port()
    command = [services.program("redis-server", "redis-server"), "--port", str(port), "--dir", str(folder)]
    command += ["--bind", "127.0.0.1", HERE, "--protected-mode", "no", "--save", ""]
    with services.running(f"redis://{HERE}:{port}/0", command, port, folder):
        yield f"redis://{HERE}:{port}/0"


@dataclass
class Pair:
    """A stage on this machine and on a second one."""

    stage: Stage
    second: Machine

    def deploy(self, code: int = 0) -> str:
        """Deploy to both."""
        return self.stage.deploy(code, PATH=self.second.path)

    def stable(self) -> list[str]:
        """What serves on each machine."""
        said = self.stage.ops("status", self.stage.name, "--json", PATH=self.second.path)
        return [json.loads(line)["stable"] for line in said.splitlines()]


@pytest.fixture
def pair(desk: Stage, render: Callable[..., Project], tmp_path: Path, worker_id: str) -> Iterator[Pair]:
    """Return a stage of two machines, not deployed yet; the second has the tools already."""
    with (
        machines.network(),  # the databases listen on our end of it
        postgres() as database,
        redis() as memory,
        machines.another(tmp_path) as machine,
    ):
        machine.bring(desk.tools())
        both = {"hosts": ["local", machine.target], "build": "here", "extras": "postgres redis"}
        (tmp_path / "own").mkdir()
        stage = stages.prepared(
            render(project_name="Ship Desk"), tmp_path / "own", f"two-{worker_id}", **both
        )
        for name, url in (("DATABASE", database), ("CACHE", memory), ("LIMITS", memory)):
            stage.ops("secrets", "set", stage.name, f"APP_{name}_URL", given=url)
        stage.commit("one")
        stage.write(AT_ONCE)
        try:
            yield Pair(stage, machine)
        finally:
            stages.remove(stage)
            stages.remove_images(stage)


@slow
def test_two_machines_serve_one_stage_and_go_back_together(pair: Pair) -> None:
    stage = pair.stage
    pair.deploy()
    first = stage.version
    stage.key = stages.tenant(stage)
    with load(stage) as asked:
        second = stage.commit("two")
        pair.deploy()
        assert pair.stable() == [second, second]
        asked.places.clear()
        until(lambda: len(asked.places) == 2, 20)

        marked = f"{stage.prefix}-data:/app/var"
        image = f"{stage.prefix}:{second}"
        pair.second.docker("run", "--rm", "-v", marked, "--entrypoint", "touch", image, "/app/var/marked")
        stage.write(AT_ONCE, ready_s=25)
        bad = stage.commit("bad on the second", (WEB, READY, READY + MARKED))
        said = pair.deploy(code=1)
        assert f"{bad} was taken back, {second} serves: {bad} was not ready within 25 s" in said
        assert pair.stable() == [second, second]
    assert asked.failed == []
    assert asked.versions <= {"one", "two", "bad on the second"}
    assert first not in pair.stable()
