"""SQLite files: copied while others write, compared table by table, and put in the place of live ones."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

Tables = dict[str, list[int | str]]
# What the app builds again.
REBUILT = ("cache.db", "gate.db")
BUSY_S = 30


class SqliteFiles:
    """The databases of a volume: every *.db file in its first level that nothing builds again."""

    kind = "sqlite"

    def __init__(self, var: Path) -> None:
        self.var = var

    def is_empty(self) -> bool:
        """Whether there is nothing to save."""
        return not live(self.var)

    def save(self, folder: Path) -> Tables:
        """Copy each file into a folder; `app.db` before `jobs.db`, whose jobs are those of its rows."""
        for name in live(self.var):
            copy(self.var / name, folder / name)
        return held(folder)

    def restore(self, folder: Path, tables: Tables) -> list[str]:
        """Put the copies in the place of the live files, unless they differ from `tables`: then say how."""
        if differing := self.drill(folder, tables):
            return differing
        for name in live(folder):
            put(folder / name, self.var / name)
        return []

    def drill(self, folder: Path, tables: Tables) -> list[str]:
        """How the copies in a folder differ from `tables`."""
        try:
            return differences(tables, held(folder))
        except sqlite3.DatabaseError as error:
            return [f"damaged: {error}"]


def live(folder: Path) -> list[str]:
    """The names of the databases in a folder."""
    return sorted(path.name for path in folder.glob("*.db") if path.name not in REBUILT)


def copy(source: Path, target: Path) -> None:
    """Copy a database as it is at one moment; writers wait for nothing."""
    with closing(sqlite3.connect(f"{source.as_uri()}?mode=rw", uri=True, timeout=BUSY_S)) as connection:
        connection.execute("vacuum into ?", (str(target),))


def held(folder: Path) -> Tables:
    """Rows and checksum of each table of each file; raise sqlite3.DatabaseError, naming the damaged one."""
    found: Tables = {}
    for name in live(folder):
        try:
            found |= {f"{name}: {table}": told for table, told in tables(folder / name).items()}
        except sqlite3.DatabaseError as error:
            raise sqlite3.DatabaseError(f"{name}: {error}") from error
    return found


def tables(path: Path) -> Tables:
    """Rows and checksum of each table of a file that nobody writes; raise DatabaseError if it is damaged."""
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as connection:
        connection.text_factory = bytes
        [said] = connection.execute("pragma integrity_check(1)").fetchone()
        if said != b"ok":
            raise sqlite3.DatabaseError(said.decode())
        # A virtual table has no page of its own; its rows are in tables that have.
        query = "select name from sqlite_master where type = 'table' and rootpage > 0 order by name"
        names = [name.decode() for [name] in connection.execute(query)]
        quoted = {name: '"' + name.replace('"', '""') + '"' for name in names}
        return {name: summed(connection.execute(f"select * from {quoted[name]}")) for name in names}  # noqa: S608


def summed(rows: Iterable[tuple[object, ...]]) -> list[int | str]:
    """How many rows, and the sum of their hashes: the order in which they lie does not matter."""
    count, total = 0, 0
    for row in rows:
        count += 1
        total += int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=16).digest(), "big")
    return [count, f"{total % 2**128:032x}"]


def differences(wanted: Tables, found: Tables) -> list[str]:
    """What a person should know of tables that are not as they were; [rows, checksum] each."""
    said = [f"{name} is missing" for name in wanted.keys() - found.keys()]
    said += [f"{name} was not there" for name in found.keys() - wanted.keys()]
    for name in wanted.keys() & found.keys():
        (before, before_sum), (rows, checksum) = wanted[name], found[name]
        if rows != before:
            said.append(f"{name} has {rows} rows instead of {before}")
        elif checksum != before_sum:
            said.append(f"{name} has other content in its {rows} rows")
    return sorted(said)


def put(new: Path, path: Path) -> None:
    """Replace a database: killed anywhere, the old one or the new one is there, whole.

    What only the old write-ahead log holds goes into the old file first: it would spoil the new one.
    Raises sqlite3.OperationalError while somebody has the old one open.
    """
    if path.exists():
        try:
            with closing(sqlite3.connect(path, timeout=BUSY_S)) as old:
                old.execute("pragma journal_mode=delete")
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:  # it is damaged: there is nothing that its log could save
            for ending in ("-wal", "-shm"):
                path.with_name(path.name + ending).unlink(missing_ok=True)
    publish(new, path)


def publish(new: Path, path: Path) -> None:
    """Move a finished file to its place, on disk before its name is."""
    for place in (new, path.parent):
        opened = os.open(place, os.O_RDONLY)
        os.fsync(opened)
        os.close(opened)
        if place == new:
            os.replace(new, path)  # noqa: PTH105
