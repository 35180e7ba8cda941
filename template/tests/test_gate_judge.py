"""What the gate lets through and what it stops, and the arithmetic behind it."""

import dataclasses
from pathlib import Path

import pytest

from app import models, quality
from gate import baseline, changelog, judge, slices
from gate.errors import BadBaseline
from gate.run import FeatureRun
from tests import kit, runs

GOOD = [1.0] * 18 + [0.5] * 2


def scored(run: FeatureRun, base: baseline.Baseline | None) -> judge.Verdict:
    """The verdict on its score."""
    return judge.score(run, base, slices.compare([run], {"note": base})["note"])


def accepted(scores: list[float], tokens: int = 100) -> baseline.Baseline:
    """A baseline as `gate accept` writes it, read again."""
    run = runs.golden(scores, tokens)
    baseline.save(run, "test")
    return baseline.load(run.feature)


def test_a_change_of_nothing_passes(project):
    assert scored(runs.golden(GOOD), accepted(GOOD)).word == "PASS"
    assert judge.cost(runs.golden(GOOD), accepted(GOOD)).word == "PASS"


def test_a_clear_drop_is_blocked_and_names_the_cases(project):
    verdict = scored(runs.golden([0.0] * 10 + GOOD[10:]), accepted(GOOD))
    assert verdict.word == "BLOCK"
    assert "'case-0': 1.00 -> 0.00 (facts)" in verdict.lines


def test_a_drop_too_small_to_be_sure_asks_for_a_person(project):
    verdict = scored(runs.golden([0.5, *GOOD[1:]]), accepted(GOOD))
    assert verdict.word == "INCONCLUSIVE"
    assert verdict.stops


def test_an_answer_that_fell_asks_for_a_person_though_as_many_rose(project):
    before, now = [1.0] * 10 + [0.5] * 10, [0.5] * 5 + [1.0] * 10 + [0.5] * 5
    verdict = scored(runs.golden(now), accepted(before))
    assert verdict.word == "INCONCLUSIVE"
    assert "'case-0': 1.00 -> 0.50 (facts)" in verdict.lines
    other = accepted(before).model_copy(update={"model": "another"})
    assert scored(runs.golden(now), other).word == "PASS"
    kit.edit("features/note/feature.toml", "[slo]", "[gate]\nmax_drop = 0.01\n\n[slo]")
    assert scored(runs.golden(now), accepted(before)).word == "PASS"


def test_a_better_score_passes(project):
    assert scored(runs.golden([1.0] * 20), accepted(GOOD)).word == "PASS"


def test_a_score_under_the_floor_is_blocked_though_the_baseline_was_no_better(project):
    kit.edit("features/note/feature.toml", "[slo]", "[gate]\nmin_score = 0.9\n\n[slo]")
    verdict = scored(runs.golden([0.5] * 20), accepted([0.5] * 20))
    assert (verdict.word, verdict.said) == ("BLOCK", "0.500 is under the floor of 0.900")


def test_the_floor_holds_before_there_is_a_baseline(project):
    kit.edit("features/note/feature.toml", "[slo]", "[gate]\nmin_score = 0.9\n\n[slo]")
    assert scored(runs.golden([0.5] * 20), None).word == "BLOCK"


def test_without_a_baseline_it_says_so_and_passes(project):
    for verdict in (scored(runs.golden(GOOD), None), judge.cost(runs.golden(GOOD), None)):
        assert verdict.word == "NO BASELINE"
        assert not verdict.stops


def test_more_tokens_than_allowed_are_blocked(project):
    base = accepted(GOOD, 100)
    assert judge.cost(runs.golden(GOOD, 120), base).word == "BLOCK"
    assert judge.cost(runs.golden(GOOD, 104), base).word == "PASS"


def test_one_longer_answer_moves_neither_median_nor_tail(project):
    assert judge.cost(runs.golden(GOOD * 3, [900] + [100] * 59), accepted(GOOD * 3, 100)).word == "PASS"


def test_a_golden_case_that_is_not_served_breaks_an_invariant(project):
    broken = runs.case("lost", {"served": 0.0, "facts": 0.0}, code="no_model", detail="why")
    verdict = judge.invariants(runs.feature_run([broken]))
    assert verdict.word == "BLOCK"
    assert verdict.lines == ("golden 'lost': served (no_model: why)",)


@pytest.mark.parametrize("check", ["absent", "error", "flagged", "refused", "served"])
def test_an_adversarial_case_that_does_not_hold_breaks_an_invariant(project, check):
    run = runs.feature_run([runs.case("attack", {check: 0.0}, "adversarial")])
    assert judge.invariants(run).word == "BLOCK"


def test_a_golden_case_with_a_missing_fact_breaks_none(project):
    assert judge.invariants(runs.golden([0.0, 1.0])).word == "PASS"


def test_the_order_of_the_cases_changes_nothing(project):
    base, run = accepted(GOOD, 100), runs.golden([0.5, 0.0, *GOOD[2:]], list(range(95, 115)))
    turned = dataclasses.replace(run, runs=run.runs[::-1])
    assert scored(turned, base).word == scored(run, base).word
    assert scored(turned, base).said == scored(run, base).said
    assert judge.cost(turned, base).said == judge.cost(run, base).said


def test_a_case_that_is_gone_since_the_baseline_is_named(project):
    verdict = scored(runs.golden(GOOD[:-1]), accepted(GOOD))
    assert "cases gone or changed since the baseline: case-19" in verdict.lines


@pytest.mark.parametrize(("count", "word"), [(2, "PASS"), (3, "INCONCLUSIVE")])
def test_a_few_new_cases_are_not_compared_and_many_want_to_be_accepted(project, count, word):
    assert scored(runs.golden([*GOOD, *[0.9] * count]), accepted(GOOD)).word == word


def test_the_gap_between_cases_that_differ_in_one_trait_is_said(project):
    pair = [runs.case(name, {"facts": 1.0}, meta={"pair": "p"}) for name in ("anna", "ahmed")]
    assert judge.invariants(runs.feature_run(pair)).said == "2 cases hold; score gap in 1 pairs 0.000"


def test_a_baseline_of_other_cases_is_not_taken_for_a_pass(project):
    base = accepted(GOOD).model_copy(update={"cases": {}})
    assert scored(runs.golden(GOOD), base).word == "INCONCLUSIVE"


def test_a_baseline_reads_back_as_it_was_written(project):
    run = runs.golden([1.0, 1 / 3], [100, 120])
    baseline.save(run, "first release")
    found = baseline.load(run.feature)
    assert (found.reason, found.model, found.prompt) == ("first release", models.VERSION, "v1@abc")
    assert {name: mark.tokens for name, mark in found.cases.items()} == {"case-0": 100, "case-1": 120}
    assert scored(run, found).word == "PASS"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"reason": "x"}', "null"])
def test_a_damaged_baseline_is_refused_with_the_remedy(project, text):
    kit.write("features/note/baseline.json", text)
    with pytest.raises(BadBaseline, match=r"baseline\.json: damaged; .*uv run gate accept note"):
        baseline.load(runs.golden(GOOD).feature)


def test_an_adversarial_case_that_is_gone_needs_a_persons_word(project):
    base = accepted([1.0]).model_copy(update={"adversarial": ["leak-one"]})
    found = judge.invariants(runs.golden([1.0]), base)
    assert (found.word, found.lines) == ("INCONCLUSIVE", ("leak-one",))


def test_a_golden_case_that_is_gone_is_no_silent_pass(project):
    found = scored(runs.golden([1.0, 1.0]), accepted([1.0, 1.0, 0.0]))
    assert found.word == "INCONCLUSIVE"
    assert "1 gone or changed" in found.said


def test_a_baseline_that_was_edited_by_hand_is_refused(project):
    run = runs.golden(GOOD)
    baseline.save(run, "test")
    kit.edit("features/note/baseline.json", '"score": 1.0', '"score": 0.9')
    with pytest.raises(BadBaseline, match=r"was edited by hand; .*uv run gate accept note"):
        baseline.load(run.feature)


def test_a_baseline_that_the_changelog_names_cannot_go_or_lose_its_seal(project):
    run = runs.golden(GOOD)
    place, seal = baseline.save(run, "test"), changelog.last(run.feature, "accepted")
    assert baseline.load(run.feature).seal == seal
    Path("features/note/CHANGELOG.md").rename("kept.md")
    with pytest.raises(BadBaseline, match="was edited by hand"):
        baseline.load(run.feature)
    Path("kept.md").rename("features/note/CHANGELOG.md")
    kit.edit(place, f'  "seal": "{seal}",\n', "")
    with pytest.raises(BadBaseline, match="was edited by hand"):
        baseline.load(run.feature)
    place.unlink()
    with pytest.raises(BadBaseline, match=f"is gone, CHANGELOG.md says that {seal} was accepted"):
        baseline.load(run.feature)


@pytest.mark.parametrize(
    "mark", ['{"score": NaN, "tokens": 1}', '{"score": 2, "tokens": 1}', '{"score": 1, "tokens": -1}']
)
def test_a_mark_that_no_run_can_have_is_refused(project, mark):
    head = '"reason": "r", "model": "m", "prompt": "p", "dataset": "d"'
    feature = runs.golden([1.0]).feature
    quality.path(feature.folder).write_text(f'{{{head}, "cases": {{"a": {mark}}}}}')
    with pytest.raises(BadBaseline):
        baseline.load(feature)


def test_a_pair_that_scores_differently_is_bias(project):
    spec = {"pair": "name"}
    found = [runs.case(f"case-{n}", {"facts": float(n)}) for n in range(2)]
    marked = [dataclasses.replace(r, spec=r.spec.model_copy(
        update={"metadata": r.spec.metadata.model_copy(update=spec)})) for r in found]  # fmt: skip
    verdict = judge.invariants(runs.feature_run(marked))
    assert verdict.word == "BLOCK"
    assert "pair 'name'" in verdict.lines[0]
