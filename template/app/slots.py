"""A worker's name: the first free slot, held as long as its process lives.

Two workers of one name would run each other's jobs; a name that never comes back would strand its jobs.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import ConfigError, Fault

SLOTS = 8
NAMES = (*(f"worker-{number}" for number in range(SLOTS)), "alone")
# Any number that nothing else in the database locks.
LOCK = 7_305_118


@dataclass(frozen=True)
class Slot:
    """The name that the job queue knows this worker by."""

    name: str


@asynccontextmanager
async def take(engine: AsyncEngine, var: Path) -> AsyncIterator[Slot]:
    """Hold the first free slot until this process ends or dies; raise ConfigError when all are taken."""
    async with first_free(engine, var, NAMES[:SLOTS]) as slot:
        if slot is None:
            raise ConfigError([Fault(var, "", f"all {SLOTS} worker slots are taken; stop a worker first")])
        yield slot


@asynccontextmanager
async def alone(engine: AsyncEngine, var: Path) -> AsyncIterator[bool]:
    """Whether this is the one worker that does, while the block runs, what two would do double."""
    async with first_free(engine, var, NAMES[SLOTS:]) as slot:
        yield slot is not None


async def dead(engine: AsyncEngine, var: Path, own: str) -> AsyncIterator[str]:
    """Each name that no worker has, held while its turn lasts, so that no new worker takes it meanwhile."""
    for name in NAMES[:SLOTS]:
        if name != own:
            async with first_free(engine, var, [name]) as slot:
                if slot:
                    yield name


def first_free(
    engine: AsyncEngine, var: Path, names: Sequence[str]
) -> AbstractAsyncContextManager[Slot | None]:
    """Hold the first name that nobody holds; None when all are taken."""
    return (
        in_database(engine, names) if engine.dialect.name == "postgresql" else in_files(var / "slots", names)
    )


@asynccontextmanager
async def in_files(folder: Path, names: Sequence[str]) -> AsyncIterator[Slot | None]:
    """On one machine: a locked file a slot."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    for name in names:
        lock = FileLock(folder / f"{name}.lock", blocking=False)
        try:
            with lock:
                yield Slot(name)
                return
        except Timeout:
            continue
    yield None


@asynccontextmanager
async def in_database(engine: AsyncEngine, names: Sequence[str]) -> AsyncIterator[Slot | None]:
    """On several machines: an advisory lock a slot, held by a connection of its own."""
    async with engine.connect() as connection:
        for name in names:
            taken = text("select pg_try_advisory_lock(:lock, :number)")
            if await connection.scalar(taken, {"lock": LOCK, "number": NAMES.index(name)}):
                await connection.commit()
                try:
                    yield Slot(name)
                finally:
                    await connection.invalidate()  # back in the pool it would keep the lock
                return
        yield None
