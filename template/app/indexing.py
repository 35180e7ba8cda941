"""Build the index of pages: words and vectors in one SQLite file, that appears whole or not at all."""

import hashlib
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import astuple
from itertools import chain
from pathlib import Path
from typing import Any

from filelock import FileLock

from app import files, passages, shelf, text, vectors
from app.embed import Encoder
from app.errors import ConfigError, EncoderDown, Fault
from app.shelf import SCHEMA, Source

# How far it is: passages encoded, of how many.
Tick = Callable[[int, int], None]
INSERT = """
insert into passage (rowid, page, title, heading, body, hash, title_stems, heading_stems, body_stems)
values (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
COPY = """
insert or ignore into vector
select hash, value from donor.vector where hash in (select hash from passage)
"""
NEW = """
select hash, min(title), min(heading), min(body) from passage
where hash not in (select hash from vector) group by hash order by min(rowid)
"""


async def build(source: Source, encoder: Encoder | None, tick: Tick) -> Path | None:
    """Build the index unless it is there; a kill at any point leaves the old one, and what was encoded.

    Without pages there is none. Raise ConfigError for a page that is no text, EncoderDown without vectors.
    """
    if not shelf.pages(source):
        shutil.rmtree(source.home, ignore_errors=True)
        return None
    source.home.mkdir(parents=True, exist_ok=True)
    with FileLock(source.home / "lock"):
        path = shelf.path(source)
        if not path.exists():
            scratch = source.home / f"{uuid.uuid4().hex}.tmp"
            with closing(sqlite3.connect(scratch)) as db:
                write(db, source)
                if encoder:
                    await encode(db, source, encoder, tick)
                    vectors.write(db, path, source.nearest)
                db.execute("pragma journal_mode=delete")  # one file, that is only read from now on
            files.publish(scratch, path)
        path.touch()
        clear(source, path)
    return path


def write(db: sqlite3.Connection, source: Source) -> None:
    """Write every passage."""
    # What is committed outlives this process, a power cut tears nothing, and no commit waits for the disk.
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=normal")
    db.executescript(SCHEMA)
    with db:
        cut = chain.from_iterable(rows(source, *page) for page in shelf.pages(source).items())
        numbered = ((8 * number + language, *row) for number, (language, *row) in enumerate(cut, start=1))
        db.executemany(INSERT, numbered)


def rows(source: Source, name: str, page: Path) -> Iterator[tuple[Any, ...]]:
    """The rows of one page: each passage with its language, its content's hash and its stems."""
    try:
        markdown = page.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([Fault(page, "", f"not UTF-8 at byte {error.start}; save it as UTF-8")]) from error
    language = text.language(markdown)
    for passage in passages.from_page(name, markdown):
        searched = (passage.title, passage.heading, passage.text)
        told = hashlib.sha256("\n".join((source.pin, *searched)).encode()).hexdigest()
        stems = (" ".join(text.terms(part, language)) for part in searched)
        yield (shelf.LANGUAGES.index(language), *astuple(passage), told, *stems)


def copy(db: sqlite3.Connection, donor: Path) -> None:
    """Take the vectors of the same content from another index, or from what a dead build left of one."""
    with suppress(sqlite3.DatabaseError):
        db.execute("attach ? as donor", (str(donor),))
        with db:
            db.execute(COPY)
    with suppress(sqlite3.DatabaseError):  # it could not even be attached
        db.execute("detach donor")


async def encode(db: sqlite3.Connection, source: Source, encoder: Encoder, tick: Tick) -> None:
    """Give each passage its vector, call by call; what is made stays, also when this process dies."""
    beside = source.home.parent.glob(f"{source.corpus.name}-????????/*")
    for donor in sorted(file for file in beside if file.suffix in (".db", ".tmp")):  # few files
        copy(db, donor)
    new = db.execute(NEW).fetchall()
    for start in range(0, len(new), encoder.size):
        part = new[start : start + encoder.size]
        made = await encoder.vectors(["\n".join(row[1:]) for row in part])
        with db:
            pairs = zip((row[0] for row in part), made, strict=True)
            db.executemany("insert into vector values (?, ?)", pairs)
        tick(start + len(part), len(new))
    widths = db.execute("select count(distinct length(value)) from vector").fetchone()[0]
    if widths > 1:
        raise EncoderDown(f"'{encoder.name}' gives vectors of another length than before: give it a revision")


def clear(source: Source, path: Path) -> None:
    """Remove what no search needs: dead builds, and older indexes; of a corpus the last but one stays.

    Two releases of the app share the volume. A tenant's page that is gone shall be gone at once.
    """
    built = sorted(source.home.glob("*.db"), key=lambda index: index.stat().st_mtime_ns)
    kept = {path} if source.tenant else {path, *built[-2:]}
    stems = {index.stem for index in kept}
    for file in source.home.iterdir():
        if file.name != "lock" and file.stem not in stems:
            with suppress(PermissionError):  # on Windows a running app holds it
                file.unlink()


def retire(homes: set[Path], source: Source) -> None:
    """Remove the indexes of other ways to cut and to encode; the last one stays for an older release."""
    found = source.home.parent.glob(f"{source.corpus.name}-????????")
    others = sorted((home for home in found if home not in homes), key=lambda home: home.stat().st_mtime_ns)
    for home in others[: len(others) - bool(shelf.pages(source))]:
        shutil.rmtree(home, ignore_errors=True)
