"""What a run costs beside the accepted one."""

from gate import baseline, judge
from gate.run import FeatureRun
from tests import kit, runs

PARTS = {"instructions": 40, "passages": 50, "answer": 10}


def spent(tokens: list[int], usd: float | None = 0.001, **parts: int) -> FeatureRun:
    """A run of the feature `note` with these tokens, and dollars a case."""
    cases = [
        runs.case(f"case-{n}", {"facts": 1.0}, tokens=count, cost_usd=usd, parts=PARTS | parts)
        for n, count in enumerate(tokens)
    ]
    return runs.feature_run(cases)


def judged(run: FeatureRun, before: FeatureRun) -> judge.Verdict:
    """The verdict on its cost, with `before` as the accepted run."""
    baseline.save(before, "test")
    return judge.cost(run, baseline.load(before.feature))


def test_tokens_and_dollars_are_said_as_median_and_p95(project):
    before = spent([100] * 40)
    assert judged(before, before).said == (
        "median 100 tokens, p95 100, $0.00100 and $0.00100; "
        "median of tokens x1.000 [1.000, 1.000], x1.05 allowed"
    )


def test_a_dearer_model_is_blocked_at_the_same_tokens(project):
    verdict = judged(spent([100] * 40, 0.0011), spent([100] * 40))
    assert verdict.word == "BLOCK"
    assert "median of dollars x1.100" in verdict.said


def test_a_model_that_was_free_and_is_not_asks_for_a_person(project):
    verdict = judged(spent([100] * 40, 0.001), spent([100] * 40, 0.0))
    assert (verdict.word, "40 cases were free" in verdict.said) == ("INCONCLUSIVE", True)


def test_a_tail_that_grows_is_blocked_though_the_median_stays(project):
    verdict = judged(spent([100] * 30 + [200] * 10), spent([100] * 40))
    assert (verdict.word, "p95 of tokens x2.000" in verdict.said) == ("BLOCK", True)


def test_the_part_of_the_prompt_that_grew_is_named_with_the_cases(project):
    verdict = judged(spent([120] * 39 + [150], passages=70), spent([100] * 40))
    assert verdict.lines == (
        "passages: +20 tokens a case",
        "'case-39': +50 tokens", "'case-9': +20 tokens", "'case-8': +20 tokens",
    )  # fmt: skip


def test_a_rise_within_the_allowance_passes_and_another_allowance_is_kept(project):
    assert judged(spent([104] * 40), spent([100] * 40)).word == "PASS"
    kit.edit("features/note/feature.toml", "[slo]", "[gate]\nmax_token_rise = 0.01\n\n[slo]")
    assert judged(spent([104] * 40), spent([100] * 40)).word == "BLOCK"


def test_a_model_without_a_price_is_compared_by_tokens_alone(project):
    before = spent([100] * 40, None)
    assert "dollars" not in judged(before, before).said


def test_a_rise_that_is_not_sure_needs_a_person_unless_the_model_is_noisy(project):
    before, after = spent([100] * 37 + [120] * 3), spent([100] * 19 + [120] * 21)
    assert judged(after, before).word == "INCONCLUSIVE"
    kit.edit("features/note/feature.toml", "[slo]", "[gate]\nrepeats = 3\n\n[slo]")
    assert judged(spent([100] * 19 + [120] * 21), before).word == "PASS"
