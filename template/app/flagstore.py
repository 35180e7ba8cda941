"""Changes of the flags: each is a row with who and why, then the file that every process reads.

The newest row holds: a file that is older, broken or changed by hand is written again from it.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import files, flags
from app.errors import ConfigError, Invalid
from app.flags import Document
from app.ledger import FlagRevision

NONE: Document = {"flags": {}}
TRIES = 5
Edit = Callable[[Document], dict[str, Any]]
Check = Callable[[Document], None]


def path(var: Path) -> Path:
    """The live file, on the volume that both slots of a machine share."""
    return var / flags.NAME


async def newest(session: AsyncSession) -> FlagRevision | None:
    """The revision that holds."""
    return await session.scalar(select(FlagRevision).order_by(FlagRevision.number.desc()).limit(1))


async def every(engine: AsyncEngine, limit: int) -> list[FlagRevision]:
    """The last revisions, the newest first."""
    async with AsyncSession(engine) as session:
        query = select(FlagRevision).order_by(FlagRevision.number.desc()).limit(limit)
        return list(await session.scalars(query))


async def add(session: AsyncSession, who: str, reason: str, edit: Edit, check: Check) -> None:
    """Add a revision in the session's transaction; raise what `check` raises, and then nothing is changed."""
    before = await newest(session)
    document = edit(before.document if before else NONE)
    check(document)
    number = before.number + 1 if before else 1
    session.add(FlagRevision(number=number, actor=who, reason=reason, document=document))
    await session.flush()


async def change(engine: AsyncEngine, place: Path, who: str, reason: str, edit: Edit, check: Check) -> int:
    """Change the flags and write the file; returns the revision's number.

    Raises Invalid where others change them all the time.
    """
    for _ in range(TRIES):
        try:
            async with AsyncSession(engine) as session, session.begin():
                await add(session, who, reason, edit, check)
        except IntegrityError:  # somebody else's revision came first: this one is made anew from it
            continue
        return await write(engine, place)
    raise Invalid(f"the flags were changed by somebody else {TRIES} times meanwhile; try again")


async def write(engine: AsyncEngine, place: Path) -> int:
    """Bring the file to the newest revision, where it is another; returns the revision's number."""
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place.with_suffix(".lock"))
    await asyncio.to_thread(lock.acquire)
    try:
        async with AsyncSession(engine) as session:
            held = await newest(session)
        if held and written(place) != (told := text(held)):
            files.write_atomic(place, told)
        return held.number if held else 0
    finally:
        lock.release()


def written(place: Path) -> str:
    """What the file says; nothing where it cannot be read."""
    try:
        return place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def text(held: FlagRevision) -> str:
    """The file of a revision."""
    return json.dumps({"revision": held.number, **held.document}, indent=2, ensure_ascii=False) + "\n"


def stray(place: Path, held: FlagRevision | None) -> str:
    """What is wrong with the file beside the revision that holds; nothing where it is that one, or older."""
    if not place.exists() or (held and written(place) == text(held)):
        return ""
    try:
        number = flags.read(place).get("revision")
    except ConfigError as error:
        return str(error)
    is_old = isinstance(number, int) and held is not None and number < held.number
    what = "was changed by hand; use uv run ops flags, which keeps a record"
    return "" if is_old else f"{place.as_posix()}: {what}"
