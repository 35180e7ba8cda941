"""The trend: one line a run, whatever happened to the file in between."""

import json
from pathlib import Path

from gate import history, report
from gate.history import Point, Run
from gate.judge import Verdict
from tests import runs

PLACE = Path("var/reports/history.jsonl")
PASS = [Verdict("note", "score", "PASS", "fine")]


def run(score: float, **more: object) -> str:
    """Write a report on a run with this score; gives the page."""
    folder = report.write(Path("var"), [runs.golden([score], **more)], PASS)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_each_run_adds_one_line_and_is_drawn(project):
    assert "first run that is stored" in run(0.5)
    shown = run(1.0, tokens=200)
    assert len(PLACE.read_text().splitlines()) == 2
    assert 'aria-label="Score in 2 runs: first 50.0 %, last 100.0 %, lowest 50.0 %, highest 100.0 %"' in shown
    assert 'aria-label="Tokens of a case, median in 2 runs: first 100, last 200' in shown
    assert shown.count("<polyline") == 3


def test_a_line_that_is_no_run_is_left_out_with_a_note(project):
    run(0.5)
    good = json.loads(PLACE.read_text())
    for wrong in (
        '{"at": "2026',
        "null",
        '{"at": "x", "passed": true}',
        json.dumps(good).replace("0.5", "NaN"),
    ):
        PLACE.write_text(PLACE.read_text() + wrong + "\n")
    PLACE.write_bytes(PLACE.read_bytes() + b"\xff\xfe\n")
    shown = run(1.0)
    assert "5 lines of history.jsonl could not be read and are left out" in shown
    assert "Score in 2 runs" in shown


def test_a_line_that_was_cut_off_does_not_take_the_next_one_with_it(project):
    run(0.5)
    PLACE.write_text(PLACE.read_text() + '{"at": "2026-11')
    run(1.0)
    found, unread = history.read(PLACE)
    assert [one.features["note"].score for one in found] == [0.5, 1.0]
    assert unread == 1


def test_the_file_does_not_grow_for_ever(project):
    PLACE.parent.mkdir(parents=True)
    PLACE.write_text("old\n" * (history.KEPT + 3))
    history.add(PLACE, Run(at="now", passed=True, features={"note": Point(score=1)}))
    assert len(PLACE.read_text().splitlines()) == history.KEPT
    assert history.read(PLACE)[0][-1].at == "now"


def test_adversarial_cases_alone_have_no_score_to_keep(project):
    attack = runs.case("attack", {"error": 1.0}, "adversarial", code="blocked")
    report.write(Path("var"), [runs.feature_run([attack])], PASS)
    assert not PLACE.exists()


def test_another_prompt_is_marked_in_the_trend(project):
    run(0.5)
    assert "stroke-dasharray" not in run(0.5).partition("Cost and speed")[0]
    text = PLACE.read_text()
    PLACE.write_text(text.replace("v1@abc", "v1@old", 1))
    assert "stroke-dasharray" in run(0.5)
