"""SLOs of a new project: promtool judges the rules that it writes, and workers on PostgreSQL alert once."""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests import services
from tests.rendered import Project
from tests.test_render import Render

FAILURES = """
insert into usage (id, at, tenant_id, feature, prompt, model, outcome, cached, input_tokens, output_tokens,
    cost_usd, latency_ms, flags)
select 'failed-' || n, now() - interval '1 minute', 'acme', 'answer', 'v2', 'first', 'no_model', false, 1, 1,
    0.0001, 5, '[]' from generate_series(1, 50) n;
insert into tenant (id, name, paused, budget_tokens, created_at) values ('acme', 'Acme', false, 100, now());
insert into spend (tenant_id, month, usd, tokens)
values ('acme', to_char(now() at time zone 'utc', 'YYYY-MM'), 0, 60);
"""
LOCK = """
import asyncio, pathlib
from app import db, settings, slots

async def main():
    engine = db.connect(settings.load().database_url)
    try:
        async with slots.alone(engine, pathlib.Path()):
            raise LookupError
    except LookupError:
        other = db.connect(settings.load().database_url)
        async with slots.alone(other, pathlib.Path()) as mine, slots.alone(engine, pathlib.Path()) as second:
            print(mine, second)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def rules(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the rules that a new project writes."""
    services.program("promtool", "prometheus")
    folder = tmp_path_factory.mktemp("slo")
    said = render().check("gate", "slo", "--out", str(folder))
    assert ("PASS" in said, "not linted" in said) == (True, False)
    return folder


def promtool(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run promtool in a folder."""
    command = [services.program("promtool", "prometheus"), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_promtool_takes_the_rules_and_runs_eight_tests_a_feature(rules: Path) -> None:
    assert "SUCCESS" in promtool("check", "rules", "--lint-fatal", "rules.yml", folder=rules).stdout
    assert promtool("test", "rules", "tests.yml", folder=rules).returncode == 0
    assert (rules / "tests.yml").read_text(encoding="utf-8").count("- name:") == 2 * 8


@pytest.mark.parametrize(
    ("old", "new", "test"),
    [
        ("> 14.4", "> 1440", "errors burn for an hour"),
        ("> 6\n", "> 60\n", "errors burn between the two rates that page"),
        ("> 6\n", "> 0.6\n", "errors burn slowly"),
        ("> 3\n", "> 0.3\n", "healthy"),
        (">= 10", ">= 0", "one of two requests is bad"),
        ("/ 0.002", "/ 0.2", "dear answers"),
        ('le="0.9"', 'le="0.8"', "slow answers"),
        ("no_model|", "", "errors burn fast"),
    ],
)
def test_the_tests_of_the_rules_see_a_rule_that_is_wrong(
    rules: Path, tmp_path: Path, old: str, new: str, test: str
) -> None:
    shutil.copytree(rules, tmp_path / "slo")
    text = (rules / "rules.yml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "slo/rules.yml").write_text(text.replace(old, new), encoding="utf-8")
    done = promtool("test", "rules", "tests.yml", folder=tmp_path / "slo")
    assert done.returncode == 1
    assert f"answer: {test}" in done.stdout + done.stderr


@contextmanager
def webhook(heard: list[dict[str, str]]) -> Iterator[str]:
    """Run a receiver of alerts; gives its address."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output quiet."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_two_workers_on_postgres_open_and_send_each_alert_once(
    render: Render, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(render().root, tmp_path / "project")
    project = Project(tmp_path / "project", tmp_path)
    extra, heard = ("--extra", "postgres"), list[dict[str, str]]()
    with services.postgres() as url, webhook(heard) as hook:
        for name, value in (("DATABASE_URL", url), ("ALERT_WEBHOOK", hook), ("AUTH", "open")):
            monkeypatch.setenv(f"APP_{name}", value)
        project.check(*extra, "app", "setup")
        psql = [
            services.program("psql"),
            url.replace("+psycopg", ""),
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            FAILURES,
        ]
        subprocess.run(psql, check=True, capture_output=True)
        with services.working(project, extra), services.working(project, extra):
            wait_until_heard(heard, 3)
            time.sleep(5)  # a second worker would have told it again by now
        assert project.check(*extra, "python", "-c", LOCK).strip() == "True False"
        listed = project.check(*extra, "app", "alerts")
    told = sorted((one["name"], one["severity"], one["subject"]) for one in heard)
    assert told == [
        ("budget-tokens-50", "ticket", "acme"),
        ("slo-errors", "page", "answer"),
        ("slo-errors", "ticket", "answer"),
    ]
    assert listed.count("open") == 3


def wait_until_heard(heard: list[dict[str, str]], count: int) -> None:
    """Wait at most a minute for so many alerts."""
    for _ in range(600):
        if len(heard) >= count:
            return
        time.sleep(0.1)
    raise TimeoutError(f"{len(heard)} alerts were sent")
