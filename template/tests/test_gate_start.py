"""What the gate runs on: files of its own, little to start with, and scorers that may be wrong."""

import math
import subprocess
import sys

import pytest

from app import scorers
from gate import cli, run
from tests import kit


def test_the_gate_writes_no_index_and_no_limit_that_production_reads(project, monkeypatch):
    monkeypatch.setenv("APP_INDEX_URL", "postgresql://production/index")
    monkeypatch.setenv("APP_LIMITS_URL", "redis://production")
    found = run.gate_plan().settings
    assert (found.index_url, found.cache_url, found.limits_url) == ("", "", "memory://")


def test_the_gate_starts_without_the_web_framework():
    program = "import sys, gate.cli; sys.exit(len({'fastapi', 'structlog'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", program], cwd=kit.ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("scorer", "told"),
    [
        (lambda *_: {"facts": math.nan}, "value of an invalid type: {'facts': nan}."),
        (lambda *_: {"facts": 2}, "facts gave 2"),
        (lambda *_: 1 / 0, "division by zero"),
    ],
)
def test_a_defect_of_a_scorer_is_no_score(project, monkeypatch, capsys, scorer, told):
    monkeypatch.setattr(scorers, "score", scorer)
    assert kit.command(cli.main, "evals", "note") == 2
    said = capsys.readouterr().err
    assert "features/note/golden.yaml: line 3: case 'first-case': scorer: " in said
    assert f"{told}; see app/scorers.py" in said
