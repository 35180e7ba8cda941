"""Indexes in PostgreSQL for several machines: built as files, taken over whole, searched there."""

import logging
import sqlite3
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, TextClause, create_engine, make_url
from sqlalchemy import text as sql
from sqlalchemy.exc import ArgumentError, ProgrammingError, SQLAlchemyError

from app import db, shelf, text
from app.errors import ConfigError, EncoderDown, Fault, Unavailable
from app.passages import Passage
from app.settings import CONFIG
from app.shelf import Source

log = logging.getLogger(__name__)
# After a failure PostgreSQL is left alone so long: what waits for it in vain keeps others waiting.
REST_S = 1.0
# A machine that vanished costs seconds, not the minutes that TCP would wait.
PATIENCE = {"connect_timeout": 2, "tcp_user_timeout": 5_000}
URL = "write postgresql://user:<password>@host/name, or nothing for files"
NOT_SET_UP = ("42P01", "3F000")  # no such table, no such schema
AWAY = "the PostgreSQL of index_url is away, or has no indexes yet: uv run app setup"
NEEDS = "it needs pgvector (as a superuser: create extension vector) and the right to create a schema"


@cache
def statements() -> dict[str, TextClause]:
    """What pgindex.sql holds, by the names in it."""
    parts = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8").split("-- name: ")[1:]
    return {name: sql(said) for name, said in (part.split("\n", 1) for part in parts)}


class Store:
    """The indexes in one PostgreSQL, which no other app uses."""

    def __init__(self, url: str) -> None:
        self.rests_s = 0.0
        try:
            if make_url(url).get_backend_name() != "postgresql":
                raise ArgumentError
            address = make_url(url).set(drivername="postgresql+psycopg")
            self.engine = create_engine(address, pool_pre_ping=True, connect_args=PATIENCE)
        except (ArgumentError, ValueError, ImportError) as error:
            raise ConfigError([Fault(CONFIG, "index_url", f"{type(error).__name__}; {URL}")]) from error

    @contextmanager
    def connected(self, isolation: str = "AUTOCOMMIT") -> Iterator[Connection]:
        """A connection, with another isolation a transaction; raise Unavailable where PostgreSQL is away."""
        if time.monotonic() < self.rests_s:
            raise Unavailable(AWAY)
        try:
            with self.engine.execution_options(isolation_level=isolation).begin() as connection:
                yield connection
        except (*db.AWAY, ProgrammingError) as error:
            fault = getattr(error.__cause__, "sqlstate", None) or type(error).__name__
            if isinstance(error, ProgrammingError) and fault not in NOT_SET_UP:
                raise
            log.warning("the index is away", extra={"fault": fault})
            self.rests_s = time.monotonic() + REST_S
            raise Unavailable(AWAY) from error

    def ask(self, name: str, **values: Any) -> Sequence[Any]:
        """The rows that a statement finds."""
        with self.connected() as connection:
            return connection.execute(statements()[name], values).all()

    def builds(self, source: Source) -> Sequence[Any]:
        """The builds of these pages, the newest first: id, passages, name and time."""
        return self.ask("builds", home=key(source))

    def choose(self, source: Source, builds: Sequence[Any]) -> "Index | None":
        """The build of the present pages where there is one, else the newest."""
        try:
            exact = "" if source.tenant else shelf.path(source).stem
        except OSError:  # a page was removed just now
            exact = ""
        best = sorted(builds, key=lambda build: build.name != exact)
        return Index(self, best[0].id, best[0].size) if best else None

    def publish(self, source: Source, path: Path | None, present: list[Source]) -> None:
        """Take a build over and remove what it replaces: all of it is seen at once, or nothing.

        Raise ConfigError where pgvector is missing.
        """
        kept = (1 if source.tenant else 2) if path else 0
        values = {"home": key(source), "kept": kept, "others": min(kept, 1), "homes": [*map(key, present)]}
        with self.connected("READ COMMITTED") as connection:
            try:
                connection.execute(statements()["tables"])
            except SQLAlchemyError as error:
                what = f"{type(error.__cause__).__name__}; {NEEDS}"
                raise ConfigError([Fault(CONFIG, "index_url", what)]) from error
            if path:
                take(connection, path, values)
            connection.execute(statements()["clear"], values)
            connection.execute(statements()["retire"], values)


class Index:
    """One build: whatever is read belongs to it."""

    def __init__(self, store: Store, build: int, size: int) -> None:
        self.store, self.build, self.size = store, build, size

    def words(self, question: str) -> list[int]:
        """The rows that fit best by their words, best first; none when no word of the question occurs."""
        said = text.language(question)
        asked = {"stems": " ".join(text.terms(question, said)), "language": shelf.LANGUAGES.index(said)}
        return [row for (row,) in self.store.ask("words", build=self.build, size=self.size, **asked)]

    def near(self, vector: bytes) -> list[tuple[float, int]]:
        """The rows whose vectors are nearest, with the cosine, the nearest first."""
        found = self.store.ask("near", build=self.build, vector=shown(vector))
        if not found:
            what = "the index holds no vectors of this length"
            raise EncoderDown(f"{what}; give the model a revision in models.toml, then: uv run app index")
        return [(*hit,) for hit in found]

    def passages(self, rows: list[int]) -> dict[int, Passage]:
        """Passages by their rows; raise Unavailable where the build is gone, and with it what was found."""
        found = self.store.ask("passages", build=self.build, rows=rows)
        if not found:
            raise Unavailable("the index was replaced while it was searched; try again")
        return {row: Passage(*told) for row, *told in found if row is not None}


@cache
def connect(url: str) -> Store | None:
    """The store by URL, one for the process; None where indexes are files."""
    return Store(url) if url else None


def fresh(source: Source, url: str) -> bool:
    """Whether there is an index of the present pages, in the store or as a file."""
    path, store = shelf.path(source), connect(url)
    return path.stem in [build.name for build in store.builds(source)] if store else path.exists()


def key(source: Source) -> str:
    """The home of a source's indexes, the same on every machine."""
    return source.home.relative_to(source.var / "index").as_posix()


def take(connection: Connection, path: Path, values: dict[str, Any]) -> None:
    """Copy a build, unless it is there."""
    build, size = connection.execute(statements()["new"], {**values, "name": path.stem}).one()
    if size:
        return
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as built:
        built.row_factory = sqlite3.Row
        built.create_function("clean", 1, clean)
        built.create_function("shown", 1, shown)
        cursor = built.execute(statements()["built"].text)
        while rows := [{"build": build, **dict(row)} for row in cursor.fetchmany(1_000)]:
            size += len(rows)
            for name in ("passage", "vector"):
                connection.execute(statements()[name], rows)
    connection.execute(statements()["sized"], {"build": build, "size": size})


def clean(said: str) -> str:
    """The text without NUL, which PostgreSQL does not hold."""
    return said.replace("\0", "\ufffd")


def shown(vector: bytes | None) -> str | None:
    """A vector as pgvector reads it."""
    return str([*struct.unpack(f"<{len(vector) // 4}f", vector)]) if vector else None
