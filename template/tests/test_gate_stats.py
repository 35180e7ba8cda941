"""The gate's arithmetic, beside numbers that are known from elsewhere."""

import random

import pytest

from gate import stats


def test_an_interval_is_the_same_on_every_run_and_in_any_order():
    values = [number * number % 17 / 17 for number in range(30)]
    assert stats.interval(values) == stats.interval(values)
    assert stats.interval(values) == stats.interval(values[::-1])


def test_an_interval_covers_the_mean():
    low, high = stats.interval([0.0, 1.0] * 20)
    assert low < 0.5 < high
    assert 0.2 < high - low < 0.4  # 2 * 1.96 * 0.5 / sqrt(40) = 0.31


@pytest.mark.parametrize(("values", "point"), [([], 0.0), ([0.3], 0.3), ([0.7] * 9, 0.7)])
def test_no_spread_is_a_point(values, point):
    assert stats.interval(values) == (pytest.approx(point), pytest.approx(point))


def test_the_chance_of_five_losses_in_a_row_is_one_in_32():
    assert stats.worse([-1.0] * 5 + [0.0] * 100) == pytest.approx(1 / 32, abs=0.01)
    assert stats.worse([1.0] * 5 + [0.0] * 100) == 1


def test_chance_alone_is_below_one_in_twenty_one_time_in_twenty():
    chance = random.Random(1)
    alarms = sum(
        stats.worse([chance.choice((-1.0, 0.0, 1.0)) for _ in range(40)]) <= 0.05 for _ in range(300)
    )
    assert 3 <= alarms <= 27


@pytest.mark.parametrize(
    ("fell", "rose", "p"), [(0, 0, 1.0), (5, 0, 1 / 32), (8, 2, 56 / 1024), (2, 8, 1013 / 1024)]
)
def test_mcnemar_is_the_binomial_tail(fell, rose, p):
    assert stats.mcnemar(fell, rose) == pytest.approx(p)


def test_of_many_small_chances_only_those_stand_that_are_no_luck():
    # The 15 values of Benjamini and Hochberg's own example, of which four stand.
    paper = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719]
    assert sum(stats.discoveries([*paper, 0.6528, 0.7590, 1.0], 0.05)) == 4
    assert stats.discoveries([0.04] + [0.5] * 9) == [False] * 10
    assert stats.discoveries([]) == []


def test_more_cases_see_a_smaller_drop():
    seen = [stats.smallest_drop([0.0] * count) for count in (10, 100, 1_000)]
    assert seen == sorted(seen, reverse=True)
    assert stats.smallest_drop([]) == 1.0


def test_a_drop_that_is_just_seen_is_found_in_four_of_five_runs():
    chance, found = random.Random(2), 0
    drop = stats.smallest_drop([0.0] * 200)
    for _ in range(100):
        moves = [
            chance.choices((-1.0, 0.0, 1.0), (0.03 + drop / 2, 0.94, 0.03 - drop / 2))[0] for _ in range(200)
        ]
        found += stats.interval(moves)[1] < 0
    assert 65 <= found <= 95


def test_the_ratio_of_a_quantile_follows_its_pairs():
    value, low, high = stats.quantile_ratio([(100 + n, (100 + n) * 1.1) for n in range(50)], 0.5)
    assert (value, low, high) == (pytest.approx(1.1), pytest.approx(1.1), pytest.approx(1.1))


def test_a_share_is_never_sure_at_none_or_all():
    assert stats.wilson(0, 30) == (0.0, pytest.approx(0.1135, abs=0.001))
    assert stats.wilson(30, 30) == (pytest.approx(0.8865, abs=0.001), 1.0)
    assert stats.wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("bad", "of", "low", "high"),
    [(0, 100, 0, 0.0370), (10, 100, 0.0552, 0.1744), (100, 100, 0.9630, 1), (0, 0, 0, 1)],
)
def test_the_interval_of_a_share_is_that_of_the_tables(bad, of, low, high):
    assert stats.wilson(bad, of) == pytest.approx((low, high), abs=1e-4)
