import pytest

from ops.stages import Canary
from ops.verdict import Sample, exceeds, judge

RULE = Canary(min_requests=50)


def sample(requests: int, failed: int = 0, slow: int = 0, **more: float) -> Sample:
    edges = {0.5: float(requests - slow), 0.9: float(requests - slow), 10.0: float(requests)}
    return Sample(requests, failed, edges, **more)  # type: ignore[arg-type]


def test_a_canary_like_the_stable_version_passes():
    assert judge(sample(200, failed=1), sample(3_000, failed=20), RULE)[0] == "pass"


def test_too_few_requests_wait_and_never_pass():
    word, why = judge(sample(49), sample(3_000), RULE)
    assert word == "wait"
    assert "49 of 50" in why


def test_no_request_at_all_waits():
    assert judge(Sample(), Sample(), RULE)[0] == "wait"


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (sample(40, failed=10), "failed requests"),
        (sample(60, slow=20), "slower than 900 ms"),
        (sample(60, invalid=12), "without a valid answer"),
        (sample(60, flagged=12), "flagged by the guard"),
        (sample(60, usd=0.09, paid=60), "cost"),
    ],
)
def test_each_counter_alone_takes_a_canary_back(bad, word):
    said, why = judge(bad, sample(2_000, usd=2.0, paid=2_000), RULE)
    assert said == "fail"
    assert word in why


def test_an_empty_cache_makes_no_version_dearer():
    warm = sample(2_000, usd=0.1, paid=100)
    assert judge(sample(100, usd=0.1, paid=100), warm, RULE)[0] == "pass"


def test_few_answers_of_a_model_say_nothing_of_the_cost():
    assert judge(sample(100, usd=0.4, paid=4), sample(2_000, usd=2.0, paid=2_000), RULE)[0] == "pass"


def test_failures_are_told_before_there_are_enough_requests():
    assert judge(sample(10, failed=9), sample(500), RULE)[0] == "fail"


def test_more_failures_than_may_be_are_no_pass_while_they_could_be_chance():
    word, why = judge(sample(60, failed=5), sample(3_000), RULE)
    assert word == "doubt"
    assert judge(sample(10, failed=2), sample(3_000), RULE)[0] == "doubt"
    assert "may be chance: failed requests: 5 of 60, 2.0% may be" in why
    assert judge(sample(400, failed=8), sample(3_000), RULE)[0] == "pass"


def test_what_the_stable_version_does_too_is_no_fault_of_the_new_one():
    assert judge(sample(200, failed=20), sample(3_000, failed=300), RULE)[0] == "pass"


def test_a_slow_stable_version_lends_its_p95():
    slow = Sample(1_000, 0, {0.9: 0.0, 2.5: 1_000.0, 10.0: 1_000.0})
    assert judge(Sample(100, 0, {0.9: 0.0, 2.5: 100.0, 10.0: 100.0}), slow, RULE)[0] == "pass"


def test_chance_takes_back_fewer_than_one_in_a_thousand():
    from math import comb

    allowed, of = 0.02, 200
    least = next(k for k in range(of) if exceeds(k, of, allowed))
    tail = sum(comb(of, k) * allowed**k * (1 - allowed) ** (of - k) for k in range(least, of + 1))
    assert tail < 0.001


def test_only_what_came_after_the_first_look_counts():
    later = sample(300, failed=100).since(sample(250, failed=100))
    assert (later.requests, later.failed, later.answered) == (50, 0, 50)


def test_the_p95_is_the_edge_of_its_bucket():
    assert Sample(100, 0, {0.1: 90.0, 0.5: 95.0, 1.0: 100.0}).p95_ms == 500
