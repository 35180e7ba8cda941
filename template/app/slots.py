"""A worker's name: the first free slot, held as long as its process lives.

Two workers of one name would run each other's jobs; a name that never comes back would strand its jobs.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import ConfigError, Fault

SLOTS = 8
# Any number that nothing else in the database locks.
LOCK = 7_305_118


@dataclass(frozen=True)
class Slot:
    """The name that the job queue knows this worker by."""

    name: str


@asynccontextmanager
async def take(engine: AsyncEngine, var: Path) -> AsyncIterator[Slot]:
    """Hold the first free slot until this process ends or dies; raise ConfigError when all are taken."""
    opened = in_database(engine) if engine.dialect.name == "postgresql" else in_files(var / "slots")
    async with opened as slot:
        if slot is None:
            raise ConfigError([Fault(var, "", f"all {SLOTS} worker slots are taken; stop a worker first")])
        yield slot


@asynccontextmanager
async def in_files(folder: Path) -> AsyncIterator[Slot | None]:
    """On one machine: a locked file a slot."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    for number in range(SLOTS):
        lock = FileLock(folder / f"worker-{number}.lock", blocking=False)
        try:
            with lock:
                yield Slot(f"worker-{number}")
                return
        except Timeout:
            continue
    yield None


@asynccontextmanager
async def in_database(engine: AsyncEngine) -> AsyncIterator[Slot | None]:
    """On several machines: an advisory lock a slot, held by a connection of its own."""
    async with engine.connect() as connection:
        for number in range(SLOTS):
            taken = text("select pg_try_advisory_lock(:lock, :number)")
            if await connection.scalar(taken, {"lock": LOCK, "number": number}):
                await connection.commit()
                yield Slot(f"worker-{number}")
                return
        yield None
