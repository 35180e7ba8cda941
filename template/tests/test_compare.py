"""The interval of a difference: right by hand, and not fooled by looking often."""

import math
import random

import pytest

from app import compare
from app.compare import Arm


def requests(values: list[float]) -> Arm:
    """An arm whose units are single requests."""
    count = len(values)
    return Arm(count, count, sum(values), count, sum(values), sum(value * value for value in values))


def users(sums: list[tuple[int, float]]) -> Arm:
    """An arm whose units have several requests each: how many, and what they sum up to."""
    n, y = [pair[0] for pair in sums], [pair[1] for pair in sums]
    products = sum(a * a for a in n), sum(a * b for a, b in sums), sum(b * b for b in y)
    return Arm(len(sums), sum(n), sum(y), *products)


def test_the_variance_of_a_mean_is_the_usual_one():
    arm = requests([0.0, 1.0] * 50)
    assert arm.mean == 0.5
    assert arm.variance == pytest.approx(0.25 / 99)


def test_requests_of_one_user_that_hang_together_say_less():
    together = users([(10, 10.0), (10, 0.0)] * 20)
    apart = users([(10, 5.0)] * 40)
    assert together.mean == apart.mean == 0.5
    assert together.variance > 30 * max(apart.variance, 1e-6)


def test_of_few_units_nothing_is_said():
    few, many = requests([1.0] * 29), requests([0.0] * 1000)
    assert compare.change(few, many, 0.01, 0.01, "events") == compare.UNKNOWN


def test_no_error_yet_is_not_taken_for_none_at_all():
    new, old = requests([0.0] * 100), requests([0.0] * 100)
    found = compare.change(new, old, 0.01, 0.01, "events")
    assert found.high > 0.01


@pytest.mark.parametrize(("variance", "factor"), [(0.000004, 1), (0.04, 10)])
def test_the_width_is_that_of_the_formula_for_small_differences_and_for_large(variance, factor):
    scale, alpha = 0.02, 0.01
    mixed = 1 + variance / (scale * factor) ** 2
    about = math.log(2 / alpha) + math.log(mixed * (scale * factor) ** 2 / variance) / 2
    assert compare.radius(variance, scale, alpha) == pytest.approx(math.sqrt(2 * variance * mixed * about))
    assert compare.radius(0.0, scale, alpha) == 0


def test_a_hundred_looks_at_two_equal_arms_see_a_difference_in_few_of_them():
    lot, wrong = random.Random(7), 0
    for _ in range(200):
        new, old, is_wrong = list[float](), list[float](), False
        for _ in range(100):
            new += [float(lot.random() < 0.05) for _ in range(20)]
            old += [float(lot.random() < 0.05) for _ in range(20)]
            found = compare.change(requests(new), requests(old), 0.02, 0.05, "events")
            is_wrong |= found.low > 0 or found.high < 0
        wrong += is_wrong
    assert wrong <= 10  # 5 % of 200; an interval for one look alone is wrong in more than 50


def test_pairs_of_equal_answers_are_told_apart_with_fewer_requests():
    apart = requests([0.0] * 199 + [1.0])
    assert compare.paired(apart, 0.05, 0.01, "events").high < 0.05
    assert compare.paired(requests([0.0] * 29), 0.05, 0.01, "events") == compare.UNKNOWN


@pytest.mark.parametrize(
    ("count", "of", "is_one"),
    [(0, 100, False), (1, 1000, False), (1, 2, False), (2, 10, True), (20, 1000, True)],
)
def test_what_chance_does_not_explain_exceeds(count, of, is_one):
    assert compare.exceeds(count, of, 0.001) is is_one
