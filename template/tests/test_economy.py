"""Near the end of its budget a tenant gets the smaller tier first, if the gate found that good enough."""

import asyncio
from decimal import Decimal

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app import db, tenants
from app.db import Spend
from gate import cli
from tests import kit

MODELS = '[models.usual]\nprovider = "keyless"\n\n[models.little]\nprovider = "keyless"\ntier = "small"\n'
ECONOMY = '[economy]\ntier = "small"\nabove = 0.8\nmin_score = {floor}\n\n[slo]'


async def asked(spent_usd: int) -> str:
    """The model that answers a tenant which has spent so much of its ten dollars."""
    async with kit.site(auth="required", pepper=kit.PEPPER) as site:
        engine, config = site.held.engine, site.held.plan.settings
        await tenants.add(engine, "acme", "acme", Decimal(10))
        async with AsyncSession(engine) as session, session.begin():
            session.add(Spend(tenant_id="acme", month=f"{db.now():%Y-%m}", usd=Decimal(spent_usd), tokens=0))
        await site.post("note", kit.TEXT, await tenants.create_key(engine, config, "acme"))
        return (await site.rows())[0].model


@pytest.mark.parametrize(("spent_usd", "model"), [(7, "usual"), (9, "little")])
def test_a_tenant_near_the_end_of_its_budget_gets_the_smaller_tier(project, spent_usd, model):
    kit.write("config/models.toml", MODELS)
    kit.edit("features/note/feature.toml", "[slo]", ECONOMY.format(floor=0.1))
    assert kit.command(cli.main, "accept", "note", "--reason", "first", "--tier", "small") == 0
    assert asyncio.run(asked(spent_usd)) == model


def test_a_tier_that_the_gate_has_not_judged_is_not_taken(project):
    kit.write("config/models.toml", MODELS)
    kit.edit("features/note/feature.toml", "[slo]", ECONOMY.format(floor=0.1))
    assert asyncio.run(asked(9)) == "usual"


def test_a_tier_below_the_floor_is_not_taken(project):
    kit.write("config/models.toml", MODELS)
    kit.edit("features/note/feature.toml", "[slo]", ECONOMY.format(floor=0.1))
    assert kit.command(cli.main, "accept", "note", "--reason", "first", "--tier", "small") == 0
    kit.edit("features/note/feature.toml", "min_score = 0.1", "min_score = 1.0")
    kit.edit("features/note/baseline-small.json", '"score": 1.0', '"score": 0.9')
    assert asyncio.run(asked(9)) == "usual"
