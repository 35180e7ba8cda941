"""Sample tenants and a day of sample traffic, so that the first look is not at empty tables.

The rows say so themselves: their model is `sample`, and `app seed --remove` takes them out again.
"""

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app import db, files, tenants
from app.db import Usage
from app.errors import ConfigError, Fault
from app.files import Strict

TENANTS = Path("data/seed/tenants.toml")
TRAFFIC = Path("data/seed/traffic.csv")
MODEL = "sample"


class Sample(Strict):
    """One tenant of the seed file."""

    name: str
    budget_usd: Decimal | None = None


class Samples(Strict):
    """The content of the seed file; without it there are no samples."""

    tenants: dict[str, Sample] = {}


async def plant(engine: AsyncEngine) -> tuple[list[str], int]:
    """Create the samples that are missing; returns their names and the rows of traffic. Safe to repeat."""
    samples = files.read_toml(TENANTS, Samples).tenants
    rows = list(traffic(db.now().date() - timedelta(days=1)))
    known = {tenant.id for tenant in await tenants.every(engine)}
    for name, sample in ((n, s) for n, s in samples.items() if n not in known):
        await tenants.add(engine, name, sample.name, sample.budget_usd)
    async with engine.begin() as connection:
        there = (await connection.execute(select(Usage.id).where(Usage.model == MODEL).limit(1))).first()
        if rows and not there:
            await connection.execute(insert(Usage), rows)
    return list(samples), len(rows)


async def remove_traffic(engine: AsyncEngine) -> int:
    """Take the sample traffic out; returns how many rows went."""
    return await db.execute(engine, delete(Usage).where(Usage.model == MODEL))


def traffic(day: date) -> Iterator[dict[str, object]]:
    """The rows of the seed file, on this day; raise ConfigError with the line of a bad one."""
    if not TRAFFIC.exists():
        return
    with TRAFFIC.open(encoding="utf-8", newline="") as lines:
        for number, line in enumerate(csv.DictReader(lines), start=2):
            try:
                yield row(number, day, line)
            except (KeyError, TypeError, ValueError) as error:
                what = f"not a row of traffic: {error}"
                raise ConfigError([Fault(TRAFFIC, f"line {number}", what)]) from error


def row(number: int, day: date, line: dict[str, str]) -> dict[str, object]:
    """One line as a usage row."""
    return {
        "id": f"{MODEL}-{number}",
        "at": datetime.combine(day, time.fromisoformat(line["time"]), UTC),
        "tenant_id": line["tenant"],
        "feature": line["feature"],
        "prompt": line["prompt"],
        "model": MODEL,
        "outcome": line["outcome"],
        "cached": line["cached"] == "1",
        "input_tokens": int(line["input_tokens"]),
        "output_tokens": int(line["output_tokens"]),
        "cost_usd": Decimal(0),
        "latency_ms": float(line["latency_ms"]),
        "first_token_ms": float(line["first_token_ms"]) if line["first_token_ms"] else None,
        "flags": line["flags"].split(),
    }
