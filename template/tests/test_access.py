"""Who may ask: keys, budgets, pauses, policy, the kill switch and the rate limit, as a client sees them."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app import db, tenants
from app.access import Caller
from app.errors import Invalid, NotFound
from tests import kit


@pytest.fixture
async def closed(project):
    """The app as in production: keys are required."""
    async with kit.site(auth="required", pepper=kit.PEPPER, auth_cache_s=0) as site:
        yield site


async def new_key(site: kit.Site, tenant: str = "acme", budget: Decimal | None = None) -> str:
    """A tenant with a key."""
    await tenants.add(site.held.engine, tenant, tenant, budget)
    return await tenants.create_key(site.held.engine, site.held.plan.settings, tenant)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic abc", "bearer \u00e9"])
async def test_no_valid_key_is_401(closed, header):
    headers = {"Authorization": header.encode()} if header else {}
    said = await closed.http.post("/v1/note", json=kit.TEXT, headers=headers)
    assert said.status_code == 401
    assert said.json()["code"] == "unauthorized"


async def test_a_key_opens_and_the_row_names_its_tenant(closed):
    key = await new_key(closed)
    assert (await closed.post("note", kit.TEXT, key)).status_code == 200
    assert [row.tenant_id for row in await closed.rows()] == ["acme"]


async def test_a_revoked_key_is_401(closed):
    key = await new_key(closed)
    assert await tenants.revoke_keys(closed.held.engine, "acme") == 1
    assert (await closed.post("note", kit.TEXT, key)).status_code == 401


async def test_a_new_key_works_after_a_revoke(closed):
    await new_key(closed)
    await tenants.revoke_keys(closed.held.engine, "acme")
    key = await tenants.create_key(closed.held.engine, closed.held.plan.settings, "acme")
    assert (await closed.post("note", kit.TEXT, key)).status_code == 200


async def test_a_tenant_is_added_once_and_with_a_real_budget(closed):
    await new_key(closed)
    with pytest.raises(Invalid, match="there already"):
        await tenants.add(closed.held.engine, "acme", "Acme", None)
    for wrong in ("-5", "nan", "inf"):
        with pytest.raises(Invalid, match="0 or more"):
            await tenants.add(closed.held.engine, "other", "Other", Decimal(wrong))


async def test_a_key_where_none_are_set_up_is_401(project):
    async with kit.site() as site:
        assert (await site.post("note", kit.TEXT, "sw_something")).status_code == 401


async def test_the_database_never_holds_a_key(closed):
    key = await new_key(closed)
    async with closed.held.engine.connect() as connection:
        stored = (await connection.exec_driver_sql("select * from api_key")).all()
    assert key not in str(stored)


async def test_another_pepper_verifies_no_key(closed):
    key = await new_key(closed)
    async with kit.site(auth="required", pepper="another " * 6) as other:
        assert (await other.post("note", kit.TEXT, key)).status_code == 401


async def test_a_spent_budget_is_402(closed):
    key = await new_key(closed, budget=Decimal("0.01"))
    assert (await closed.post("note", kit.TEXT, key)).status_code == 200
    await closed.rows()
    async with AsyncSession(closed.held.engine) as session, session.begin():
        await session.execute(update(db.Spend).values(usd=Decimal("0.01")))
    assert (await closed.post("note", kit.TEXT, key)).status_code == 402


async def test_last_months_spending_does_not_count(closed):
    key = await new_key(closed, budget=Decimal("0.01"))
    await closed.post("note", kit.TEXT, key)
    await closed.rows()
    async with AsyncSession(closed.held.engine) as session, session.begin():
        await session.execute(update(db.Spend).values(usd=Decimal(9), month="2001-01"))
    assert (await closed.post("note", kit.TEXT, key)).status_code == 200


async def test_a_paused_tenant_is_403(closed):
    key = await new_key(closed)
    await tenants.change(closed.held.engine, "acme", paused=True)
    said = await closed.post("note", kit.TEXT, key)
    assert said.status_code == 403
    assert "paused" in said.json()["detail"]
    await tenants.change(closed.held.engine, "acme", paused=False)
    assert (await closed.post("note", kit.TEXT, key)).status_code == 200


async def test_an_old_key_works_until_the_overlap_ends(closed):
    engine, config = closed.held.engine, closed.held.plan.settings
    old = await new_key(closed)
    new = await tenants.rotate_key(engine, config, "acme", timedelta(hours=1))
    assert [(await closed.post("note", kit.TEXT, key)).status_code for key in (old, new)] == [200, 200]
    newest = await tenants.rotate_key(engine, config, "acme", timedelta(0))
    said = [(await closed.post("note", kit.TEXT, key)).status_code for key in (old, new, newest)]
    assert said == [401, 401, 200]


async def test_one_key_is_revoked_by_its_end(closed):
    engine, config = closed.held.engine, closed.held.plan.settings
    first = await new_key(closed)
    second = await tenants.create_key(engine, config, "acme")
    assert await tenants.revoke_keys(engine, "acme", first[-4:]) == 1
    said = [(await closed.post("note", kit.TEXT, key)).status_code for key in (first, second)]
    assert said == [401, 200]


async def test_a_key_is_looked_up_once_in_a_while(project):
    async with kit.site(auth="required", pepper=kit.PEPPER, auth_cache_s=60) as site:
        key = await new_key(site)
        assert (await site.post("note", kit.TEXT, key)).status_code == 200
        await tenants.revoke_keys(site.held.engine, "acme")
        assert (await site.post("note", kit.TEXT, key)).status_code == 200
        site.held.access.known.clear()
        assert (await site.post("note", kit.TEXT, key)).status_code == 401


async def test_what_was_spent_counts_before_the_next_look_up(project):
    price = "price = { input_usd = 1000, output_usd = 1000 }"
    with kit.serve(kit.provider(said='{"result": "x"}')) as url:
        kit.models(first=url)
        kit.edit("config/models.toml", "price = { input_usd = 1, output_usd = 1 }", price)
        async with kit.site(auth="required", pepper=kit.PEPPER, auth_cache_s=60) as site:
            key = await new_key(site, budget=Decimal("0.02"))
            said = [(await site.post("note", {"text": f"Text {n} here."}, key)).status_code for n in range(2)]
    assert said == [200, 402]


async def test_a_spent_budget_of_tokens_is_402(closed):
    key = await new_key(closed)
    await tenants.change(closed.held.engine, "acme", budget_tokens=50)
    assert (await closed.post("note", kit.TEXT, key)).status_code == 200
    await closed.rows()
    said = await closed.post("note", kit.TEXT, key)
    assert (said.status_code, said.json()["code"]) == (402, "over_budget")
    assert said.json()["detail"] == "the budget of 50 tokens for this month is spent"


async def test_tokens_count_before_the_next_look_up(project):
    async with kit.site(auth="required", pepper=kit.PEPPER, auth_cache_s=60) as site:
        key = await new_key(site)
        await tenants.change(site.held.engine, "acme", budget_tokens=50)
        said = [(await site.post("note", {"text": f"Text {n} here."}, key)).status_code for n in range(2)]
    assert said == [200, 402]


async def test_the_budget_that_ends_first_decides_on_economy():
    caller = Caller("acme", Decimal(10), Decimal(1), budget_tokens=100, spent_tokens=90)
    assert caller.share == 0.9
    assert replace(caller, spent_usd=Decimal("9.5")).share == 0.95
    assert Caller("acme").share == 0


async def test_requests_without_a_key_leave_no_row(closed):
    await closed.post("note", kit.TEXT, "wrong")
    assert await closed.rows() == []


async def test_metrics_are_closed_without_their_key(project):
    for key, status in (("", 401), ("metrics-key", 200)):
        async with kit.site(auth="required", pepper=kit.PEPPER, metrics_key=key) as site:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            assert (await site.http.get("/metrics", headers=headers)).status_code == status


@pytest.mark.parametrize("scheme", ["redis", "async+redis"])
async def test_a_store_of_limits_that_is_away_still_answers(project, scheme):
    pytest.importorskip("redis", reason="uv sync --extra redis")
    async with kit.site(limits_url=f"{scheme}://127.0.0.1:1", rate_per_minute=2) as site:
        said = [(await site.post("note", kit.TEXT)).status_code for _ in range(3)]
    assert said == [200, 200, 429]


async def test_more_requests_than_the_limit_are_429_with_the_seconds_to_wait(project):
    async with kit.site(rate_per_minute=2) as site:
        said = [await site.post("note", kit.TEXT) for _ in range(3)]
    assert [one.status_code for one in said] == [200, 200, 429]
    assert 1 <= int(said[2].headers["retry-after"]) <= 60


async def test_one_tenants_rate_does_not_slow_another(project):
    async with kit.site(auth="required", pepper=kit.PEPPER, rate_per_minute=1) as site:
        keys = [await new_key(site, name) for name in ("acme", "globex")]
        said = [await site.post("note", kit.TEXT, key) for key in keys]
    assert [one.status_code for one in said] == [200, 200]


async def test_a_tenants_own_rate_wins_over_the_setting(project):
    async with kit.site(auth="required", pepper=kit.PEPPER, rate_per_minute=1) as site:
        key = await new_key(site)
        await tenants.change(site.held.engine, "acme", rate_per_minute=2)
        said = [(await site.post("note", kit.TEXT, key)).status_code for _ in range(3)]
    assert said == [200, 200, 429]


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget_tokens": -1},
        {"rate_per_minute": 0},
        {"budget_usd": Decimal("nan")},
        {"budget_tokens": 10**15},
    ],
)
async def test_a_limit_that_is_no_amount_is_refused(closed, wrong):
    await new_key(closed)
    with pytest.raises(Invalid, match="or more, less than"):
        await tenants.change(closed.held.engine, "acme", **wrong)


@pytest.mark.parametrize("name", ["", "Acme", "a b", "-a", "a" * 41, "../x"])
async def test_a_tenant_name_that_is_no_slug_is_refused(site, name):
    with pytest.raises(Invalid, match="use a-z, 0-9 and dashes"):
        await tenants.add(site.held.engine, name, name, None)


async def test_a_key_for_no_tenant_names_the_command_that_makes_one(site):
    with pytest.raises(NotFound, match="app tenant add acme"):
        await tenants.create_key(site.held.engine, site.held.plan.settings, "acme")
