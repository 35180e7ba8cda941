"""Look at the usage table every minute: what breaks a promise or nears a budget becomes an alert."""

import asyncio
import itertools
import logging
import time
from datetime import datetime, timedelta

from sqlalchemy import Float, case, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import alerts, db, incidents, notify, seed, slo, slots
from app.alerts import Finding
from app.db import Spend, Tenant, Usage
from app.features import Feature
from app.row import OURS, SERVED
from app.services import Services
from app.slo import Seen

log = logging.getLogger(__name__)
EVERY_S, TELL_S = 60, 10
# Spans of days cost most to read and change least: they are read at each tenth look.
LONG_S, LONG_EVERY = 21_600, 10
NOTHING = dict.fromkeys(("served", "errors", "latency", "cost"), 0.0)
THRESHOLDS = (50, 80, 100)


async def run(services: Services) -> None:
    """Look, and tell more often, for ever; of several workers one at a time."""
    engine, config, watch, due_s = services.engine, services.plan.settings, Watch(services), 0.0
    while True:
        try:
            async with slots.alone(engine, config.var_dir) as mine:
                if mine and time.monotonic() >= due_s:
                    await watch.look(db.now())
                    await incidents.of_alerts(engine, watch.features)
                    due_s = time.monotonic() + EVERY_S
                if mine:
                    await notify.send(engine, config, db.now())
        except Exception as error:  # the loop must outlive a database that restarts
            log.warning("alerts wait", extra={"fault": type(error).__name__})
        await asyncio.sleep(TELL_S)


class Watch:
    """What was seen last of each span and feature."""

    def __init__(self, services: Services) -> None:
        self.engine, self.features = services.engine, services.plan.features
        self.seen: dict[str, dict[str, Seen]] = {}
        self.looks = 0

    async def look(self, now: datetime) -> None:
        """Open and resolve alerts by what is in the tables."""
        for span, seconds in slo.SPANS.items():
            if seconds <= LONG_S or self.looks % LONG_EVERY == 0:
                self.seen[span] = await served(self.engine, self.features, now, seconds)
        self.looks += 1
        found = await budgets(self.engine, f"{now:%Y-%m}")
        for promise in itertools.chain(*map(slo.promises, self.features.values())):
            seen = {span: held.get(promise.feature, NOTHING) for span, held in self.seen.items()}
            found += slo.burning(promise, seen)
        await alerts.settle(self.engine, found, now)


async def served(
    engine: AsyncEngine, features: dict[str, Feature], now: datetime, seconds: int
) -> dict[str, Seen]:
    """What each feature served in the last seconds; sample traffic is none."""
    limit_ms = case({"": 0} | {n: f.spec.slo.p95_ms for n, f in features.items()}, value=Usage.feature)
    was_served, cost = Usage.outcome.in_(SERVED), func.coalesce(func.sum(Usage.cost_usd), 0)
    query = select(
        Usage.feature,
        func.count().filter(was_served).label("served"),
        func.count().filter(Usage.outcome.in_(OURS)).label("errors"),
        func.count().filter(was_served & (Usage.latency_ms > limit_ms)).label("latency"),
        type_coerce(cost, Float).label("cost"),
    ).where(Usage.at.between(now - timedelta(seconds=seconds), now), Usage.model != seed.MODEL)
    async with engine.connect() as connection:
        rows = await connection.execute(query.group_by(Usage.feature))
    return {str(row["feature"]): dict(row) for row in rows.mappings()}


async def budgets(engine: AsyncEngine, month: str) -> list[Finding]:
    """Tenants that used 50, 80 or 100 % of the month's dollars or tokens."""
    query = select(Tenant, Spend).join(Spend, (Spend.tenant_id == Tenant.id) & (Spend.month == month))
    async with AsyncSession(engine) as session:
        rows = (await session.execute(query)).all()
    return [
        budget(tenant, spend, unit, percent)
        for (tenant, spend), unit, percent in itertools.product(rows, ("usd", "tokens"), THRESHOLDS)
        if (limit := getattr(tenant, f"budget_{unit}")) and getattr(spend, unit) * 100 >= limit * percent
    ]


def budget(tenant: Tenant, spend: Spend, unit: str, percent: int) -> Finding:
    """One threshold that is passed; its id makes it one alert a month."""
    name, used, limit = f"budget-{unit}-{percent}", getattr(spend, unit), getattr(tenant, f"budget_{unit}")
    form = ",.2f" if unit == "usd" else ","
    said = f"{used:{form}} of {limit:{form}} {unit} of {spend.month} are used"
    severity: alerts.Severity = "page" if percent == 100 else "ticket"
    return Finding(name, tenant.id, severity, said, id=f"{tenant.id}:{spend.month}:{name}")
