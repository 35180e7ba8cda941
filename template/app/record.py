"""One usage row a request, written in groups: a commit for many rows costs what one row's does."""

import asyncio
import logging
import time
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal

from prometheus_client import CollectorRegistry, Counter, Histogram
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from app import db
from app.db import Usage

log = logging.getLogger(__name__)
GROUP = 200
CLOSE_S = 10
LATENCY_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.9, 1.5, 2.5, 5, 10, 30)


@dataclass
class Row:
    """What is known of a request so far; `outcome` is `ok` or an error's code."""

    id: str
    feature: str
    tenant_id: str = ""
    prompt: str = ""
    model: str = ""
    outcome: str = "cut"
    cached: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = Decimal(0)
    latency_ms: float = 0
    first_token_ms: float | None = None
    flags: list[str] = field(default_factory=list)
    at: datetime = field(default_factory=db.now)
    started: float = field(default_factory=time.perf_counter)

    def elapsed_ms(self) -> float:
        """Milliseconds since the request came in."""
        return (time.perf_counter() - self.started) * 1000

    def values(self) -> dict[str, object]:
        """The columns of the usage table."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "started"}


class Metrics:
    """The counters that /metrics shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        at = self.registry
        self.requests = Counter("app_requests", "Requests", ["feature", "outcome", "cached"], registry=at)
        self.seconds = Histogram(
            "app_request_seconds", "Latency", ["feature"], buckets=LATENCY_S, registry=at
        )
        self.first = Histogram(
            "app_first_token_seconds", "Time to first token", ["feature"], buckets=LATENCY_S, registry=at
        )
        self.tokens = Counter("app_tokens", "Tokens", ["feature", "model", "kind"], registry=at)
        self.cost = Counter(
            "app_cost_usd", "Dollars where the price is known", ["feature", "model"], registry=at
        )
        self.flags = Counter("app_guard_flags", "What the guard found", ["feature", "flag"], registry=at)

    def count(self, row: Row) -> None:
        """Add one request."""
        self.requests.labels(row.feature, row.outcome, str(row.cached).lower()).inc()
        self.seconds.labels(row.feature).observe(row.latency_ms / 1000)
        if row.first_token_ms is not None:
            self.first.labels(row.feature).observe(row.first_token_ms / 1000)
        self.tokens.labels(row.feature, row.model, "input").inc(row.input_tokens)
        self.tokens.labels(row.feature, row.model, "output").inc(row.output_tokens)
        self.cost.labels(row.feature, row.model).inc(float(row.cost_usd or 0))
        for flag in row.flags:
            self.flags.labels(row.feature, flag).inc()


class Recorder:
    """Takes rows at once, writes them in groups in the background."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.metrics = Metrics()
        self.waiting: asyncio.Queue[Row] = asyncio.Queue()
        self.writer = asyncio.create_task(self.write())

    def save(self, row: Row) -> None:
        """Count a finished request and queue its row."""
        self.metrics.count(row)
        self.waiting.put_nowait(row)

    async def write(self) -> None:
        """Write what waits, for ever."""
        while True:
            rows = [await self.waiting.get()]
            while not self.waiting.empty() and len(rows) < GROUP:
                rows.append(self.waiting.get_nowait())
            await self.insert(rows)
            for _ in rows:
                self.waiting.task_done()

    async def insert(self, rows: list[Row]) -> None:
        """Write a group; where one row is bad, write the others alone."""
        try:
            async with self.engine.begin() as connection:
                await connection.execute(insert(Usage), [row.values() for row in rows])
        except Exception as error:  # the writer must outlive any row: without it no request is billed
            if len(rows) == 1:
                log.error("usage row lost", extra={"id": rows[0].id, "fault": type(error).__name__})
                return
            for row in rows:
                await self.insert([row])

    async def close(self) -> None:
        """Write the rest, then stop."""
        try:
            await asyncio.wait_for(self.waiting.join(), CLOSE_S)
        except TimeoutError:
            log.error("usage rows lost", extra={"count": self.waiting.qsize()})
        self.writer.cancel()
