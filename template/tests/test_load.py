"""The programs of load/: what they ask, how they count, and that whatever they start is ended."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app import features
from gate.errors import LoadFailed
from load import drive, local, routes, work
from load.tally import Tally, quantile
from load.work import Route, Work
from tests import kit

ROUTE = Route(
    feature="ask",
    inputs=[{"question": "When?"}],
    text="question",
    slow_ms=100,
    error_rate=0.01,
    searches=True,
)
PAID = """\
[models.paid]
provider = "openai-compatible"
name = "paid"
base_url = "https://provider.invalid/v1"
region = "local"
retention_days = 0
price = { input_usd = 1, output_usd = 1 }

[models.far]
provider = "openai-compatible"
kind = "embedding"
name = "far"
base_url = "https://provider.invalid/v1"
region = "local"
retention_days = 0
"""


def test_no_question_is_the_same_as_another_unless_repeats_are_wanted():
    fresh = {work.given(ROUTE, 0)["question"] for _ in range(200)}
    assert len(fresh) == 200
    assert all(text.startswith("When? (") for text in fresh)
    assert {work.given(ROUTE, 1)["question"] for _ in range(200)} == {"When?"}


def test_a_route_asks_what_is_searched_for_and_leaves_out_what_must_be_refused(project):
    kit.edit("features/ask/golden.yaml", "cases:", "cases:\n" + REFUSED)
    found = routes.route(features.load(Path("features/ask")))
    assert (found.text, found.slow_ms, found.searches) == ("question", 900, True)
    assert {"question": "Must be refused."} not in found.inputs


REFUSED = """\
  - name: must-be-refused
    inputs: {question: Must be refused.}
    metadata: {family: f, language: en, origin: test}
    expected_output: {error: blocked}
"""


def test_a_refusal_is_no_error_and_tells_nothing_of_speed():
    tally = Tally(ROUTE, "whole")
    for status, ms in ((200, 50), (200, 150), (503, 200), (0, 300), (422, 1), (429, 1)):
        tally.note(status, "code" if status >= 400 else "", ms)
    found = tally.seen()
    assert (found.requests, found.errors, found.slow, found.refused) == (4, 2, 3, 2)
    assert found.said == {"503 code": 1, "no connection": 1, "422 code": 1, "429 code": 1}


def test_a_quantile_is_the_nearest_rank():
    times = [float(number) for number in range(1, 101)]
    assert [quantile(times, share) for share in (0.5, 0.95, 0.99)] == [50, 95, 99]
    assert quantile([7.0], 0.95) == 7
    assert quantile([], 0.95) == 0


def test_load_costs_nothing_no_model_beyond_this_machine_is_left(project):
    kit.write("config/models.toml", PAID)
    kit.edit("features/ask/feature.toml", 'query = "question"', 'query = "question"\nembeddings = "far"')
    kit.edit("config/policy.toml", '"keyless", ', "")
    plan = local.plan()
    assert {name: model.provider for name, model in plan.registry.models.items()} == {"paid": "keyless"}
    assert plan.features["ask"].spec.retrieval.embeddings == ""
    assert plan.settings.var_dir == Path("var/load")
    assert plan.settings.database_url == "sqlite+aiosqlite:///var/load/app.db"


async def test_the_stand_in_answers_where_policy_allows_other_models_only(project):
    from app import pipeline, services
    from app.ask import Ask

    kit.models(paid="http://127.0.0.1:1")
    kit.edit("config/policy.toml", '"keyless", ', "")
    plan = local.plan()
    await services.setup(plan)
    async with services.start(plan) as held:
        feature = plan.features["note"]
        done = await pipeline.answer(held, Ask(feature, feature.Input.model_validate(kit.TEXT)))
    assert done.row.outcome == "ok"


def test_a_program_finds_its_files_from_any_folder(project):
    with drive.process(Path("said.log"), "env", folder=Path("var/load")) as running:
        running.wait()
    said = Path("said.log").read_text(encoding="utf-8")
    assert f"LOAD_WORK={Path.cwd() / 'var/load/work.json'}" in said


def test_a_port_in_use_is_said_before_anything_starts(project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LoadFailed, match=f"port {port} is in use"), drive.app(Path("var/load"), port):
            pass
    assert not Path("var/load/app.log").exists()


@pytest.mark.slow
def test_an_app_that_cannot_start_says_its_own_reason(project):
    kit.edit("features/note/feature.toml", "max_tokens", "max_token")
    said = r"(?s)before it was ready.*did you mean 'max_tokens'"
    with pytest.raises(LoadFailed, match=said), drive.app(Path("var/load")):
        pass


@pytest.mark.slow
def test_an_app_that_dies_ends_the_run_and_leaves_nothing_behind(project):
    told = Work(seconds=60, users=1, routes=[ROUTE])
    started = time.monotonic()
    with drive.app(Path("var/load")) as (_, running):
        running.kill()
        with pytest.raises(LoadFailed, match="the app ended with code -9 while it was asked"):
            drive.ask(told, "search", Path("var/load"), running)
    assert time.monotonic() - started < 50
    assert left(project) == []


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_end_from_outside_ends_the_app_too(project, sent):
    program = "from pathlib import Path\nimport time\nfrom load import drive\n"
    program += "with drive.app(Path('var/load')):\n    print('up', flush=True)\n    time.sleep(60)\n"
    env = {**os.environ, "PYTHONPATH": str(kit.ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as gate:
        assert gate.stdout.readline() == b"up\n"
        assert len(left(project)) == 1
        gate.send_signal(sent)
        gate.wait(30)
    deadline = time.monotonic() + 15
    while left(project) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left(project) == []


def left(project: Path) -> list[int]:
    """The processes of load/ that run in this project's folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            inside = (entry / "cwd").readlink() == project
            if inside and b"load.serve" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:  # it has ended meanwhile, or is not ours to read
            continue
    return found
