"""Indexes in PostgreSQL for several machines: built as files, taken over whole, searched there."""

import re
import sqlite3
import struct
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, TextClause, create_engine, make_url
from sqlalchemy import text as sql
from sqlalchemy.exc import ArgumentError, ProgrammingError, SQLAlchemyError

from app import db, shelf, text
from app.errors import ConfigError, Fault, Unavailable
from app.passages import Passage
from app.settings import CONFIG
from app.shelf import Source

# After a failure PostgreSQL is left alone so long: what waits for it in vain keeps others waiting.
REST_S = 1.0
URL = "write postgresql://user:<password>@host/name, or nothing for files"
AWAY = "the PostgreSQL of index_url is away, or has no indexes yet: uv run app setup"
EXTENSION = "has no extension 'vector': install pgvector, then as a superuser: create extension vector"
BUILT = """
select passage.rowid, page, title, heading, body, title_stems, heading_stems, body_stems, value
from passage left join vector using (hash)
"""


@cache
def statements() -> dict[str, TextClause]:
    """What pgindex.sql holds, by the names in it."""
    parts = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8").split("-- name: ")[1:]
    return {name: sql(said) for name, said in (part.split("\n", 1) for part in parts)}


class Store:
    """The indexes in one PostgreSQL, which no other app uses."""

    def __init__(self, url: str) -> None:
        self.rests_s = 0.0
        # A machine that vanished costs seconds, not the minutes that TCP would wait.
        patience = {"connect_timeout": 2, "tcp_user_timeout": 5_000}
        try:
            address = make_url(url)
            if address.get_backend_name() != "postgresql":
                raise ArgumentError
            address = address.set(drivername="postgresql+psycopg")
            self.engine = create_engine(address, pool_pre_ping=True, connect_args=patience)
        except (ArgumentError, ImportError) as error:
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
        exact = [] if source.tenant else [build for build in builds if build.name == shelf.path(source).stem]
        return next((Index(self, build.id, build.size) for build in [*exact, *builds]), None)

    def publish(self, source: Source, path: Path | None, present: list[Source]) -> None:
        """Take a build over and remove what it replaces: all of it is seen at once, or nothing."""
        kept = (1 if source.tenant else 2) if path else 0
        values = {"home": key(source), "kept": kept, "others": min(kept, 1), "homes": [*map(key, present)]}
        with self.connected("READ COMMITTED") as connection:
            prepare(connection)
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
        asked = [*dict.fromkeys(lexemes(" ".join(text.terms(question, said))))]
        values = {"build": self.build, "size": self.size, "language": shelf.LANGUAGES.index(said)}
        return [row for (row,) in self.store.ask("words", lexemes=asked, **values)] if asked else []

    def near(self, vector: bytes) -> list[tuple[float, int]]:
        """The rows whose vectors are nearest, with the cosine, the nearest first."""
        return [(*hit,) for hit in self.store.ask("near", build=self.build, vector=shown(vector))]

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


def key(source: Source) -> str:
    """The home of a source's indexes, the same on every machine."""
    return source.home.relative_to(source.var / "index").as_posix()


def prepare(connection: Connection) -> None:
    """Wait for other builds, then create what is missing; raise ConfigError without pgvector."""
    connection.execute(statements()["wait"])
    try:
        connection.execute(statements()["extension"])
    except SQLAlchemyError as error:
        raise ConfigError([Fault(CONFIG, "index_url", EXTENSION)]) from error
    connection.exec_driver_sql(str(statements()["tables"]))


def take(connection: Connection, path: Path, values: dict[str, Any]) -> None:
    """Copy a build, unless it is there."""
    build, size = connection.execute(statements()["new"], {**values, "name": path.stem}).one()
    if size:
        return
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as built:
        cursor = built.execute(BUILT)
        while rows := [{"build": build, **columns(*row)} for row in cursor.fetchmany(1_000)]:
            size += len(rows)
            for name in ("passage", "vector"):
                connection.execute(statements()[name], rows)
    connection.execute(statements()["sized"], {"build": build, "size": size})


def columns(row: int, *told: Any) -> dict[str, Any]:
    """The columns of one passage; PostgreSQL holds no NUL, and a title's words weigh A, a heading's B."""
    stems, vector = zip(told[4:7], "ABC", strict=True), told[7]
    said = [(word, weight) for part, weight in stems for word in lexemes(part)]
    words = " ".join(f"{word}:{place}{weight}" for place, (word, weight) in enumerate(said, start=1))
    texts = [part.replace("\0", "\ufffd") for part in told[:4]]
    named = dict(zip(("page", "title", "heading", "body"), texts, strict=True))
    return named | {"row": row, "words": words, "value": vector and shown(vector)}


def lexemes(stems: str) -> list[str]:
    """The stems as SQLite takes them apart, without accents; nothing in them needs quoting."""
    plain = [sign for sign in unicodedata.normalize("NFKD", stems) if not unicodedata.combining(sign)]
    return re.findall(r"[^\W_]{1,500}", "".join(plain))  # a lexeme has room for 2,046 bytes


def shown(vector: bytes) -> str:
    """A vector as pgvector reads it."""
    return str([*struct.unpack(f"<{len(vector) // 4}f", vector)])
