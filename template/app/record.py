"""One usage row a request, written in groups: a commit for many rows costs what one row's does."""

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import case
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db import Result, Spend, Usage
from app.metrics import Metrics
from app.row import Row

log = logging.getLogger(__name__)
GROUP = 200
CLOSE_S = 10
RETRY_S = (0.1, 0.5, 1, 2, 5)
SETTLED = ("done", "failed")


@dataclass(frozen=True)
class Entry:
    """What one request leaves: its usage row, its result, or both; `written` tells when it is safe."""

    row: Row | None = None
    result: dict[str, Any] | None = None
    written: asyncio.Future[bool] | None = None

    def settle(self, *, safe: bool) -> None:
        """Tell who waits."""
        if self.written and not self.written.done():
            self.written.set_result(safe)


class Recorder:
    """Takes entries at once, writes them in groups in the background."""

    def __init__(self, engine: AsyncEngine, metrics: Metrics) -> None:
        self.engine = engine
        self.metrics = metrics
        self.waiting: asyncio.Queue[Entry] = asyncio.Queue()
        self.writer = asyncio.create_task(self.write())

    def save(self, row: Row, result: dict[str, Any] | None = None) -> None:
        """Count a finished request and queue what it leaves."""
        self.metrics.count(row)
        self.waiting.put_nowait(Entry(row, result))

    async def keep(self, result: dict[str, Any], row: Row | None = None) -> bool:
        """Write a result now; False if the database did not take it."""
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.waiting.put_nowait(Entry(row, result, written))
        return await written

    async def write(self) -> None:
        """Write what waits, for ever."""
        while True:
            group = [await self.waiting.get()]
            while not self.waiting.empty() and len(group) < GROUP:
                group.append(self.waiting.get_nowait())
            await self.insert(group)
            for _ in group:
                self.waiting.task_done()

    async def insert(self, group: list[Entry]) -> None:
        """Write a group; wait for a database that is away; one bad entry does not sink the others."""
        for pause_s in (*RETRY_S, None):
            try:
                async with self.engine.begin() as connection:
                    await write(connection, group)
            except (OperationalError, InterfaceError, OSError) as error:
                fault = type(error).__name__
                if pause_s is None:
                    return self.give_up(group, fault)
                log.warning("usage rows wait for the database", extra={"count": len(group), "fault": fault})
                await asyncio.sleep(pause_s)
            except Exception as error:  # the writer must outlive any row: without it no request is billed
                if len(group) == 1:
                    return self.give_up(group, type(error).__name__)
                for entry in group:
                    await self.insert([entry])
                return None
            else:
                for entry in group:
                    entry.settle(safe=True)
                return None
        return None

    def give_up(self, group: list[Entry], fault: str) -> None:
        """Say in the log which requests left no row."""
        for entry in group:
            name = entry.row.id if entry.row else (entry.result or {}).get("id")
            log.error("usage row lost", extra={"id": name, "fault": fault})
            entry.settle(safe=False)

    async def close(self) -> None:
        """Write the rest, then stop."""
        try:
            await asyncio.wait_for(self.waiting.join(), CLOSE_S)
        except TimeoutError:
            log.error("usage rows lost", extra={"count": self.waiting.qsize()})
        self.writer.cancel()


async def write(connection: AsyncConnection, group: list[Entry]) -> None:
    """One transaction: results, usage rows, and what those that are new add to their tenants' spending."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    if results := [entry.result for entry in group if entry.result]:
        new = insert(Result)
        # A job that was run twice does not replace the answer that its caller may have read.
        change = {
            name: case((Result.state.in_(SETTLED), Result.__table__.c[name]), else_=new.excluded[name])
            for name in ("state", "body", "lease_until")
        }
        await connection.execute(new.on_conflict_do_update(index_elements=["id"], set_=change), results)
    rows = {entry.row.id: entry.row for entry in group if entry.row}
    if not rows:
        return
    usage = insert(Usage).on_conflict_do_nothing(index_elements=["id"]).returning(Usage.id)
    written = await connection.execute(usage, [row.values() for row in rows.values()])
    spent = spending([rows[name] for name in written.scalars()])
    if spent:
        more = insert(Spend)
        added = {"usd": Spend.usd + more.excluded.usd, "tokens": Spend.tokens + more.excluded.tokens}
        keys = ["tenant_id", "month"]
        await connection.execute(more.on_conflict_do_update(index_elements=keys, set_=added), spent)


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
