"""The gate as a command: what it runs, what it writes, and the exit code that it ends with."""

import html
import json
from pathlib import Path

import pytest
import typer

from app import models, services, settings
from gate import cli, judge, replay, report, run, screen
from ops import models as ops_models
from tests import kit, runs

TIERS = """\
[models.usual]
provider = "keyless"

[models.little]
provider = "keyless"
tier = "small"
"""


def gate(*words: str) -> int:
    """Run `gate` in the current folder."""
    return kit.command(cli.main, *words)


def test_a_new_feature_passes_without_a_baseline(project, capsys):
    assert gate("evals", "note") == 0
    said = capsys.readouterr().out
    assert "NO BASELINE" in said
    assert "gate: yes" in said


def test_an_accepted_result_passes_again(project, capsys):
    assert gate("accept", "--reason", "first") == 0
    assert gate("evals") == 0
    assert "NO BASELINE" not in capsys.readouterr().out


def test_a_tier_is_judged_alone_and_has_its_own_baseline(project, capsys):
    kit.write("config/models.toml", TIERS)
    assert gate("accept", "note", "--reason", "first", "--tier", "small") == 0
    assert Path("features/note/baseline-small.json").exists()
    assert not Path("features/note/baseline.json").exists()
    assert gate("evals", "note", "--tier", "small") == 0
    assert "NO BASELINE" not in capsys.readouterr().out


def test_a_tier_that_no_model_has_is_refused_with_the_known_ones(project, capsys):
    assert gate("evals", "note", "--tier", "smal") == 2
    assert "no model has tier 'smal' in models.toml (known: standard)" in capsys.readouterr().err


def test_a_prompt_that_asks_for_another_key_turns_the_gate_red(project, capsys):
    kit.edit("features/note/prompts/v1.md", "`result`", "`answer`")
    assert gate("evals", "note") == 1
    assert "golden 'first-case': served (no_model" in capsys.readouterr().out


def test_a_longer_prompt_turns_the_gate_red_on_tokens(project, capsys):
    gate("accept", "note", "--reason", "first")
    kit.edit("features/note/prompts/v1.md", "---", "Take care. " * 40 + "\n---")
    assert gate("cost", "note") == 1
    assert "BLOCK" in capsys.readouterr().out


def test_a_change_that_loosens_what_it_is_judged_or_guarded_by_needs_a_person(project, capsys):
    gate("accept", "note", "--reason", "first")
    for table in ("[gate]\nmax_drop = 0.2", '[guard]\nleak = "off"'):
        kit.edit("features/note/feature.toml", "[slo]", f"{table}\n\n[slo]")
        assert gate("evals", "note") == 1
    said = capsys.readouterr().out
    assert "[gate] max_drop: 0.0 -> 0.2" in said
    assert "[guard] leak: block -> off" in said
    gate("accept", "note", "--reason", "meant so")
    assert gate("evals", "note") == 0


def test_a_model_that_answers_nothing_cannot_be_judged(project, capsys):
    with kit.serve(kit.provider(said="")) as url:
        kit.models(mute=url)
        assert gate("evals", "note", "--live") == 2
    said = capsys.readouterr().err
    assert "features/note/golden.yaml: no model answered any of 1 golden cases: mute: Silent" in said


def test_the_report_shows_every_verdict_and_not_those_of_the_cases_alone(project):
    kit.edit("features/note/feature.toml", "[slo]", '[guard]\ninjection = "off"\n\n[slo]')
    assert gate("safety", "note") == 1
    content = json.loads(Path("var/reports/report.json").read_text())
    words = {verdict["part"]: verdict["word"] for verdict in content["verdicts"]}
    assert words == {"safety": "PASS", "invariants": "BLOCK"}
    assert Path("var/reports/comment.md").read_text().splitlines()[1] == "## Gate: Not ready to merge"


def test_a_guard_that_is_off_turns_the_gate_red(project, capsys):
    kit.edit("features/note/feature.toml", "[slo]", '[guard]\ninjection = "off"\n\n[slo]')
    assert gate("safety", "note") == 1
    assert "adversarial 'override': error (ok)" in capsys.readouterr().out


def test_a_baseline_cannot_hold_broken_invariants(project):
    kit.edit("features/note/prompts/v1.md", "`result`", "`answer`")
    assert gate("accept", "note", "--reason", "hurry") == 2
    assert not Path("features/note/baseline.json").exists()


@pytest.mark.parametrize("words", [["accept", "--reason", " "], ["evals", "nothing"]])
def test_what_it_cannot_judge_is_one_message_and_exit_code_2(project, capsys, words):
    assert gate(*words) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1


def test_a_broken_case_file_stops_it_before_the_first_call(project, capsys):
    kit.edit("features/note/golden.yaml", "inputs", "input")
    assert gate("evals") == 2
    assert "did you mean 'inputs'?" in capsys.readouterr().err
    assert not Path("var/reports").exists()


def test_check_reports_the_faults_of_all_case_files(project, capsys):
    for name in ("note/golden", "ask/adversarial"):
        kit.edit(f"features/{name}.yaml", "language: en, ", "")
    assert gate("check") == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in said] == [
        "features/ask/adversarial.yaml",
        "features/note/golden.yaml",
    ]


def test_no_features_is_nothing_to_judge(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "features").mkdir()
    assert gate("evals") == 0
    assert "nothing to judge" in capsys.readouterr().out


def test_a_run_has_every_case_with_its_answer_and_tokens(project):
    plan = run.gate_plan()
    done = run.everything([plan.features["note"]], ["golden", "adversarial"], plan, lambda _: None)[0]
    assert [(r.kind, r.spec.name, r.outcome.code) for r in done.runs] == [
        ("golden", "first-case", "ok"),
        ("adversarial", "override", "blocked"),
    ]
    assert done.of("golden")[0].outcome.tokens > 10
    assert (done.model, done.prompt.partition("@")[0]) == (models.VERSION, "v1")


def test_the_report_names_the_hash_of_the_weights_that_answered(project):
    path = kit.write("weights/chat.gguf", "weights")
    with kit.serve(kit.provider(said='{"result": "noted"}')) as url:
        kit.models(served=url)
        kit.edit("config/models.toml", 'name = "served"', 'name = "served"\npath = "weights/chat.gguf"')
        ops_models.lock()
        plan = run.gate_plan()
        asked = [plan.features["note"]], ["golden"], plan, lambda _: None, ""
        done = run.everything(*asked, replay.Tape(plan, "live", 1.0))
    folder = report.write(Path("var"), done, [judge.invariants(done[0])])
    content = json.loads((folder / "report.json").read_text())
    assert content["features"][0]["model"] == f"openai-compatible:served#{models.held(path)} at {url}/v1"


def test_the_gate_never_touches_the_apps_database(project):
    assert gate("evals", "note") == 0
    assert Path("var/gate.db").exists()
    assert not Path("var/app.db").exists()


def test_a_defect_of_the_gate_is_no_verdict(project, capsys):
    Path("features/note/baseline.json").mkdir()
    assert gate("evals", "note") == 2
    assert "baseline.json" in capsys.readouterr().err


def test_a_crash_of_the_pipeline_is_not_a_bad_score(project, capsys):
    kit.write("features/note/steps.py", "def finish(said, found):\n    raise KeyError('x')\n")
    assert gate("evals", "note") == 2
    assert "features/note/golden.yaml: line 3: case 'first-case': crashed" in capsys.readouterr().err


def test_the_report_is_written_for_programs_and_for_people(project):
    done = runs.golden([1.0, 0.5])
    folder = report.write(Path("var"), [done], [judge.invariants(done)])
    assert {"report.html", "report.json", "summary.md"} <= {path.name for path in folder.iterdir()}
    content = json.loads((folder / "report.json").read_text())
    assert content["passed"] is True
    assert [case["name"] for case in content["features"][0]["cases"]] == ["case-0", "case-1", "attack"]
    assert "| note | invariants | **PASS** | 3 cases hold |" in (folder / "summary.md").read_text()


def test_the_html_report_escapes_what_models_and_callers_said(project):
    evil = "<script>alert('x')</script>"
    bad = runs.case("bad", {"served": 1.0, "facts": 0.0}, output={"result": evil}, detail="")
    bad.spec.inputs["text"] = evil
    done = runs.feature_run([bad])
    folder = report.write(Path("var"), [done], [judge.Verdict("note", "score", "BLOCK", "x", (evil,))])
    shown = (folder / "report.html").read_text()
    assert "<script" not in shown
    assert html.escape(evil, quote=False).replace("'", "&#39;") in shown


def feature_folders() -> list[Path]:
    """The feature folders of this project."""
    return sorted(path for path in (kit.ROOT / "features").glob("[a-z]*") if path.is_dir())


def test_the_projects_own_files_are_right(monkeypatch):
    monkeypatch.chdir(kit.ROOT)
    found = services.plan(settings.load())
    assert sorted(found.features) == [path.name for path in feature_folders()]


def test_the_case_files_of_every_feature_are_right(monkeypatch, capsys):
    monkeypatch.chdir(kit.ROOT)
    assert gate("check") == 0
    assert f"cases of {len(feature_folders())} features" in capsys.readouterr().out


@pytest.mark.parametrize(("part", "told"), [("score", True), ("safety", False), ("load", False)])
def test_accept_is_the_remedy_only_where_it_helps(project, capsys, part, told):
    with pytest.raises(typer.Exit):
        screen.finish(run.gate_plan(), [judge.Verdict("note", part, "INCONCLUSIVE", "few cases")])
    assert ("gate accept" in capsys.readouterr().out) is told
