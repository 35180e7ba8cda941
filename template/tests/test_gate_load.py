"""`gate load`: what the numbers of a route mean, and a real run of it."""

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from gate import cli, run
from gate import load as loads
from gate.errors import LoadFailed
from load import drive
from load.seen import Seen
from load.work import Route, Work
from tests import kit

ROUTE = Route(
    feature="note", inputs=[{"text": "a"}], text="text", slow_ms=900, error_rate=0.01, searches=False
)
ZEROS = dict.fromkeys(("per_s", "p50_ms", "p95_ms", "p99_ms"), 0.0)
# Looked for and not imported: locust patches the sockets and threads of its process.
needs_locust = pytest.mark.skipif(not find_spec("locust"), reason="uv sync --group load")


def seen(requests: int, **counts: object) -> Seen:
    """A route that was asked, with no fault but these."""
    none = {"slow": 0, "errors": 0, "refused": 0, "cached": 0}
    return Seen(feature="note", way="whole", slow_ms=900, requests=requests, **{**ZEROS, **none, **counts})


@pytest.mark.parametrize(
    ("requests", "slow", "word"),
    [
        (2_000, 0, "PASS"),
        (2_000, 80, "PASS"),
        (2_000, 95, "INCONCLUSIVE"),
        (2_000, 105, "INCONCLUSIVE"),
        (2_000, 130, "BLOCK"),
        (380, 0, "INCONCLUSIVE"),  # one clean request fewer than the 1 % of errors needs
        (381, 0, "PASS"),
        (5, 5, "BLOCK"),
        (1, 1, "BLOCK"),
    ],
)
def test_a_p95_is_held_or_broken_only_as_far_as_the_requests_can_say(requests, slow, word):
    assert loads.judge(seen(requests, slow=slow), ROUTE).word == word


@pytest.mark.parametrize(("errors", "word"), [(5, "PASS"), (20, "INCONCLUSIVE"), (40, "BLOCK")])
def test_errors_are_held_to_their_own_promise(errors, word):
    assert loads.judge(seen(2_000, errors=errors), ROUTE).word == word


def test_a_route_that_only_refuses_is_not_passed_and_says_why():
    verdict = loads.judge(seen(0, refused=500, said={"429 rate_limited": 500}), ROUTE)
    assert verdict.word == "INCONCLUSIVE"
    assert "429 rate_limited: 500" in verdict.lines
    assert "a clean pass needs 381" in verdict.lines[-1]


def test_an_app_that_refuses_part_of_the_load_was_not_tested_at_that_load():
    assert loads.judge(seen(2_000, refused=20), ROUTE).word == "PASS"
    verdict = loads.judge(seen(2_000, refused=40), ROUTE)
    assert verdict.word == "INCONCLUSIVE"
    assert verdict.lines == ("40 were refused: ask with fewer --users, or raise that limit",)


def test_a_feature_that_no_tool_asked_is_an_error(project, monkeypatch):
    monkeypatch.setattr(drive, "run", lambda *_: [seen(2_000)])
    plan = run.gate_plan()
    with pytest.raises(LoadFailed, match="locust saw nothing of ask; see its log in var/load"):
        loads.run(plan, list(plan.features.values()), Work(seconds=1, users=1), "locust")


def gate_load(*words: str) -> int:
    """Run `gate load` for a moment."""
    return kit.command(cli.main, "load", *words)


def test_a_tool_that_is_not_installed_ends_with_2_and_the_remedy(project, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "locust", None)
    assert gate_load("--url", "http://127.0.0.1:1") == 2
    assert "locust is not installed: uv sync --group load" in capsys.readouterr().err
    monkeypatch.setenv("PATH", "")
    assert gate_load("--url", "http://127.0.0.1:1", "--tool", "k6") == 2
    assert "k6 is not installed" in capsys.readouterr().err


@needs_locust
@pytest.mark.slow
def test_a_real_run_is_green_within_its_promises_and_red_beyond_them(project, capsys):
    kit.edit(
        "features/ask/feature.toml", "p95_ms = 900\nerror_rate = 0.01", "p95_ms = 30000\nerror_rate = 0.2"
    )
    assert gate_load("ask", "--seconds", "4", "--users", "4") == 0
    rows = json.loads(Path("var/reports/load.json").read_text())["rows"]
    assert [row["way"] for row in rows] == ["whole", "stream", "search"]
    assert all(row["requests"] > 0 and not row["cached"] and not row["errors"] for row in rows)
    assert rows[1]["first_p50_ms"] < rows[1]["p50_ms"]
    assert len(rows[0]["by_second"]) in (4, 5)
    kit.edit("features/ask/feature.toml", "p95_ms = 30000", "p95_ms = 1")
    assert gate_load("ask", "--seconds", "2", "--users", "4") == 1
    assert "BLOCK  whole: " in capsys.readouterr().out
    page = Path("var/reports/load.html").read_text()
    assert "blocked" in page
    assert re.findall(r"""(?:src|href|url\(|@import)""", page) == []


@needs_locust
@pytest.mark.slow
def test_repeated_questions_come_from_the_cache_and_the_report_counts_them(project):
    kit.edit("features/ask/feature.toml", "error_rate = 0.01", "error_rate = 0.2")
    gate_load("ask", "--seconds", "2", "--users", "2", "--repeat", "1")
    whole = json.loads(Path("var/reports/load.json").read_text())["rows"][0]
    assert whole["cached"] > 0.9 * whole["requests"]


@needs_locust
@pytest.mark.slow
@pytest.mark.parametrize(("status", "word"), [(503, "BLOCK"), (429, "INCONCLUSIVE")])
def test_a_named_app_is_asked_with_the_key_and_nothing_else_is_started(project, monkeypatch, status, word):
    api, keys = FastAPI(), set()

    @api.post("/v1/note")
    async def note(request: Request) -> JSONResponse:
        keys.add(request.headers["authorization"])
        return JSONResponse({"code": "said"}, status)

    monkeypatch.setenv("LOAD_KEY", "of-a-tenant")
    with kit.serve(api) as url:
        assert gate_load("note", "--url", url, "--seconds", "1", "--users", "2") == 1
    rows = json.loads(Path("var/reports/load.json").read_text())["rows"]
    assert [row["verdict"]["word"] for row in rows] == [word, word]
    assert f"{status} said" in rows[0]["said"]
    assert keys == {"Bearer of-a-tenant"}
    assert not Path("var/load/app.log").exists()
