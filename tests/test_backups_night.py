"""What nobody watches: the nightly backup, the bucket in S3, and where the secrets are meanwhile."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import backup_stage, services
from tests.backup_stage import DATABASE_PASSWORD, NAME, PASSWORD, Running, docker, psql
from tests.rendered import Project

Render = Callable[..., Project]
MOTO = "moto[server]==5.2.5"
S3_SECRET = "only-restic-sends-this"  # noqa: S105
ENSURE = """
from ops import backups, cli_backup
with cli_backup.opened("staging") as (machine, rules):
    backups.ensure_nightly(machine, rules)
"""
LONG_AGO = '{"ok": true, "at": "2026-01-01T03:00:00+00:00"}'


@pytest.fixture
def stage(render: Render, tmp_path: Path) -> Iterator[Running]:
    """Start a stage with 2000 rows in SQLite and one page."""
    with backup_stage.filled(render(project_slug=backup_stage.SLUG), tmp_path) as running:
        yield running


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, at most 40 seconds."""
    for _ in range(80):
        if holds():
            return
        time.sleep(0.5)
    raise TimeoutError(docker("logs", f"{NAME}-backup"))


def test_a_missed_night_is_made_up_for_and_a_failed_one_is_seen(stage: Running) -> None:
    assert stage.ops("backup", "staging", "--list", code=2)
    stage.python(f"open('/backups/status.json', 'w').write('{LONG_AGO}')")
    stage.project.check("python", "-c", ENSURE)
    until(lambda: "2026-01-01" not in listed(stage))
    assert "nightly" in listed(stage)
    assert "UTC, ok" in listed(stage)
    stage.keep(app_backup_password="another")  # noqa: S106
    stage.python(f"open('/backups/status.json', 'w').write('{LONG_AGO}')")
    stage.project.check("python", "-c", ENSURE)
    until(lambda: "Restarting" in seen() or int(seen().split()[0]) > 0)
    stage.keep(app_backup_password=PASSWORD)
    assert "FAILED: restic backup" in listed(stage)


def seen() -> str:
    """How often the nightly container was started again."""
    return docker("inspect", "-f", "{{.RestartCount}} {{.State.Status}}", f"{NAME}-backup")


def listed(stage: Running) -> str:
    """The snapshots and the last night; empty where there is no repository yet."""
    done = stage.project.run("ops", "backup", "staging", "--list")
    return done.stdout if done.returncode == 0 else "2026-01-01"


@contextmanager
def s3(host: str) -> Iterator[str]:
    """An S3 of our own; gives its URL."""
    port = services.free_port()
    words = ["uv", "run", "--no-project", "--quiet", "--with", MOTO, "moto_server", "-p", str(port)]
    words += ["-H", "0.0.0.0"]  # noqa: S104  # the stage's network reaches it
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        services.wait(port)
        yield f"http://{host}:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_a_bucket_in_s3_holds_the_backups(stage: Running) -> None:
    with s3(backup_stage.gateway()) as url:
        stage.keep(app_backup_s3_id="AKIAIOSFODNN7", app_backup_s3_secret=S3_SECRET)
        stage.rules(f'repository = "s3:{url}/desk-backups/staging"')
        assert "2000 rows" in stage.ops("backup", "staging", "--tag", "pre-1")
        stage.sql("drop table usage")
        stage.ops("restore", "staging", "--at", "pre-1", "--confirm", "staging", "--unsaved")
        assert "2000 rows in 1 tables are as they were saved" in stage.ops("drill", "staging")
        assert stage.python("import os; print(os.path.exists('/backups/restic'))") == "False\n"


def test_no_secret_is_in_a_command_line_an_environment_of_a_container_or_a_log(stage: Running) -> None:
    with backup_stage.postgres() as url, s3(backup_stage.gateway()) as bucket:
        psql(url, "create table usage (id int, said text)")
        psql(url, "insert into usage select i, repeat(md5(i::text), 20) from generate_series(1, 60000) i")
        stage.keep(app_database_url=url, app_backup_s3_id="AKIAIOSFODNN7", app_backup_s3_secret=S3_SECRET)
        stage.rules(f'repository = "s3:{bucket}/desk-backups/staging"')
        stage.python(f"open('/backups/status.json', 'w').write('{LONG_AGO}')")
        stage.project.check("python", "-c", ENSURE)
        told = told_while(["ops", "backup", "staging", "--tag", "pre-1"], stage)
        told += told_while(["ops", "drill", "staging"], stage)
        told += told_while(["ops", "restore", "staging", "--at", "pre-1", "--confirm", "staging"], stage)
        told += docker("logs", f"{NAME}-backup")
    assert "pg_dump" in told
    assert "backup.py\0" in told
    assert "restic\0" in told
    assert [secret for secret in (PASSWORD, DATABASE_PASSWORD, S3_SECRET) if secret in told] == []


def told_while(words: list[str], stage: Running) -> str:
    """Every command line of this machine, and all that Docker tells of the stage, while a command runs."""
    command = ["uv", "run", "--quiet", *words]
    found: set[str] = set()
    process = subprocess.Popen(
        command, cwd=stage.project.root, env=stage.project.environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    while process.poll() is None:
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                found.add(place.read_text(errors="replace"))
            except OSError:
                continue
        names = docker("ps", "-aq", "--filter", f"label=deploy.app={NAME}").split()
        inspected = subprocess.run(["docker", "inspect", *names], capture_output=True, text=True, check=False)
        found.add(json.dumps(inspected.stdout))
        for name in names:
            logs = subprocess.run(["docker", "logs", name], capture_output=True, text=True, check=False)
            found.add(logs.stdout + logs.stderr)
    assert process.returncode == 0, process.stdout and process.stdout.read()
    return "\n".join(line for line in found if "initdb" not in line)
