"""What providers, Redis and disks do wrong: the app answers all the same, in time, with one usage row."""

import time
from collections.abc import Iterator

import pytest

from tests import faulty
from tests.faulty import Render, Site

FAULTS = (
    "err429", "err500", "hang", "slow-first", "cut", "badjson", "wrongschema", "trickle", "garbled",
    "late-error",
)  # fmt: skip
TIMEOUT_S = 1.0
# What the app adds to a tier's timeout, on a busy machine.
SLACK_S = 2.0
SSE = "text/event-stream"


def name(fault: str) -> str:
    """The feature whose first model has this fault."""
    return fault.replace("-", "_")


@pytest.fixture(scope="module")
def site(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve a feature for each fault: its first model has it, its second has none."""
    with faulty.stub() as stub:
        site = faulty.build(render, tmp_path_factory.mktemp("faults"), stub)
        site.models(TIMEOUT_S, **{name(fault): fault for fault in FAULTS}, spare="ok")
        site.features({name(fault): [name(fault), "spare"] for fault in FAULTS} | {"alone": ["hang"]})
        site.run("setup")
        with site.serving():
            yield site


def row(site: Site, id: str) -> tuple[str, ...]:
    """The one usage row of a request: model, outcome, models that failed."""
    faulty.until(lambda: id in site.ids())
    (found,) = site.query(f"select model, outcome, failed_models from usage where id = '{id}'")  # noqa: S608
    return found


@pytest.mark.parametrize("fault", FAULTS)
def test_the_next_model_answers_in_time(site: Site, fault: str) -> None:
    started = time.monotonic()
    said = site.ask(name(fault))
    assert time.monotonic() - started < TIMEOUT_S + SLACK_S
    assert said.status == 200, said.text
    assert row(site, said.json["meta"]["id"]) == ("spare", "ok", "1")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_stream_begins_again_with_the_next_model(site: Site, fault: str) -> None:
    started = time.monotonic()
    told = site.ask(name(fault), accept=SSE).events
    assert time.monotonic() - started < TIMEOUT_S + SLACK_S
    kinds = [kind for kind, _ in told]
    shown = "".join(data["text"] for kind, data in told[kinds.index("restart") :] if kind == "delta")
    assert (kinds[0], kinds[-1]) == ("meta", "result")
    assert "two days" in shown
    assert row(site, told[0][1]["id"]) == ("spare", "ok", "1")


def test_a_hang_with_no_other_model_is_503_within_its_timeout(site: Site) -> None:
    started = time.monotonic()
    said = site.ask("alone")
    assert time.monotonic() - started < TIMEOUT_S + SLACK_S
    assert (said.status, said.json["code"]) == (503, "no_model")
    assert int(said.headers["retry-after"]) > 0
    assert said.headers["content-type"] == "application/problem+json"
