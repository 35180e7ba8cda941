"""Slices: what a whole set hides, and what too few cases cannot say."""

import dataclasses

from app.scorers import Expected
from gate import baseline, judge, slices
from gate.run import FeatureRun
from tests import kit, runs


def sliced(scores: dict[str, list[float]]) -> FeatureRun:
    """A run of the feature `note` with these golden scores by language."""
    found = []
    for language, given in scores.items():
        for number, score in enumerate(given):
            checks = {"served": 1.0, "facts": score}
            found.append(runs.case(f"{language}-{number}", checks, meta={"language": language}))
    return runs.feature_run(found)


def with_first(run: FeatureRun, **changes: object) -> FeatureRun:
    """The same run with another first case."""
    first = run.runs[0]
    changed = dataclasses.replace(first, spec=first.spec.model_copy(update=changes))
    return runs.feature_run([changed, *run.runs[1:]])


def judged(run: FeatureRun, before: FeatureRun) -> tuple[judge.Verdict, dict[str, slices.Slice]]:
    """The verdict on the score, and the slices by name, with `before` as the accepted run."""
    baseline.save(before, "test")
    base = baseline.load(before.feature)
    parts = slices.compare([run], {"note": base})["note"]
    return judge.score(run, base, parts), {part.name: part for part in parts}


def test_a_loss_in_one_language_is_blocked_though_another_gains(project):
    before = sliced({"en": [1.0] * 60 + [0.0] * 20, "de": [1.0] * 40})
    verdict, found = judged(sliced({"en": [1.0] * 80, "de": [0.0] * 15 + [1.0] * 25}), before)
    assert found["all"].change > 0
    assert found["language de"].word == "BLOCK"
    assert verdict.word == "BLOCK"
    assert verdict.lines[0].startswith("language de: 0.625, -0.375")


def test_a_slice_too_small_to_judge_says_so(project):
    run = sliced({"en": [1.0] * 80, "de": [1.0] * 8})
    verdict, found = judged(run, run)
    assert found["language de"].word == "SMALL"
    assert "too small to judge: language de (8)" in verdict.lines


def test_a_slice_of_new_cases_is_new(project):
    verdict, found = judged(sliced({"en": [1.0] * 30, "es": [0.0] * 3}), sliced({"en": [1.0] * 30}))
    assert found["language es"].word == "NEW"
    assert (verdict.word, "3 new" in verdict.said) == ("PASS", True)


def test_a_small_slice_that_is_wholly_lost_asks_for_a_person_where_answers_differ(project):
    kit.edit("features/note/feature.toml", "[slo]", "[gate]\nrepeats = 3\n\n[slo]")
    before = sliced({"en": [1.0] * 200, "de": [1.0] * 5})
    verdict, found = judged(sliced({"en": [1.0] * 200, "de": [0.0] * 5}), before)
    assert (found["language de"].word, found["all"].word) == ("SMALL", "PASS")
    assert verdict.word == "INCONCLUSIVE"
    assert verdict.lines[0].startswith("language de: 0.000, -1.000")


def test_one_of_a_hundred_slices_can_be_blocked(project):
    rest = {f"l{n}": [1.0] * 30 for n in range(2, 100)}
    before = sliced(rest | {"l0": [1.0] * 30, "l1": [0.0] * 30})
    found = judged(sliced(rest | {"l0": [0.0] * 30, "l1": [1.0] * 30}), before)[1]
    assert [name for name, part in found.items() if part.word == "BLOCK"] == ["language l0"]


def test_a_tier_of_tenants_is_a_slice(project):
    run = runs.feature_run([runs.case("one", {"facts": 1.0}, meta={"tenant_tier": "trial"})])
    assert [part.name for part in slices.of(run, None)] == [
        "all", "family f", "language en", "tenant tier trial",
    ]  # fmt: skip


def test_a_renamed_case_is_the_same_case(project):
    before = sliced({"en": [1.0] * 30})
    verdict, found = judged(with_first(before, name="other-name"), before)
    assert (verdict.word, found["all"].compared) == ("PASS", 30)


def test_a_case_whose_expectation_changed_is_no_silent_pass(project):
    before = sliced({"en": [1.0] * 30})
    verdict, _ = judged(with_first(before, expected_output=Expected(facts=["easier"])), before)
    assert verdict.word == "INCONCLUSIVE"
    assert "cases gone or changed since the baseline: en-0" in verdict.lines


def noisy(scores: list[float]) -> FeatureRun:
    """A run with three tries of each case."""
    kit.edit("features/note/feature.toml", "[slo]", "[gate]\nrepeats = 3\n\n[slo]")
    run = sliced({"en": scores})
    return dataclasses.replace(run, runs=[dataclasses.replace(r, tries=(r.score,) * 3) for r in run.runs])


def test_a_noisy_model_may_lose_a_case_by_chance(project):
    run = noisy([0.0] + [1.0] * 59)
    assert judged(run, sliced({"en": [1.0] * 60}))[0].word == "PASS"


def test_an_exact_model_loses_no_case_by_chance(project):
    verdict, _ = judged(sliced({"en": [0.0] + [1.0] * 59}), sliced({"en": [1.0] * 60}))
    assert verdict.word == "INCONCLUSIVE"


def test_a_noisy_model_with_too_few_cases_asks_for_a_person(project):
    run = noisy([0.0] + [1.0] * 9)
    assert judged(run, sliced({"en": [1.0] * 10}))[0].word == "INCONCLUSIVE"
