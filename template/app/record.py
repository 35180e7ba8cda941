"""One usage row a request, written in groups: a commit for many rows costs what one row's does."""

import asyncio
import logging
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import chain, repeat
from typing import Any

from sqlalchemy import Insert, case, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app import db
from app.db import Json, Result, Spend, Usage
from app.errors import Unavailable
from app.metrics import Metrics
from app.row import Row

log = logging.getLogger(__name__)
GROUP = 200
CLOSE_S = 10
# Rows wait this long for others: many in one commit cost what one costs. Whoever waits for a row does not.
LINGER_S = 0.025
# The last pause is taken again and again.
RETRY_S = (0.1, 0.5, 1, 2)
KEEP_S = 5


@dataclass(frozen=True)
class Entry:
    """What one request leaves: its usage row, its result, or both; `written` tells when it is safe."""

    row: Row | None
    result: Json | None
    written: asyncio.Future[bool]

    def settle(self, *, safe: bool) -> None:
        """Tell who waits."""
        if not self.written.done():
            self.written.set_result(safe)


class Recorder:
    """Takes entries at once, writes them in groups in the background."""

    def __init__(self, engine: AsyncEngine, metrics: Metrics) -> None:
        self.engine = engine
        self.metrics = metrics
        self.waiting: asyncio.Queue[Entry] = asyncio.Queue()
        self.due = asyncio.Event()
        self.fault = ""
        self.writer = asyncio.create_task(self.write())

    def admit(self) -> None:
        """Raise Unavailable while what is answered cannot be written down."""
        if self.fault:
            raise Unavailable(f"{self.fault}; try again in a few seconds")

    def save(self, row: Row, result: Json | None = None) -> asyncio.Future[bool]:
        """Count a finished request and queue what it leaves; the future tells when it is written."""
        self.metrics.count(row)
        return self.put(row, result)

    def put(self, row: Row | None, result: Json | None) -> asyncio.Future[bool]:
        """Queue an entry."""
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.waiting.put_nowait(Entry(row, result, written))
        return written

    async def hurry(self, written: asyncio.Future[bool]) -> None:
        """Wait at most KEEP_S seconds until an entry is written; it stays in the queue after that."""
        self.due.set()
        await asyncio.wait([written], timeout=KEEP_S)

    async def keep(self, result: Json) -> bool:
        """Write a result now; False if the database did not take it within KEEP_S seconds."""
        written = self.put(None, result)
        self.due.set()
        try:
            return await asyncio.wait_for(written, KEEP_S)
        except TimeoutError:
            return False

    async def flush(self) -> None:
        """Write what waits, now."""
        self.due.set()
        await self.waiting.join()

    async def write(self) -> None:
        """Write what waits, for ever."""
        while True:
            group = [await self.waiting.get()]
            with suppress(TimeoutError):
                await asyncio.wait_for(self.due.wait(), LINGER_S)
            self.due.clear()
            while not self.waiting.empty() and len(group) < GROUP:
                group.append(self.waiting.get_nowait())
            await self.insert(group)
            for _ in group:
                self.waiting.task_done()

    async def insert(self, group: list[Entry]) -> None:
        """Write a group, however long the database is away; one bad entry does not sink the others."""
        pauses_s = chain(RETRY_S, repeat(RETRY_S[-1]))
        try:
            while fault := await self.attempt(group):
                log.warning("usage rows wait for the database", extra={"count": len(group), "fault": fault})
                await self.rest(next(pauses_s), fault)
        except Exception as error:  # the writer must outlive any row: without it no request is billed
            await self.one_by_one(group, type(error).__name__)
        else:
            self.fault = ""
            for entry in group:
                entry.settle(safe=True)

    async def attempt(self, group: list[Entry]) -> str:
        """Write a group in one transaction; where the database is away, what it said."""
        try:
            async with self.engine.begin() as connection:
                # Of one that is cancelled the caller was told that it is not kept.
                await write(connection, [entry for entry in group if not entry.written.cancelled()])
        except db.AWAY as error:
            return type(error).__name__
        return ""

    async def rest(self, pause_s: float, fault: str) -> None:
        """Wait for the database; after the short pauses no new request is answered meanwhile."""
        if pause_s == RETRY_S[-1]:
            self.fault = f"the database takes no rows ({fault})"
        await asyncio.sleep(pause_s)

    async def one_by_one(self, group: list[Entry], fault: str) -> None:
        """Write each entry alone; say in the log which request left no row."""
        if len(group) > 1:
            log.warning("a group is written one by one", extra={"fault": fault})
            for entry in group:
                await self.insert([entry])
            return
        for entry in group:
            name = entry.row.id if entry.row else (entry.result or {}).get("id")
            log.error("usage row lost", extra={"id": name, "fault": fault})
            entry.settle(safe=False)

    async def close(self) -> None:
        """Write the rest, then stop."""
        try:
            await asyncio.wait_for(self.flush(), CLOSE_S)
        except TimeoutError:
            log.error("usage rows lost", extra={"count": self.waiting.qsize()})
        self.writer.cancel()


@cache
def statements(dialect: str) -> tuple[Insert, Insert, Insert]:
    """How results, usage rows and what tenants spent are written; made once, for they are costly to build."""
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    result, usage, spend = insert(Result), insert(Usage), insert(Spend)
    # A job that was run twice does not replace the answer that its caller may have read.
    settled = or_(Result.state == "done", Result.state == "failed")  # in_() cannot be written in groups
    change = {
        name: case((settled, Result.__table__.c[name]), else_=result.excluded[name])
        for name in ("state", "body", "lease_until", "expires_at")
    }
    added = {"usd": Spend.usd + spend.excluded.usd, "tokens": Spend.tokens + spend.excluded.tokens}
    return (
        result.on_conflict_do_update(index_elements=["id"], set_=change),
        usage.on_conflict_do_nothing(index_elements=["id"]).returning(Usage.id),
        spend.on_conflict_do_update(index_elements=["tenant_id", "month"], set_=added),
    )


async def write(connection: AsyncConnection, group: list[Entry]) -> None:
    """One transaction: results, usage rows, and what those that are new add to their tenants' spending."""
    result, usage, spend = statements(connection.dialect.name)
    if results := [entry.result for entry in group if entry.result]:
        await connection.execute(result, results)
    rows = {entry.row.id: entry.row for entry in group if entry.row}
    if not rows:
        return
    written = await connection.execute(usage, [row.values() for row in rows.values()])
    if spent := spending([rows[name] for name in written.scalars()]):
        await connection.execute(spend, spent)


def spending(rows: list[Row]) -> list[dict[str, Any]]:
    """Dollars and tokens by tenant and month, in one order, so that no writer locks another out."""
    total: dict[tuple[str, str], list[Any]] = defaultdict(lambda: [Decimal(0), 0])
    for row in rows:
        if row.tenant_id:
            held = total[row.tenant_id, f"{row.at:%Y-%m}"]
            held[0] += row.cost_usd or 0
            held[1] += row.input_tokens + row.output_tokens
    return [
        {"tenant_id": tenant, "month": month, "usd": usd, "tokens": tokens}
        for (tenant, month), (usd, tokens) in sorted(total.items())
    ]
