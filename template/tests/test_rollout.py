"""The rule of a rollout: worse for certain fails, not worse than may be passes, and silence waits."""

import random

import pytest

from app import rollout
from app.compare import Arm
from app.rollout import Evidence
from app.spec import Rollout

RULE = Rollout(unit="request")
PARTS = {"errors": 0.01, "slow": 0.05, "cost": 0.001, "quality": 0.15, "invalid": 0.005, "flagged": 0.005}


def arm(count: int, **rates: float) -> dict[str, Arm]:
    """So many requests with exactly these rates; dollars and quality vary a little."""
    made = {}
    for part, usual in PARTS.items():
        rate = rates.get(part, usual)
        spread = 0.3 if part in ("cost", "quality") else 0
        square = count * rate * rate * (1 + spread**2) if spread else count * rate
        made[part] = Arm(count, count, count * rate, count, count * rate, square)
    return made


def word(count: int, percent: int, **rates: float) -> str:
    """The word on a candidate with these rates beside the usual ones."""
    return rollout.judge(Evidence(arm(count, **rates), arm(count), count), RULE, percent).word  # type: ignore[arg-type]


def test_the_same_passes_with_enough_requests_and_waits_with_few():
    assert word(5_000, 50) == "pass"
    assert word(200, 50) == "wait"


def test_nothing_at_all_waits():
    assert rollout.judge(Evidence({}, {}), RULE, 5).word == "wait"


@pytest.mark.parametrize(
    ("part", "rate"),
    [("errors", 0.03), ("slow", 0.26), ("cost", 0.0013), ("quality", 0.20), ("flagged", 0.05)],
)
def test_what_is_worse_for_certain_fails_and_is_named(part, rate):
    seen = Evidence(arm(5_000, **{part: rate}), arm(5_000), 5_000)  # type: ignore[arg-type]
    verdict = rollout.judge(seen, RULE, 25)
    assert verdict.word == "fail"
    assert rollout.SAID[part] in verdict.said


def test_more_may_be_at_a_small_share():
    assert word(400, 5) == "pass"
    assert word(400, 50) == "wait"


def test_a_breach_of_safety_fails_at_once():
    seen = Evidence(arm(40), arm(5), 40, ("2 of 40 answers leaked",))  # type: ignore[arg-type]
    assert rollout.judge(seen, RULE, 5).said == "safety: 2 of 40 answers leaked"


def test_a_step_has_requests_of_its_own():
    seen = Evidence(arm(5_000), arm(5_000), requests=3)  # type: ignore[arg-type]
    verdict = rollout.judge(seen, RULE, 50)
    assert (verdict.word, verdict.said) == ("wait", "3 of 50 requests at 50 %")


def test_a_model_without_a_price_costs_nothing():
    free = {**arm(5_000), "cost": Arm()}
    assert rollout.judge(Evidence(free, free, 5_000), RULE, 50).word == "pass"  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "word"), [(0.01, "pass"), (0.03, "fail")])
def test_of_twenty_candidates_none_is_judged_wrong(rate, word):
    lot, words = random.Random(3), []
    for _ in range(20):
        sums, percent, said = [[0, 0], [0, 0]], iter([25, 50]), "wait"
        share = next(percent)
        while said == "wait":
            for which, count in ((0, share * 4), (1, 400 - share * 4)):
                sums[which][0] += count
                sums[which][1] += sum(lot.random() < (rate if which == 0 else 0.01) for _ in range(count))
            new, old = (arm(n) | {"errors": Arm(n, n, errors, n, errors, errors)} for n, errors in sums)
            said = rollout.judge(Evidence(new, old, 1_000), RULE, share).word  # type: ignore[arg-type]
            if said == "pass" and (share := next(percent, 0)):
                said = "wait"
        words.append(said)
    assert words == [word] * 20
