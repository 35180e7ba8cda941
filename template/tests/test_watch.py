"""Alerts from the usage table: what burns, what is too little to say so, budgets, and none twice."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import delete, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app import alerts, db, tenants
from app.db import Alert, Spend, Usage
from app.watch import Watch
from tests import kit, stores
from tests.processes import process, until

NOW = datetime(2026, 11, 15, 12, tzinfo=UTC)
ROW = {
    "tenant_id": "acme", "feature": "note", "prompt": "v1", "model": "first", "outcome": "ok",
    "cached": False, "input_tokens": 1, "output_tokens": 1, "cost_usd": Decimal("0.0001"),
    "latency_ms": 100.0, "flags": [],
}  # fmt: skip


async def plant(site: kit.Site, count: int, at: datetime = NOW, **given: object) -> None:
    """Usage rows, evenly over the four minutes before."""
    rows = [
        {**ROW, **given, "id": f"{given}{at}{n}", "at": at - timedelta(minutes=4) * (n + 1) / (count + 1)}
        for n in range(count)
    ]
    async with site.held.engine.begin() as connection:
        await connection.execute(insert(Usage), rows)


async def opened(site: kit.Site, now: datetime = NOW) -> list[tuple[str, str]]:
    """Name and severity of the alerts that are open after a look."""
    await Watch(site.held).look(now)
    return sorted((a.name, a.severity) for a in await alerts.every(site.held.engine, resolved=False))


async def test_a_fast_burn_is_a_page_and_a_ticket_in_words_with_numbers(site):
    await plant(site, 60)
    await plant(site, 20, outcome="no_model")
    assert await opened(site) == [("slo-errors", "page"), ("slo-errors", "ticket")]
    said = {a.severity: a.said for a in await alerts.every(site.held.engine, resolved=False)}
    assert said["page"] == ("25 % of requests failed in the last 1h (80 requests): 25 times the 1 % allowed")


@pytest.mark.parametrize(
    ("hours_ago", "quiet", "well", "bad", "severities"),
    [
        (5, 2_000, 80, 20, ["page"]),  # 1h at 20 %, 6h and longer below 1 %
        (20, 1_000, 90, 10, ["page"]),  # 6h at 10 %, longer below 1 %
        (50, 1_500, 300, 12, ["ticket"]),  # 1d at 3.8 %, 3d below 1 %
        (1, 1, 980, 20, ["ticket"]),  # 3d at 2 %
    ],
)
async def test_each_pair_of_windows_alerts_by_itself(site, hours_ago, quiet, well, bad, severities):
    await plant(site, quiet, NOW - timedelta(hours=hours_ago))
    await plant(site, well)
    await plant(site, bad, outcome="internal")
    assert [severity for _, severity in await opened(site)] == severities


async def test_healthy_traffic_opens_nothing(site):
    await plant(site, 2_000)
    await plant(site, 11, outcome="cut")
    await plant(site, 60, latency_ms=5_000.0)
    assert await opened(site) == []


@pytest.mark.parametrize(("well", "bad", "names"), [(1, 1, 0), (1, 9, 0), (1, 10, 4)])
async def test_few_requests_prove_nothing(site, well, bad, names):
    await plant(site, well)
    await plant(site, bad, outcome="no_model", latency_ms=9_000.0)
    assert len(await opened(site)) == names


async def test_a_burst_that_is_over_does_not_page_an_hour_later(site):
    await plant(site, 50, NOW - timedelta(minutes=50), outcome="no_model")
    await plant(site, 50)
    assert ("slo-errors", "page") not in await opened(site)


@pytest.mark.parametrize("outcome", ["blocked", "invalid", "rate_limited", "over_budget", "not_allowed"])
async def test_refusals_are_no_errors_and_hide_none(site, outcome):
    await plant(site, 50, outcome=outcome, latency_ms=9_000.0)
    assert await opened(site) == []
    await plant(site, 40)
    await plant(site, 10, outcome="no_model")
    assert ("slo-errors", "page") in await opened(site)


async def test_slow_answers_burn_the_latency_promise(site):
    await plant(site, 10)
    await plant(site, 90, latency_ms=901.0)
    assert await opened(site) == [("slo-latency", "page"), ("slo-latency", "ticket")]


async def test_nine_dear_answers_prove_nothing(site):
    await plant(site, 9, cost_usd=Decimal(1))
    assert await opened(site) == []


async def test_answers_above_their_price_are_a_ticket(site):
    await plant(site, 20, cost_usd=Decimal("0.0031"))
    assert await opened(site) == [("slo-cost", "ticket")]
    said = (await alerts.every(site.held.engine, resolved=False))[0].said
    assert said == "0.0031 USD a request in the last 6h (20 requests): 1.55 times the 0.002 USD allowed"


async def test_a_feature_where_half_may_fail_still_pages_in_an_outage(project):
    kit.edit("features/note/feature.toml", "error_rate = 0.01", "error_rate = 0.5")
    async with kit.site() as site:
        await plant(site, 60, outcome="no_model")
        assert ("slo-errors", "page") in await opened(site)


async def test_sample_traffic_is_not_looked_at(site):
    await plant(site, 50, outcome="no_model", model="sample")
    assert await opened(site) == []


async def test_an_alert_ends_with_its_cause_and_opens_anew_with_the_next(site):
    later = NOW + timedelta(days=4)
    for at in (NOW, later):
        await plant(site, 50, at, outcome="no_model")
        assert len(await opened(site, at)) == 2
        assert await opened(site, at + timedelta(hours=7)) == []
    assert len(await alerts.every(site.held.engine, resolved=True)) == 4


async def test_an_alert_that_is_open_is_not_opened_again(site):
    await plant(site, 50, outcome="no_model")
    for _ in range(3):
        assert len(await opened(site)) == 2
    first = (await alerts.every(site.held.engine, resolved=True))[0]
    twin = Alert(id="twin", name=first.name, subject=first.subject, severity=first.severity, said="")
    with pytest.raises(IntegrityError):  # a worker that did not see the first
        async with AsyncSession(site.held.engine) as session, session.begin():
            session.add(twin)


async def test_days_are_read_at_each_tenth_look(site):
    await plant(site, 50)
    watch = Watch(site.held)
    await watch.look(NOW)
    async with site.held.engine.begin() as connection:
        await connection.execute(delete(Usage))
    for looks in range(9):
        await watch.look(NOW)
        assert (watch.seen["6h"], watch.seen["3d"]["note"]["served"]) == ({}, 50), looks
    await watch.look(NOW)
    assert watch.seen["3d"] == {}


@pytest.fixture
async def spending(site):
    """A tenant with both budgets that can be made to spend."""
    await tenants.add(site.held.engine, "acme", "Acme", Decimal(25))
    await tenants.change(site.held.engine, "acme", budget_tokens=1000)

    async def spend(usd: str, tokens: int) -> list[tuple[str, str]]:
        async with AsyncSession(site.held.engine) as session, session.begin():
            await session.merge(Spend(tenant_id="acme", month="2026-11", usd=Decimal(usd), tokens=tokens))
        return await opened(site)

    return spend


async def test_a_budget_alerts_at_50_80_and_100_percent(spending, site):
    assert await spending("12.49", 499) == []
    assert await spending("12.50", 0) == [("budget-usd-50", "ticket")]
    assert len(await spending("20", 0)) == 2
    assert (await spending("30", 0))[0] == ("budget-usd-100", "page")
    said = {a.name: a.said for a in await alerts.every(site.held.engine, resolved=False)}
    assert said["budget-usd-50"] == "12.50 of 25.00 usd of 2026-11 are used"
    assert [name for name, _ in await spending("0", 800)] == ["budget-tokens-50", "budget-tokens-80"]


async def test_a_threshold_is_one_alert_a_month(spending, site):
    for usd in ("13", "0", "14"):
        await spending(usd, 0)
    assert len(await alerts.every(site.held.engine, resolved=True)) == 1


async def test_a_new_month_ends_the_alerts_of_the_last(spending, site):
    assert len(await spending("30", 0)) == 3
    assert await opened(site, NOW + timedelta(days=20)) == []


async def test_a_tenant_without_budgets_alerts_nobody(spending, site):
    await tenants.change(site.held.engine, "acme", budget_usd=None, budget_tokens=0)
    assert await spending("99", 99) == []


@pytest.mark.slow
async def test_the_worker_looks(project):
    async with kit.site() as site:
        await plant(site, 50, db.now(), outcome="no_model")
        with process("worker"):
            await until(lambda: stores.read("select count(*) from alert") == [(2,)])
