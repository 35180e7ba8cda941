"""Backups of a stage on a real Docker engine, by the project's own commands: SQLite and PostgreSQL."""

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import backup_stage
from tests.backup_stage import NAME, PASSWORD, Running, docker, psql
from tests.rendered import Project

Render = Callable[..., Project]
STATE = (
    "select count(*), min(id), max(said), (select count(*) from sqlite_master where name = 'half') from usage"
)

# Leaves the lock of a restic that was killed while nobody else may work in the repository.
LOCKED = """
import os, subprocess, sys, time
from pathlib import Path
sys.path.insert(0, "/opt/backup")
from restic import Repository
environment = Repository("/backups/restic", Path("/tmp/cache"), Path("/run/secrets")).environment()
Path("/tmp/cache").mkdir()
for _ in range(100):
    running = subprocess.Popen(["restic", "check", "--read-data"], env=environment, stdout=subprocess.DEVNULL)
    while running.poll() is None and not os.listdir("/backups/restic/locks"):
        time.sleep(0.001)
    running.kill()
    running.wait()
    if os.listdir("/backups/restic/locks"):
        break
print(len(os.listdir("/backups/restic/locks")))
"""


@pytest.fixture
def stage(render: Render, tmp_path: Path) -> Iterator[Running]:
    """Start a stage with 2000 rows in SQLite and one page."""
    with backup_stage.filled(render(project_slug=backup_stage.SLUG), tmp_path) as running:
        yield running


@pytest.fixture
def on_postgres(stage: Running) -> Iterator[str]:
    """Move the stage to a PostgreSQL of its own; gives its URL."""
    with backup_stage.postgres() as url:
        psql(url, "create schema retrieval; create table retrieval.built (a int);"
             "create type mood as enum ('good');"
             "create table usage (id serial primary key, said text, mood mood);"
             "create view last as select * from usage;"
             "create table child (usage_id int references usage, t timestamptz default now());"
             "insert into usage (said, mood) select md5(i::text), 'good' from generate_series(1, 5000) i;"
             "insert into child select id from usage")  # fmt: skip
        stage.keep(app_database_url=url)
        yield url


def started() -> str:
    """When the container that serves was started."""
    return docker("inspect", "-f", "{{.State.StartedAt}} {{.State.Running}}", f"{NAME}-web-1").strip()


def test_a_lock_of_the_dead_stops_no_backup(stage: Running) -> None:
    stage.ops("backup", "staging", "--tag", "one")
    assert stage.python(LOCKED).strip() == "1"
    assert "2000 rows" in stage.ops("backup", "staging", "--tag", "two")


def test_restore_brings_back_a_destroyed_table_and_has_saved_the_present(stage: Running) -> None:
    before, serving = stage.sql(STATE), started()
    assert "2000 rows in 1 tables" in stage.ops("backup", "staging", "--tag", "pre-1")
    assert "2000 rows in 1 tables are as they were saved" in stage.ops("drill", "staging", "--at", "pre-1")
    assert started() == serving
    stage.sql("delete from usage where rowid > 5; create table half (a)")
    stage.python("open('/app/var/documents/t/page.md', 'w').write('second')")
    bad = stage.sql(STATE)
    said = stage.ops("restore", "staging", "--at", "pre-1", "--confirm", "staging")
    assert stage.sql(STATE) == before
    assert stage.python("print(open('/app/var/documents/t/page.md').read())") == "first\n"
    assert started() != serving
    assert started().endswith("true")
    undo = re.search(r"undo: uv run (ops restore staging --at \w+)", said)
    assert undo
    stage.ops(*undo[1].split()[1:], "--confirm", "staging")
    assert stage.sql(STATE) == bad
    assert "before-restore-" in stage.ops("backup", "staging", "--list")


def test_postgres_is_restored_in_one_transaction_and_drilled_in_a_scratch_database(
    stage: Running, on_postgres: str
) -> None:
    query = "select count(*), sum(hashtext(u::text)), (select count(*) from child) from usage u"
    before = psql(on_postgres, query)
    assert "10000 rows in 2 tables" in stage.ops("backup", "staging", "--tag", "pre-1")
    assert "10000 rows in 2 tables are as they were saved" in stage.ops("drill", "staging")
    assert psql(on_postgres, "select datname from pg_database where datname like '%drill%'") == ""
    psql(on_postgres, "drop table child; delete from usage where id > 7; create table half (a int)")
    psql(on_postgres, "insert into retrieval.built values (1)")
    said = stage.ops("restore", "staging", "--at", "pre-1", "--confirm", "staging")
    assert psql(on_postgres, query) == before
    assert (
        psql(on_postgres, "select to_regclass('half') is null, (select count(*) from retrieval.built)")
        == "t|1"
    )
    assert psql(on_postgres, "insert into usage (said) values ('next') returning id") == "5001"
    stage.ops("restore", "staging", "--at", said.split("--at ")[1].split()[0], "--confirm", "staging")
    assert psql(on_postgres, "select count(*), to_regclass('child') is null from usage") == "7|t"


def test_a_drill_says_what_is_not_as_it_was_saved(stage: Running) -> None:
    lie = "import sys; sys.path.insert(0, '/opt/backup'); import saving, restic; P = saving.Places()\n"
    lie += "real = saving.SqliteFiles.save\n"
    lie += "more = {'app.db: usage': [2001, 'x'], 'app.db: gone': [1, 'y']}\n"
    lie += "saving.SqliteFiles.save = lambda *a: {**real(*a), **more}\n"
    lie += "saving.save(P, restic.Repository('/backups/restic', P.kept / 'cache', P.secrets), 'lie')"
    stage.python(lie)
    said = stage.ops("drill", "staging", code=1)
    assert said.splitlines() == ["app.db: gone is missing", "app.db: usage has 2000 rows instead of 2001"]
    said = stage.ops("restore", "staging", "--at", "lie", "--confirm", "staging", code=2)
    assert "is not what was saved: app.db: gone is missing; app.db: usage has 2000 rows" in said
    assert stage.sql(STATE).startswith("(2000,")


def test_what_cannot_be_done_says_why_and_changes_nothing(stage: Running) -> None:
    before, serving = stage.sql(STATE), started()
    assert "nothing was ever saved there" in stage.ops("drill", "staging", code=2)
    stage.ops("backup", "staging", "--tag", "pre-1")
    assert re.search(r"no snapshot 'pre-2' \(the newest: \w{8} pre-1\)", stage.ops(
        "restore", "staging", "--at", "pre-2", "--confirm", "staging", code=2))  # fmt: skip
    assert "that is not 'staging'" in stage.ops(
        "restore", "staging", "--at", "pre-1", "--confirm", "production", code=2
    )
    stage.keep(app_backup_password="another")  # noqa: S106
    assert "put that one back" in stage.ops("backup", "staging", code=2)
    stage.keep(app_backup_password=PASSWORD)
    stage.python("import os; os.rename('/app/var/app.db', '/app/var/away')")
    assert "no database: none in /app/var" in stage.ops("backup", "staging", code=2)
    stage.python("import os; os.rename('/app/var/away', '/app/var/app.db')")
    assert (stage.sql(STATE), started()) == (before, serving)
    assert stage.ops("backup", "staging", "--list").count("pre-1") == 1


def test_a_full_disk_leaves_the_stage_as_it_was(stage: Running) -> None:
    before = stage.sql(STATE)
    stage.ops("backup", "staging", "--tag", "pre-1")
    small = ("--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=300k,uid=10001")
    docker("volume", "rm", f"{NAME}-backups")
    docker("volume", "create", *small, f"{NAME}-backups")
    said = stage.ops("backup", "staging", code=2)
    assert "full" in said or "no space left" in said
    assert stage.sql(STATE) == before


def test_a_killed_restore_leaves_the_old_or_the_new_database(stage: Running) -> None:
    rows = "select count(*) from usage"
    stage.ops("backup", "staging", "--tag", "pre-1")
    seen = set()
    for after_s in (0.5, 1.2, 2.0):
        stage.sql("delete from usage where rowid > 5")
        kill = threading.Thread(target=kill_restore, args=(after_s,))
        kill.start()
        stage.project.run("ops", "restore", "staging", "--at", "pre-1", "--confirm", "staging")
        kill.join()
        seen.add(stage.sql(rows))
    assert seen <= {"(5,)", "(2000,)"}
    stage.ops("restore", "staging", "--at", "pre-1", "--confirm", "staging")
    assert stage.sql(rows) == "(2000,)"
    stage.ops("drill", "staging")


def test_a_restore_that_dies_when_the_old_tables_are_gone_leaves_them(
    stage: Running, on_postgres: str
) -> None:
    stage.ops("backup", "staging", "--tag", "pre-1")
    psql(on_postgres, "delete from child; delete from usage where id > 7")
    dies = "import os, sys; sys.path.insert(0, '/opt/backup'); import postgres_db as p, saving, restic\n"
    dies += "ask, P = p.Session.ask, saving.Places()\n"
    dies += "p.Session.ask = lambda s, what: os._exit(9) if what[:2] == '\\\\i' else ask(s, what)\n"
    dies += "repository = restic.Repository('/backups/restic', P.kept / 'cache', P.secrets)\n"
    dies += "saving.restore(P, repository, 'pre-1', '')"
    stage.python(dies, code=9)
    assert psql(on_postgres, "select count(*), (select count(*) from child) from usage") == "7|0"


def kill_restore(after_s: float) -> None:
    """Kill the container that restores, some time after it is there."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if found := docker("ps", "-q", "--filter", f"name={NAME}-backup-restore").split():
            time.sleep(after_s)
            subprocess.run(["docker", "kill", *found], capture_output=True, check=False)
            return
        time.sleep(0.05)
