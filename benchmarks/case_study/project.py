"""The generated project with the playbook off or on: one feature, its prompts, its models, its gate."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import servers
from benchmarks.case_study.world import World
from tests import frontends
from tests.services import free_port

FEATURE = "desk"
PRICE = (0.25, 2.0)  # dollars per million tokens read and written
TOML = """\
summary = "Say what a text says."
use_case = "public-text"
prompt = "v1"
max_tokens = 1000
max_input_tokens = 30000
cache_ttl_s = {cache_s}

[slo]
p95_ms = 900
error_rate = 0.01
budget_usd = 0.002

[rollout]
unit = "request"
min_minutes = {step_minutes}
shadow = {{ requests = 50, daily_tokens = 2000000 }}
"""
MODEL = """\
[models.{name}]
provider = "openai-compatible"
name = "{name}"
base_url = "http://127.0.0.1:{port}/{name}/v1"
region = "local"
retention_days = 0
context = 40000
max_running = 256
timeout_s = {timeout_s}
price = {{ input_usd = {price[0]}, output_usd = {price[1]} }}

"""
SYSTEM = "Release {name}. Reply with one JSON object: `result`: what the text says{short}."
TEXT = "\n---\n<text>\n$text\n</text>\n"
OUTPUT = '''\
class Output(BaseModel):
    """What the caller gets."""

    result: str
'''
STEP_MINUTES, TIMEOUT_S, PATIENT_S, REST_S = 5, 20, 60, 30


@dataclass(frozen=True)
class Arm:
    """What of the playbook is on."""

    name: str
    cache: bool = True
    short: bool = True
    spare: bool = True
    rollouts: bool = True


ON = Arm("on")
OFF = Arm("off", cache=False, short=False, spare=False, rollouts=False)


def render(work: Path, port: int) -> Path:
    """A project with the feature, before anything is switched on or off."""
    project = servers.render(work, port)
    shutil.rmtree(project / "features/bench")
    servers.run(project, ".venv/bin/app", "feature", "new", FEATURE)
    schema = project / "features" / FEATURE / "schema.py"
    schema.write_text(servers.SCHEMA.partition("class Output")[0] + OUTPUT)
    return project


def switch(project: Path, arm: Arm, world: World, port: int, names: list[str]) -> None:
    """Write an arm's configuration, forget the last run, and have the gate judge each prompt of a rollout.

    The project's own times are divided by the speed, but for the second between two looks of the controller.
    """
    folder = project / "features" / FEATURE
    shutil.rmtree(project / "var", ignore_errors=True)
    shutil.rmtree(folder / "candidates", ignore_errors=True)
    (folder / "feature.toml").write_text(
        TOML.format(cache_s=3600 if arm.cache else 0, step_minutes=STEP_MINUTES / world.speed)
    )
    short = f" in at most {world.short} words" if arm.short and world.short else ""
    for old in (folder / "prompts").glob("*.md"):
        old.unlink()
    (folder / "prompts/v1.md").write_text(SYSTEM.format(name="v1", short=short) + TEXT)
    for name in names:
        (folder / f"prompts/{name}.md").write_text(SYSTEM.format(name=name, short=short) + TEXT)
    timeout_s = (TIMEOUT_S if arm.spare else PATIENT_S) / world.speed
    models = ["main", "spare"] if arm.spare else ["main"]
    told = [MODEL.format(name=name, port=port, timeout_s=timeout_s, price=PRICE) for name in models]
    (project / "config/models.toml").write_text("".join(told))
    breaker = project / "app/breaker.py"
    lines = breaker.read_text().splitlines()
    rest = next(number for number, line in enumerate(lines) if line.startswith("REST_S"))
    lines[rest] = f"REST_S = {REST_S / world.speed}"
    breaker.write_text("\n".join(lines) + "\n")
    servers.run(project, ".venv/bin/app", "setup")
    if arm.rollouts:
        gated(project, names)


def gated(project: Path, names: list[str]) -> None:
    """What the gate says of every prompt before it may begin."""
    servers.run(project, ".venv/bin/gate", "record", FEATURE)
    servers.run(project, ".venv/bin/gate", "accept", FEATURE, "--reason", "first run")
    for name in names:
        words = ["candidate", FEATURE, "--prompt", name, "--live", "--reason", "a handful of cases"]
        servers.run(project, ".venv/bin/gate", *words)


@contextmanager
def running(project: Path, arm: Arm) -> Iterator[int]:
    """The app's web process, and its worker where rollouts need one; gives the port."""
    port, app = free_port(), str(project / ".venv/bin/app")
    settings = servers.app_environment() | {"APP_AUTH": "open"}
    ready = f"http://127.0.0.1:{port}/readyz"
    serve = [app, "serve", "--port", str(port)]
    with servers.started(serve, ready, servers.SERVER_CPU, project, project.parent, settings):
        if not arm.rollouts:
            yield port
            return
        log = project.parent / "worker.log"
        environment = frontends.environment() | settings
        with log.open("w") as out:
            worker = subprocess.Popen([app, "worker"], cwd=project, env=environment, stdout=out, stderr=out)
        try:
            yield port
        finally:
            worker.terminate()
            worker.wait(30)
