"""Recorded answers: replayed without server and key, stale where what decides them changed, safe in git."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ThinkingPart, ToolCallPart
from pydantic_ai.models import ModelRequestParameters

from gate import cli, replay, run, suites
from gate.errors import NotRecorded
from tests import kit
from tests.runs import GOOD, SHEET, record, replayed

pytestmark = pytest.mark.slow

CASE = """\
  - name: {name}
    inputs: {{text: {text}}}
    metadata: {{family: first, language: en, origin: written by hand}}
    expected_output: {{facts: [invoice]}}
"""
STEPS = """\
def price(item: str) -> str:
    '''Dollars of an item.'''
    return f"{item} costs 7"


TOOLS = [price]
"""


@pytest.fixture(autouse=True)
def _one_attack(project, monkeypatch):
    """Beside the cases of the feature one attack is recorded, not 189; the guard stops it."""
    monkeypatch.setattr(suites, "SHIPPED", Path("attacks"))
    monkeypatch.setattr(suites, "CLASSES", ())
    kit.write("attacks/one.yaml", Path("features/note/adversarial.yaml").read_text())


def gate(*words: str) -> int:
    """Run `gate` in the current folder."""
    return kit.command(cli.main, *words)


def add_case(name: str, text: str) -> None:
    """Give `note` one more golden case."""
    path = Path("features/note/golden.yaml")
    kit.write(path, path.read_text() + CASE.format(name=name, text=text))


def lines() -> list[dict[str, Any]]:
    """The recordings of `note`."""
    return [json.loads(line) for line in SHEET.read_text().splitlines()]


def test_an_answer_is_replayed_with_the_server_gone_and_no_key(project, monkeypatch, capsys):
    monkeypatch.setenv("APP_KEYS__VENDOR", "of this machine")
    with kit.serve(kit.provider(said=GOOD)) as url:
        kit.models(far=url)
        kit.edit("config/models.toml", 'json_mode = "prompt"', 'key = "vendor"')
        assert gate("record", "note") == 0
    monkeypatch.delenv("APP_KEYS__VENDOR")
    assert gate("evals", "note") == 0
    found = replayed()
    assert (found.output, found.tokens, found.model) == ({"result": "The invoice is due."}, 30, "far")
    assert "1 calls, $0.0000" in capsys.readouterr().out


def test_a_case_that_is_not_recorded_is_named_with_the_command_that_mends_it(project, capsys):
    kit.models(far="http://127.0.0.1:1")
    assert gate("evals", "note") == 2
    place = f"{SHEET}: case 'first-case': model 'far'"
    assert f"{place}: not recorded; uv run gate record note" in capsys.readouterr().err


def test_the_command_that_mends_names_the_tier_whose_recordings_lack(project, capsys):
    with kit.serve(kit.provider(said=GOOD)) as url:
        kit.models(far=url, near="")
        kit.edit("config/models.toml", 'name = "far"', 'name = "far"\ntier = "small"')
        assert gate("evals", "note", "--tier", "small") == 2
        said = capsys.readouterr().err
        assert "golden-small.jsonl: case 'first-case': model 'far': not recorded;" in said
        assert said.endswith("; uv run gate record note --tier small\n")
        assert gate(*said.split("uv run gate ")[1].split()) == 0
    assert gate("evals", "note", "--tier", "small") == 0


@pytest.mark.parametrize(
    ("path", "old", "new", "changed"),
    [
        ("features/note/prompts/v1.md", "one sentence", "two sentences", "prompt"),
        ("features/note/prompts/v1.md", "<text>\n$", "<text>\n\n$", "input"),
        ("features/note/golden.yaml", "Friday", "Monday", "input"),
        ("features/note/feature.toml", "max_tokens = 300", "max_tokens = 299", "parameters"),
        ("config/models.toml", 'name = "far"', 'name = "far"\nrevision = "b"', "model"),
    ],
)
def test_a_recording_is_stale_where_what_decides_the_answer_changed(project, capsys, path, old, new, changed):
    record()
    kit.edit(path, old, new)
    assert gate("evals", "note") == 2
    assert f"model 'far': its recording is stale ({changed} changed);" in capsys.readouterr().err


def test_what_cannot_change_the_answer_makes_no_recording_stale(project, monkeypatch):
    record()
    kit.edit("config/models.toml", 'name = "far"', 'name = "far"\ntimeout_s = 7\nmax_running = 3')
    kit.edit("features/note/golden.yaml", "name: first-case", "name: renamed")
    add_case("same-again", "The invoice is due on Friday. Please pay it by bank transfer.")
    monkeypatch.setenv("APP_PEPPER", kit.PEPPER)
    assert gate("evals", "note") == 0


def test_no_fallback_hides_what_is_not_recorded(project, capsys):
    kit.models(far="http://127.0.0.1:1", near="")
    assert gate("evals", "note") == 2
    assert "model 'far': not recorded" in capsys.readouterr().err


def test_only_what_is_missing_is_asked_and_the_same_request_once(project, capsys):
    heard: list[dict[str, Any]] = []
    with kit.serve(kit.provider(said=GOOD, heard=heard)) as url:
        kit.models(far=url)
        add_case("second", "The invoice is due on Friday. Please pay it by bank transfer.")
        assert gate("record", "note") == 0
        add_case("third", "Another invoice.")
        assert gate("record", "note") == 0
        assert len(heard) == 2
        assert gate("record", "note", "--all") == 0
    assert len(heard) == 4
    assert [line["cases"] for line in lines()] == [["first-case", "second"], ["third"]]


def test_what_no_case_asks_for_is_dropped(project):
    add_case("second", "Another invoice.")
    with kit.serve(kit.provider(said=GOOD)) as url:
        kit.models(far=url)
        gate("record", "note")
        kit.edit("features/note/golden.yaml", "Another invoice.", "A third invoice.")
        gate("record", "note")
        assert [line["cases"] for line in lines()] == [["first-case"], ["second"]]
        kit.models(near="")
        gate("record", "note")
    assert not SHEET.exists()


def test_recording_twice_gives_the_same_bytes(project):
    for number in range(8):
        add_case(f"case-{number}", f"Invoice {number}.")
    with kit.serve(kit.provider(said=GOOD)) as url:
        kit.models(far=url)
        gate("record", "note")
        before = SHEET.read_bytes()
        gate("record", "note", "--all")
    assert SHEET.read_bytes() == before


def test_the_spend_cap_stops_before_a_call_that_could_pass_it_and_keeps_what_there_is(project, capsys):
    heard: list[dict[str, Any]] = []
    for number in range(8):
        add_case(f"case-{number}", f"Invoice {number}.")
    with kit.serve(kit.provider(said=GOOD, heard=heard)) as url:
        kit.models(far=url)
        assert gate("record", "note", "--max-usd", "0.0008") == 2
        assert len(lines()) == len(heard) == 2
        said = capsys.readouterr()
        assert "2 calls, $0.0001" in said.out
        assert said.err.count("not asked, --max-usd 0.0008 is spent; uv run gate record note") == 7
        assert gate("record", "note") == 0
    assert len(heard) == 9


def test_all_that_the_cap_stops_keeps_the_old_answers_of_the_rest(project):
    for number in range(8):
        add_case(f"case-{number}", f"Invoice {number}.")
    with kit.serve(kit.provider(said=[GOOD] * 9 + ['{"result": "A new invoice."}'] * 2)) as url:
        kit.models(far=url)
        assert gate("record", "note") == 0
        assert gate("record", "note", "--all", "--max-usd", "0.0008") == 2
    assert [len(lines()), SHEET.read_text().count("A new invoice.")] == [9, 2]


def test_a_provider_that_fails_leaves_the_case_lacking(project, capsys):
    assert record(status=503) == 2
    assert "case 'first-case': model 'far': no answer; uv run gate record note" in capsys.readouterr().err
    assert not SHEET.exists()


@pytest.mark.parametrize("damage", [lambda raw: raw[:-30], lambda raw: raw + b"<<<<<<< HEAD\n"])
def test_a_damaged_file_is_named_with_its_line(project, capsys, damage):
    record()
    SHEET.write_bytes(damage(SHEET.read_bytes()))
    number = len(SHEET.read_bytes().splitlines())
    assert gate("evals", "note") == 2
    assert f"{SHEET}: line {number}: damaged" in capsys.readouterr().err


def test_a_conversation_with_a_tool_is_replayed(project):
    kit.write("features/note/steps.py", STEPS)
    call = {"name": "price", "arguments": '{"item": "tea, m@x.example"}'}
    heard: list[dict[str, Any]] = []
    assert record([call, GOOD], heard) == 0
    assert heard[1]["messages"][-1]["content"].count("costs 7") == 1
    assert sorted(line["answer"][0][0] for line in lines()) == ["", "price"]
    assert len(heard) == 2
    assert replayed().output == {"result": "The invoice is due."}


def test_live_asks_the_provider_up_to_the_cap_and_records_nothing(project):
    heard: list[dict[str, Any]] = []
    with kit.serve(kit.provider(said=GOOD, heard=heard)) as url:
        kit.models(far=url)
        plan = run.gate_plan()
        asked = [plan.features["note"]], ["golden"], plan, lambda _: None, ""
        done = run.everything(*asked, replay.Tape(plan, "live", 1.0))
        assert done[0].runs[0].outcome.code == "ok"
        with pytest.raises(NotRecorded, match=r"not asked, --max-usd 0\.0001 is spent"):
            run.everything(*asked, replay.Tape(plan, "live", 0.0001))
    assert (len(heard), SHEET.exists()) == (1, False)


def test_a_key_is_the_same_with_every_version_of_a_library():
    asked = [
        ModelRequest.user_text_prompt("hello", instructions="be short"),
        ModelResponse([ThinkingPart("so"), TextPart("x"), ToolCallPart("t", '{"a": 1}', "id-1")]),
    ]
    found = replay.key("p:m@r", (asked, {"max_tokens": 9, "timeout": 3}, ModelRequestParameters()))
    hashes = {
        "prompt": "sha256:58750d7a2248",
        "parameters": "sha256:94b96f34df45",
        "input": "sha256:6eafafb29a23",
    }
    assert found == replay.Asked(model="p:m@r", **hashes)


def test_a_run_that_crashes_drops_no_recording(project):
    with kit.serve(kit.provider(said=GOOD)) as url:
        kit.models(far=url)
        assert gate("record", "note") == 0
        kit.edit("features/note/golden.yaml", "Friday", "Monday")
        kit.write("features/note/steps.py", "def finish(said, found):\n    raise KeyError('x')\n")
        assert gate("record", "note") == 2
    assert len(lines()) == 2
