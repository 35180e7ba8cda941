"""Copies of SQLite files: whole while others write, compared table by table, swapped whole or not at all."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from ops.stages import Backup

SERVER = Path("infra/server").resolve()
sys.path.insert(0, str(SERVER))

import night  # noqa: E402
import postgres_db  # noqa: E402
import saving  # noqa: E402
from restic import Refused, Repository  # noqa: E402
from sqlite_files import SqliteFiles, Tables, held, put  # noqa: E402

COPIES = "import sys; sys.path.insert(0, sys.argv[1]); import sqlite_files as s; from pathlib import Path; "


def fill(path: Path, rows: int, word: str = "said") -> None:
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        connection.execute("pragma journal_mode=wal")
        connection.execute("create table if not exists usage (id integer primary key, said text)")
        connection.execute("create table if not exists pair (a integer, b integer)")
        for _ in range(rows):
            with connection:
                last = connection.execute("insert into usage (said) values (?)", (word,)).lastrowid
                connection.executemany("insert into pair values (?, ?)", [(last, 0), (last, 1)])


def count(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(path)) as connection:
        [found] = connection.execute("select (select count(*) from usage), (select count(*) from pair)")
    return int(found[0]), int(found[1])


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Tables]:
    """A folder with a copy of two databases, and what its tables held."""
    var, folder = tmp_path / "var", tmp_path / "copy"
    var.mkdir()
    folder.mkdir()
    fill(var / "app.db", 20)
    fill(var / "jobs.db", 3)
    (var / "cache.db").write_bytes(b"")
    return folder, SqliteFiles(var).save(folder)


def test_a_copy_holds_whole_transactions_while_others_write(tmp_path: Path) -> None:
    fill(tmp_path / "app.db", 10)
    reader = sqlite3.connect(tmp_path / "app.db")  # what is written stays in the log
    reader.execute("select count(*) from usage").fetchall()
    writers = [threading.Thread(target=fill, args=(tmp_path / "app.db", 150)) for _ in range(2)]
    for writer in writers:
        writer.start()
    seen = []
    for number in range(4):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        while (already := count(tmp_path / "app.db"))[0] < 50 * (number + 1):
            pass
        SqliteFiles(tmp_path).save(folder)
        seen.append(count(folder / "app.db"))
        assert seen[-1] >= already
    for writer in writers:
        writer.join()
    reader.close()
    assert [pairs for _, pairs in seen] == [2 * rows for rows, _ in seen]
    assert count(tmp_path / "app.db") == (310, 620)


def test_a_copy_is_the_same_rows_and_leaves_out_the_cache(saved: tuple[Path, Tables]) -> None:
    folder, tables = saved
    assert {path.name for path in folder.iterdir()} == {"app.db", "jobs.db"}
    assert tables == held(folder.parent / "var")
    assert {name: rows for name, (rows, _) in tables.items()} == {
        "app.db: pair": 40, "app.db: usage": 20, "jobs.db: pair": 6, "jobs.db: usage": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("update usage set said = 'Said' where id = 7", "app.db: usage has other content in its 20 rows"),
        ("delete from usage where id = 7", "app.db: usage has 19 rows instead of 20"),
        ("drop table usage", "app.db: usage is missing"),
        ("create table more (a)", "app.db: more was not there"),
    ],
)
def test_a_drill_names_what_differs(saved: tuple[Path, Tables], change: str, said: str) -> None:
    folder, tables = saved
    with closing(sqlite3.connect(folder / "app.db")) as connection, connection:
        connection.execute(change)
    assert SqliteFiles(folder).drill(folder, tables) == [said]


def test_a_drill_finds_a_truncated_file_and_a_lost_one(saved: tuple[Path, Tables]) -> None:
    folder, tables = saved
    assert SqliteFiles(folder).drill(folder, tables) == []
    os.truncate(folder / "jobs.db", 4096)
    [said] = SqliteFiles(folder).drill(folder, tables)
    assert said.startswith("damaged: jobs.db: ")
    (folder / "jobs.db").unlink()
    assert "jobs.db: usage is missing" in SqliteFiles(folder).drill(folder, tables)


def test_a_drill_finds_a_damaged_index_that_no_row_shows(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection, connection:
        connection.execute("create table t (a text unique)")
        connection.executemany("insert into t values (?)", [(f"{number}",) for number in range(50)])
    tables = held(tmp_path)
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
        [(page,)] = connection.execute("select rootpage from sqlite_master where type = 'index'")
    with (tmp_path / "app.db").open("r+b") as file:
        file.seek((page - 1) * 4096 + 2048)
        file.write(b"x" * 2048)
    [said] = SqliteFiles(tmp_path).drill(tmp_path, tables)
    assert said.startswith("damaged: app.db: ")


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    for name, order in (("a.db", "asc"), ("b.db", "desc")):
        with closing(sqlite3.connect(tmp_path / name)) as connection, connection:
            connection.execute("create table t (a)")
            values = sorted(range(5), reverse=order == "desc")
            connection.executemany("insert into t values (?)", [(value,) for value in values])
    found = held(tmp_path)
    assert found["a.db: t"] == found["b.db: t"]


def test_a_restore_brings_back_what_a_migration_destroyed(saved: tuple[Path, Tables]) -> None:
    folder, tables = saved
    var = folder.parent / "var"
    with closing(sqlite3.connect(var / "app.db")) as connection:
        connection.execute("drop table usage")
    assert SqliteFiles(var).restore(folder, tables) == []
    assert held(var) == tables
    assert not list(var.glob("*-wal"))


def test_a_copy_that_differs_is_not_put_in_place(saved: tuple[Path, Tables]) -> None:
    folder, tables = saved
    fill(folder / "app.db", 1)
    assert SqliteFiles(folder.parent / "var").restore(folder, tables) != []
    assert held(folder.parent / "var") == tables


def test_a_database_that_is_open_is_not_replaced(
    saved: tuple[Path, Tables], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, live = saved[0], saved[0].parent / "var" / "app.db"
    monkeypatch.setattr("sqlite_files.BUSY_S", 0.1)
    with closing(sqlite3.connect(live)) as connection:
        connection.execute("select count(*) from usage").fetchall()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            put(folder / "app.db", live)


def test_a_damaged_database_is_replaced_and_its_log_is_gone(saved: tuple[Path, Tables]) -> None:
    folder, tables = saved
    live = folder.parent / "var" / "app.db"
    live.write_bytes(b"no database" * 1000)
    live.with_name("app.db-wal").write_bytes(b"no log")
    put(folder / "app.db", live)
    assert held(folder.parent / "var") == tables
    assert not live.with_name("app.db-wal").exists()


@pytest.mark.slow
@pytest.mark.parametrize("after", ["journal_mode", "fsync", "replace"])
def test_a_kill_in_the_middle_leaves_the_old_or_the_new_database(tmp_path: Path, after: str) -> None:
    live, new = tmp_path / "app.db", tmp_path / "new.db"
    fill(new, 5, "new")
    with closing(sqlite3.connect(new)) as connection:
        connection.execute("pragma journal_mode=delete")
    # A writer that dies leaves a log that only the next one reads.
    dies = f"import sys, os; sys.path.insert(0, {str(Path.cwd())!r}); from pathlib import Path; "
    dies += "from tests.test_ops_backups import open_log; open_log(Path(sys.argv[1])); os._exit(0)"
    subprocess.run([sys.executable, "-c", dies, str(live)], check=True)
    assert live.with_name("app.db-wal").stat().st_size
    killing = {
        "journal_mode": "s.publish = lambda *_: os.kill(os.getpid(), 9); ",
        "fsync": "s.os.replace = lambda *_: os.kill(os.getpid(), 9); ",
        "replace": "old = os.replace; s.os.replace = lambda *a: (old(*a), os.kill(os.getpid(), 9)); ",
    }[after]
    program = f"import os; {COPIES}{killing} s.put(Path(sys.argv[2]), Path(sys.argv[3]))"
    done = subprocess.run([sys.executable, "-c", program, str(SERVER), str(new), str(live)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert count(live) == ((5, 10) if after == "replace" else (8, 16))


def open_log(path: Path) -> None:
    """Write rows that stay in the log, since the connection is never closed."""
    fill(path, 7)
    connection = sqlite3.connect(path)
    connection.executescript("insert into usage values (100, ''); insert into pair values (100, 0), (100, 1)")
    globals()["kept"] = connection


NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "hour", "expected"),
    [
        ({}, "13:30", NOON.replace(hour=13, minute=30)),
        ({}, "03:00", NOON.replace(hour=3) + timedelta(days=1)),
        ({"ok": True, "at": "2026-04-29T03:00:09+00:00"}, "03:00", datetime(2026, 4, 30, 3, tzinfo=UTC)),
        ({"ok": False, "at": NOON.isoformat()}, "03:00", NOON + night.RETRY),
    ],
)
def test_the_next_night(status: dict[str, object], hour: str, expected: datetime) -> None:
    assert night.due(status, hour, NOON) == expected


def test_a_missing_password_is_told_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="uv run ops secrets set STAGE APP_BACKUP_PASSWORD"):
        Repository("/backups/restic", tmp_path, tmp_path).environment()


def test_an_empty_volume_is_no_database(tmp_path: Path) -> None:
    places = saving.Places(tmp_path, tmp_path, tmp_path, tmp_path)
    with pytest.raises(Refused, match="no database: none in"):
        saving.save(places, Repository("disk", tmp_path, tmp_path), "pre-1")


def test_the_parts_of_a_database_url_reach_the_programs_of_postgres() -> None:
    url = "postgresql+psycopg://app%40x:<p%2Fw>@db.internal:5433/desk?sslmode=require"
    found = postgres_db.environment(url)
    assert (found["PGUSER"], found["PGPASSWORD"]) == ("app@x", "<p/w>")
    assert (found["PGHOST"], found["PGPORT"]) == ("db.internal", "5433")
    assert (found["PGDATABASE"], found["PGSSLMODE"]) == ("desk", "require")


@pytest.mark.parametrize(
    "wrong", [{"repository": "s3:https://a:b@host/bucket"}, {"at": "24:00"}, {"keep_daily": 0}, {"hour": 3}]
)
def test_refuses_wrong_rules(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Backup.model_validate(wrong)
