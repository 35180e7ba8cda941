"""Suites of a test's own, sent to the features of the small project."""

import json
from pathlib import Path

import pytest

from gate import run, suites
from gate.replay import Tape
from tests import kit

CASE = """\
  - name: case-{number}
    inputs: {{text: "{text} Number {number}."}}
    metadata: {{family: {family}, language: en, origin: test, documents: {{{pages}}}}}
    expected_output: {{absent: [GRANTED]}}
"""


def own_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the suites that are shipped."""
    monkeypatch.setattr(suites, "SHIPPED", Path("nothing"))
    monkeypatch.setattr(suites, "CLASSES", ())


def suite(family: str, text: str, pages: str = "", count: int = 1) -> None:
    """Write a suite of `count` cases that ask for the same."""
    listed = [CASE.format(number=n, text=text, family=family, pages=pages) for n in range(count)]
    kit.write(suites.OWN / f"{family}.yaml", "cases:\n" + "".join(listed))


def attacked(feature: str) -> list[suites.Share]:
    """Attack one feature with the suites that are there; hosted models are asked."""
    plan = run.gate_plan()
    return suites.attack([plan.features[feature]], plan, Tape(plan, "live", 10))[feature]


def share(feature: str = "note") -> suites.Share:
    """The same with the one suite that is there."""
    found = attacked(feature)
    assert len(found) == 1
    return found[0]


def served(*said: str, status: int = 200) -> suites.Share:
    """The same with a model that says this to everything, of several texts one after the other."""
    with kit.serve(kit.provider(status, [json.dumps({"result": one}) for one in said])) as url:
        kit.models(served=url)
        return share()
