"""A cache in one SQLite file: JSON that survives a restart, never pickles."""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

MAX_ENTRIES, TRIM_EVERY = 100_000, 1_000


class Disk:
    """Answers by key until they expire. A file that cannot be written is a cache that keeps nothing."""

    def __init__(self, path: str) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=1)
        self.connection.execute("pragma journal_mode=wal")
        self.connection.execute("pragma synchronous=off")  # losing the last answers costs a miss each
        self.connection.execute(
            "create table if not exists answer (key text primary key, value text, expires real) without rowid"
        )
        self.connection.execute("create index if not exists expiry on answer (expires)")
        self.puts = 0
        self.trim()

    def get(self, key: str) -> dict[str, Any] | None:
        """A stored answer, or None."""
        try:
            query = "select value from answer where key = ? and expires > ?"
            row = self.connection.execute(query, (key, time.time())).fetchone()
        except sqlite3.Error:
            return None
        return dict(json.loads(row[0])) if row else None

    def put(self, key: str, value: dict[str, Any], ttl_s: int) -> None:
        """Keep an answer for `ttl_s` seconds."""
        row = (key, json.dumps(value), time.time() + ttl_s)
        self.change("insert or replace into answer values (?, ?, ?)", row)
        self.puts += 1
        if self.puts % TRIM_EVERY == 0:
            self.trim()

    def purge(self, prefix: str) -> None:
        """Forget every answer whose key begins so."""
        self.change("delete from answer where key >= ? and key < ?", (prefix, prefix[:-1] + ";"))

    def trim(self) -> None:
        """Drop what has expired, and the oldest above MAX_ENTRIES."""
        self.change("delete from answer where expires <= ?", (time.time(),))
        oldest = "select key from answer order by expires desc limit -1 offset ?"
        self.change(f"delete from answer where key in ({oldest})", (MAX_ENTRIES,))  # noqa: S608

    def change(self, statement: str, values: tuple[object, ...]) -> None:
        """Run one statement; a full disk must not fail the request."""
        try:
            self.connection.execute(statement, values)
        except sqlite3.Error:
            return

    def close(self) -> None:
        """Release the file."""
        self.connection.close()
