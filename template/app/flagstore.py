"""Changes of the flags: each is a row with who and why, then the file that every process reads.

The newest row holds: a file that is older, broken or changed by hand is written again from it.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import alerts, db, files, flags
from app.errors import ConfigError, Fault, Invalid
from app.flags import NONE, Document
from app.ledger import FlagRevision, Trial

log = logging.getLogger(__name__)
TRIES = 5
Edit = Callable[[Document], dict[str, Any]]
Check = Callable[[Document], list[Fault]]


async def newest(session: AsyncSession) -> FlagRevision:
    """The revision that holds; number 0 where nothing was changed yet."""
    query = select(FlagRevision).order_by(FlagRevision.number.desc()).limit(1)
    return await session.scalar(query) or FlagRevision(number=0, document=NONE)


async def every(engine: AsyncEngine, limit: int) -> list[FlagRevision]:
    """The last revisions, the newest first."""
    async with AsyncSession(engine) as session:
        query = select(FlagRevision).order_by(FlagRevision.number.desc()).limit(limit)
        return list(await session.scalars(query))


async def add(
    session: AsyncSession, who: str, reason: str, edit: Edit, check: Check
) -> tuple[Document, Document]:
    """Add a revision in the session's transaction; gives the document before and after.

    Raises ConfigError for the faults that the edit brings, and then nothing is changed; those that were there
    before, of a version that lacks what a flag names, hinder nobody.
    """
    held = await newest(session)
    before, after = held.document, edit(held.document)
    old = check(before)
    if new := [fault for fault in check(after) if fault not in old]:
        raise ConfigError(new)
    session.add(FlagRevision(number=held.number + 1, actor=who, reason=reason, document=after))
    await session.flush()
    return before, after


async def change(engine: AsyncEngine, place: Path, who: str, reason: str, edit: Edit, check: Check) -> int:
    """Change the flags by hand and write the file; returns the revision's number.

    Raises Invalid for what a trial decides, and where others change the flags all the time.
    """
    for _ in range(TRIES):
        try:
            async with AsyncSession(engine) as session, session.begin():
                before, after = await add(session, who, reason, edit, check)
                await leave_trials(session, before["flags"], after["flags"])
        except IntegrityError:  # somebody else's revision came first: this one is made anew from it
            continue
        return await write(engine, place)
    raise Invalid(f"the flags were changed by somebody else {TRIES} times meanwhile; try again")


async def leave_trials(session: AsyncSession, before: Document, after: Document) -> None:
    """Raise Invalid for a changed flag that a rollout or an experiment decides; a kill switch is nobody's."""
    found = await session.scalars(select(Trial).where(Trial.ended_at.is_(None)))
    trials = {trial.feature: trial for trial in found}
    for name in sorted(name for name in {*before, *after} if before.get(name) != after.get(name)):
        feature, _, kind = name.rpartition(".")
        if kind == "enabled":
            continue
        if trial := trials.get(feature):
            remedy = f'stop it first: uv run ops {trial.kind} stop {feature} --reason "..."'
            raise Invalid(f"{name}: {trial.kind} {trial.id} is open; {remedy}")
        if kind in ("rollout", "experiment") and name in after:
            raise Invalid(f"{name}: use uv run ops {kind}, which judges it")


async def write(engine: AsyncEngine, place: Path) -> int:
    """Bring the file to the newest revision, where it is another; returns the revision's number."""
    found, held = await seen(engine, place)
    await asyncio.to_thread(put, place, found, held)
    return held.number


async def mend(engine: AsyncEngine, place: Path) -> None:
    """Bring the file to the newest revision, and open an alert where somebody else wrote it."""
    found, held = await seen(engine, place)
    if said := stray(place, found, held):
        once = f"flags {db.now():%Y-%m-%dT%H:%M}"  # a file that cannot be written is no news each second
        await db.execute(engine, alerts.news(engine, "flags", place.name, said, once))
        log.error("the file of flags is written again", extra={"fault": said})
    await asyncio.to_thread(put, place, found, held)


async def seen(engine: AsyncEngine, place: Path) -> tuple[bytes | None, FlagRevision]:
    """The file and the revision that holds, in this order: no file that a command wrote is the newer one."""
    found = await asyncio.to_thread(written, place)
    async with AsyncSession(engine) as session:
        return found, await newest(session)


def put(place: Path, found: bytes | None, held: FlagRevision) -> None:
    """Write a revision over the file that was found, or over an older one; without revisions make no file."""
    told = text(held)
    if found == told.encode() or (found is None and not held.number):
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_suffix(".lock")):
        now = written(place)
        if now == found or number(place, now) < held.number:
            files.write_atomic(place, told)


def written(place: Path) -> bytes | None:
    """What the file says; None where there is none."""
    try:
        return place.read_bytes()
    except OSError as error:
        return None if isinstance(error, FileNotFoundError) else b""


def number(place: Path, found: bytes | None) -> int:
    """The revision that a file says it is of; -1 where it says none."""
    try:
        told = flags.parse(found or b"", place).get("revision")
    except ConfigError:
        return -1
    return told if isinstance(told, int) else -1


def text(held: FlagRevision) -> str:
    """The file of a revision."""
    return json.dumps({"revision": held.number, **held.document}, indent=2, ensure_ascii=False) + "\n"


def stray(place: Path, found: bytes | None, held: FlagRevision) -> str:
    """What is wrong with the file beside the revision that holds; nothing where it is that one, or older."""
    if found is None or found == text(held).encode():
        return ""
    try:
        flags.parse(found, place)
    except ConfigError as error:
        return str(error)
    is_old = 0 <= number(place, found) < held.number
    what = "was changed by hand; use uv run ops flags, which keeps a record"
    return "" if is_old else f"{place.as_posix()}: {what}"
