"""A worker's name: the first free slot, held as long as its process lives.

Two workers of one name would run each other's jobs; a name that never comes back would strand its jobs.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.errors import ConfigError, Fault

SLOTS = 8
NAMES = (*(f"worker-{number}" for number in range(SLOTS)), "alone", "rollouts", "beside")
# Any number that nothing else in the database locks.
LOCK = 7_305_118
# PostgreSQL frees its locks when it restarts: their holders ask for them again this often. Who asked in vain
# so many times has lost its slot to a worker, and not to one that looks for the dead.
ASK_S, MISSES = 1, 3


@dataclass(frozen=True)
class Slot:
    """The name that the job queue knows this worker by, and what holds its lock in a database."""

    name: str
    connection: AsyncConnection | None = None


Holding = AbstractAsyncContextManager[Slot | None]


@asynccontextmanager
async def take(engine: AsyncEngine, var: Path) -> AsyncIterator[Slot]:
    """Hold the first free slot until this process ends or dies; raise ConfigError when all are taken."""
    async with first_free(engine, var, NAMES[:SLOTS]) as slot:
        if slot is None:
            raise ConfigError([Fault(var, "", f"all {SLOTS} worker slots are taken; stop a worker first")])
        yield slot


async def keep(slot: Slot) -> None:
    """Ask for the lock again and again; return when another worker has it."""
    missed = 0
    while missed < MISSES:
        await asyncio.sleep(ASK_S)
        with suppress(SQLAlchemyError, OSError):  # a database that is away gives it to nobody
            missed = 0 if await is_held(slot) else missed + 1


async def is_held(slot: Slot) -> bool:
    """Lock it, or say that another process has; what this one holds it may lock again."""
    if slot.connection is None:
        return True
    number = {"lock": LOCK, "number": NAMES.index(slot.name)}
    async with slot.connection.begin():
        return bool(await slot.connection.scalar(text("select pg_try_advisory_lock(:lock, :number)"), number))


@asynccontextmanager
async def alone(engine: AsyncEngine, var: Path, what: str = "alone") -> AsyncIterator[bool]:
    """Whether this is the one worker that does, while the block runs, what two would do double."""
    async with first_free(engine, var, [what]) as slot:
        yield slot is not None


async def dead(engine: AsyncEngine, var: Path, own: str) -> AsyncIterator[str]:
    """Each name that no worker has, held while its turn lasts, so that no new worker takes it meanwhile."""
    for name in NAMES[:SLOTS]:
        if name != own:
            async with first_free(engine, var, [name]) as slot:
                if slot:
                    yield name


def first_free(engine: AsyncEngine, var: Path, names: Sequence[str]) -> Holding:
    """Hold the first name that nobody holds; None when all are taken."""
    if engine.dialect.name == "postgresql":
        return in_database(engine, names)
    return in_files(var / "slots", names)


@asynccontextmanager
async def in_files(folder: Path, names: Sequence[str]) -> AsyncIterator[Slot | None]:
    """On one machine: a locked file a slot."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    for name in names:
        with suppress(Timeout), FileLock(folder / f"{name}.lock", blocking=False):
            yield Slot(name)
            return
    yield None


@asynccontextmanager
async def in_database(engine: AsyncEngine, names: Sequence[str]) -> AsyncIterator[Slot | None]:
    """On several machines: an advisory lock a slot, held by a connection of its own."""
    async with engine.connect() as connection:
        for slot in (Slot(name, connection) for name in names):
            if await is_held(slot):
                try:
                    yield slot
                finally:
                    await free(connection)
                return
        yield None


async def free(connection: AsyncConnection) -> None:
    """Unlock at once: of a connection that is only closed, the server notices some time later."""
    with suppress(SQLAlchemyError, OSError):
        async with asyncio.timeout(ASK_S), connection.begin():
            await connection.execute(text("select pg_advisory_unlock_all()"))
    await connection.invalidate()  # back in the pool it would keep what is still locked
