"""The case study plays the real app: a few minutes of the trace, off and on."""

import json
from pathlib import Path

import pytest

from benchmarks.case_study import __main__ as case_study
from benchmarks.case_study import measure, world
from benchmarks.case_study.drive import Run, Seen
from benchmarks.case_study.world import World


def test_two_minutes_of_the_trace_off_and_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--seeds", "1", "--minutes", "2", "--parts", "main", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["case_study", *given])
    case_study.main()
    off, on = (json.loads((tmp_path / f"{arm} minutes=2.json").read_text()) for arm in ("off", "on"))
    assert off["measured"]["requests"] == on["measured"]["requests"] == len(world.requests(World(minutes=2)))
    assert on["measured"]["tokens"] < off["measured"]["tokens"]
    assert off["measured"]["tokens"] == pytest.approx(1000 * tokens(World(minutes=2)), rel=0.05)
    assert "| token cost, a thousand requests |" in capsys.readouterr().out


def tokens(known: World) -> float:
    """What the trace's requests have, in the mean."""
    asked = world.requests(known)
    return sum(one.context + one.generated for one in asked) / len(asked)


def test_neighbouring_bad_minutes_are_one_incident() -> None:
    seen = [
        Seen(minute * 60 + second, 1.0, 503 if minute in (2, 3, 7) and second < 9 else 200, "", False, False)
        for minute in range(10)
        for second in range(60)
    ]
    run = Run(seen=seen)
    found = measure.measure(run)
    assert found.incidents * max(one.at_s for one in seen) / 3600 == pytest.approx(2)
    assert measure.bad_minutes(seen) == {2, 3, 7}


def test_the_interval_of_a_saving_holds_its_mean() -> None:
    less, low, high = measure.change([100, 110, 90], [50, 56, 44])
    assert low < less == 0.5 < high
