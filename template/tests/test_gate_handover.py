"""The client's page: real numbers where there are some, and plain words where there are none."""

import asyncio
import re
import subprocess
from datetime import datetime, timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from app import db
from app.db import Alert, Base, Usage
from gate import cli, report
from gate.judge import Verdict
from tests import kit, runs

ROW = {
    "tenant_id": "acme", "feature": "note", "prompt": "v1", "model": "first", "outcome": "ok",
    "cached": False, "input_tokens": 1, "output_tokens": 1, "cost_usd": Decimal("0.001"),
    "latency_ms": 100.0, "flags": [],
}  # fmt: skip


def ago(days: float) -> datetime:
    """The time some days ago."""
    return db.now() - timedelta(days=days)


def plant(table: type[Base] = Usage, rows: list[dict[str, Any]] | None = None) -> None:
    """Set the app up, with these rows."""

    async def write() -> None:
        async with kit.site() as site, site.held.engine.begin() as connection:
            if rows:
                await connection.execute(insert(table), rows)

    asyncio.run(write())


def usage(count: int, days: float = 1, **given: object) -> list[dict[str, Any]]:
    """So many usage rows of some days ago."""
    return [{**ROW, "at": ago(days), **given, "id": f"{given}{days}{n}"} for n in range(count)]


def alert(name: str, severity: str, days: float, hours: float | None, said: str) -> dict[str, Any]:
    """An alert that opened some days ago, and how long it lasted."""
    over = ago(days) + timedelta(hours=hours) if hours is not None else None
    given = {"name": name, "severity": severity, "said": said, "at": ago(days), "resolved_at": over}
    return {**given, "id": f"{name}{severity}{days}", "subject": "note"}


def page(*words: str) -> str:
    """The page that the command writes, as text without tags."""
    assert kit.command(cli.main, "handover", *words) == 0
    shown = Path("var/reports/handover.html").read_text(encoding="utf-8").partition("</style>")[2]
    return unescape(" ".join(re.sub("<[^>]+>", " ", shown).split()))


def commit(score: float, key: str = "") -> None:
    """Commit a baseline of `note` with two cases; one is always the same."""
    given = f'"score": {score}, "tokens": 100, "key": "{key}"'
    kit.write(
        "features/note/baseline.json",
        f'{{"cases": {{"a": {{{given}}}, "only-{score}": {{"score": 0.9, "tokens": 9}}}}}}',
    )
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "core.hooksPath=/dev/null"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "accept"]):
        subprocess.run(["git", *command], check=True, capture_output=True)


def test_without_data_it_says_so_and_shows_no_number(project):
    plant()
    said = page()
    assert "Requests – No traffic recorded yet." in said
    assert "Uptime, by requests – No traffic recorded yet." in said
    assert "Cost of the models – No traffic recorded yet." in said
    assert "No check is recorded yet." in said
    assert "No incident was recorded. No traffic recorded yet." in said
    assert "no accepted result is recorded yet" in said
    assert "kept" not in said.lower().partition("how to read")[0].replace("the 28 days before kept", "")


def test_a_database_that_was_never_set_up_is_not_called_quiet(project):
    said = page()
    assert "The app's records could not be read" in said
    assert "run 'uv run app setup'" in said
    assert "No traffic recorded yet" not in said
    assert "No incident" not in said


def test_traffic_is_counted_as_it_was(project):
    slow = [{**row, "latency_ms": 800.0} for row in usage(2, user_id="slow")]
    plant(rows=[*usage(36), *slow, *usage(2, outcome="no_model"), *usage(50, days=40, user_id="before")])
    said = page()
    assert "Requests 40 that had to be answered" in said
    assert "Uptime, by requests 95.00 %" in said
    assert "Cost of the models $0.0400 $0.0010 a request" in said
    assert "note 40 50 2 100 ms $0.0400" in said


def test_the_slowest_twentieth_is_that_of_the_real_requests(project):
    none = [*usage(50, outcome="blocked", latency_ms=1.0), *usage(50, model="sample", latency_ms=1.0)]
    plant(rows=[*none, *({**row, "latency_ms": float(n)} for n, row in enumerate(usage(200), start=1))])
    assert "note 200 – 0 190 ms" in page()


def test_refusals_and_sample_data_are_no_traffic(project):
    plant(rows=[*usage(9, outcome="blocked"), *usage(9, outcome="over_budget"), *usage(9, model="sample")])
    assert "Requests – No traffic recorded yet." in page()


def test_the_window_is_as_long_as_was_asked(project):
    plant(rows=[*usage(3, days=2), *usage(4, days=5)])
    assert "Requests 7 " in page("--days", "6")
    assert "Requests 3 " in page("--days", "3")


def test_promises_are_kept_missed_or_too_early_to_say(project):
    plant(
        rows=[
            *usage(88),
            *usage(12, outcome="no_model"),
            *usage(8, feature="ask"),
            *usage(2, feature="ask", outcome="cut"),
        ]
    )
    promises = page().partition("What was promised")[2].partition("Use and speed")[0]
    assert "at most 1 % of requests failed 12 % – ✕ missed" in promises
    assert "at most 1 % of requests failed 20 % – too few to say" in promises
    assert "at most 5 % of requests took longer than 900 ms 0 % – ✓ kept" in promises


def test_one_fault_is_told_once_with_its_end(project):
    fault = [
        alert("slo-errors", "page", 3, 2, "half failed"),
        alert("slo-errors", "ticket", 3, 5, "some failed"),
    ]
    open_now = alert("slo-latency", "ticket", 40, None, "slow")
    plant(
        Alert,
        [
            *fault,
            open_now,
            alert("slo-errors", "page", 40, 1, "old"),
            alert("budget-usd-50", "page", 1, 1, "spent"),
        ],
    )
    said = page()
    assert "Incidents 2 a promise was being broken" in said
    assert said.count("half failed") == 1
    assert "still open note slow" in said
    assert not [
        word for word in ("some failed", "old urgent", "spent") if word in said.partition("How to read")[0]
    ]


def test_before_and_after_are_accepted_results_on_the_cases_they_share(project):
    for score in (0.5, 0.6, 0.75):
        commit(score)
    row = page().partition("Before and after")[2].partition("What was promised")[0]
    assert re.search(r"note \d{4}-\d\d-\d\d → \d{4}-\d\d-\d\d 1 50\.0 % 75\.0 % 100 100", row)


def test_a_case_of_another_content_is_not_compared(project):
    for score, key in ((0.5, "one"), (0.75, "two")):
        commit(score, key)
    assert "no question is in both: they cannot be compared" in page()


def test_one_accepted_result_is_nothing_to_compare(project):
    commit(0.5)
    assert "one accepted result so far: nothing to compare with yet" in page()


def test_the_last_check_and_the_trend_of_a_named_history(project):
    report.write(Path("var"), [runs.golden([1.0, 0.5])], [Verdict("note", "score", "PASS", "fine")])
    Path("var/reports/history.jsonl").rename("kept.jsonl")
    said = page("--history", "kept.jsonl")
    assert "note 2 75.0 % 1 1" in said
    assert "ask not part of the last check" in said
    assert "Score 75.0 % first run that is stored" in said
    assert "Result: passed" in said


def test_a_history_that_is_not_there_is_refused(project):
    assert kit.command(cli.main, "handover", "--history", "nothing.jsonl") == 2


def test_what_alerts_say_is_text(project):
    plant(Alert, [alert("slo-errors", "page", 1, 1, "<script>alert(1)</script>")])
    page()
    shown = Path("var/reports/handover.html").read_text(encoding="utf-8")
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
