from math import comb

import pytest

from ops.stages import Canary
from ops.verdict import Answers, Sample, exceeds, judge

RULE, SLO = Canary(min_requests=50), {"ask": 900.0}


def sample(requests: int, failed: int = 0, slow: int = 0, **more: float) -> Sample:
    edges = {0.5: float(requests - slow), 0.9: float(requests - slow), 10.0: float(requests)}
    return Sample(requests, failed, {"ask": Answers(edges, **more)})


def word(new: Sample, old: Sample) -> str:
    return judge(new, old, RULE, SLO)[0]


def test_a_canary_like_the_stable_version_passes():
    assert word(sample(200, failed=1), sample(3_000, failed=20)) == "pass"


def test_too_few_requests_wait_and_never_pass():
    said, why = judge(sample(49), sample(3_000), RULE, SLO)
    assert said == "wait"
    assert "49 of 50" in why


def test_no_request_at_all_waits():
    assert word(Sample(), Sample()) == "wait"


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (sample(40, failed=10), "failed requests"),
        (sample(60, slow=20), "ask: slower than 900 ms"),
        (sample(60, invalid=12), "ask: models without a valid answer"),
        (sample(60, flagged=12), "ask: answers flagged by the guard"),
        (sample(60, usd=0.09, paid=60), "ask: an answer costs"),
    ],
)
def test_each_counter_alone_takes_a_canary_back(bad, what):
    said, why = judge(bad, sample(2_000, usd=2.0, paid=2_000), RULE, SLO)
    assert said == "fail"
    assert what in why


def test_failures_are_told_before_there_are_enough_requests():
    assert word(sample(10, failed=9), sample(500)) == "fail"


def test_more_failures_than_may_be_are_in_doubt_while_they_could_be_chance():
    said, why = judge(sample(60, failed=5), sample(3_000), RULE, SLO)
    assert said == "doubt"
    assert "may be chance: failed requests: 5 of 60, 2.0% may be" in why
    assert word(sample(10, failed=2), sample(3_000)) == "doubt"
    assert word(sample(400, failed=8), sample(3_000)) == "pass"


def test_what_the_stable_version_does_too_is_no_fault_of_the_new_one():
    assert word(sample(200, failed=20), sample(3_000, failed=300)) == "pass"


def test_a_slow_stable_version_lends_its_p95():
    slow = Sample(1_000, 0, {"ask": Answers({0.9: 0.0, 2.5: 1_000.0, 10.0: 1_000.0})})
    assert word(Sample(100, 0, {"ask": Answers({0.9: 0.0, 2.5: 100.0, 10.0: 100.0})}), slow) == "pass"


def test_a_slow_feature_lends_its_p95_to_no_other_one():
    tell = Answers({0.9: 0.0, 10.0: 0.0, 30.0: 900.0})
    old = Sample(1_000, 0, {"ask": Answers({0.9: 100.0, 1.5: 100.0, 10.0: 100.0}), "tell": tell})
    new = Sample(60, 0, {"ask": Answers({0.9: 0.0, 1.5: 0.0, 10.0: 30.0}), "tell": Answers({30.0: 30.0})})
    said, why = judge(new, old, RULE, SLO)
    assert said == "fail"
    assert "ask: slower than 1350 ms: 30 of 30" in why


def test_answers_of_the_cache_make_no_model_cheaper():
    cached = sample(2_000, usd=0.1, paid=100)
    assert word(sample(100, usd=0.1, paid=100), cached) == "pass"
    assert word(sample(100, usd=0.2, paid=100), cached) == "fail"


def test_too_few_answers_of_a_model_say_nothing_of_its_cost():
    assert word(sample(100, usd=0.2, paid=49), sample(2_000, usd=0.1, paid=100)) == "pass"


def test_chance_takes_back_fewer_than_one_in_a_thousand():
    allowed, of = 0.02, 200
    least = next(k for k in range(of) if exceeds(k, of, allowed))
    tail = sum(comb(of, k) * allowed**k * (1 - allowed) ** (of - k) for k in range(least, of + 1))
    assert tail < 0.001


def test_only_what_came_after_the_first_look_counts():
    later = sample(300, failed=100).since(sample(250, failed=100))
    assert (later.requests, later.failed, later.features["ask"].count) == (50, 0, 50)


def test_the_p95_is_the_edge_of_its_bucket():
    assert Answers({0.1: 90.0, 0.5: 95.0, 1.0: 100.0}).p95_ms == 500
