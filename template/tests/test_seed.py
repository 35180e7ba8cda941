"""Samples for the first look: planted once, marked as samples, taken out again."""

from datetime import timedelta

import pytest

from app import db, seed, tenants
from app.errors import ConfigError
from tests import kit

HEAD = (
    "time,tenant,feature,prompt,outcome,cached,input_tokens,output_tokens,latency_ms,first_token_ms,flags\n"
)


@pytest.fixture
def samples(project):
    """Two tenants and two rows."""
    kit.write("data/seed/tenants.toml", '[tenants.acme]\nname = "Acme"\n[tenants.globex]\nname = "Globex"\n')
    kit.write("data/seed/traffic.csv", HEAD + "09:00:00,acme,ask,v1,ok,0,100,20,350.5,120,\n"
              "10:30:00,globex,ask,v1,blocked,0,0,0,3.1,,injection pii\n")  # fmt: skip


async def test_samples_are_planted_once(samples, site):
    for _ in range(2):
        assert await seed.plant(site.held.engine) == (["acme", "globex"], 2)
    assert [row.tenant_id for row in await site.rows()] == ["acme", "globex"]
    assert [tenant.id for tenant in await tenants.every(site.held.engine)] == ["acme", "globex"]


async def test_sample_rows_say_that_they_are_and_lie_on_the_day_before(samples, site):
    await seed.plant(site.held.engine)
    rows = await site.rows()
    assert {row.model for row in rows} == {"sample"}
    assert {row.at.date() for row in rows} == {db.now().date() - timedelta(days=1)}
    assert rows[1].flags == ["injection", "pii"]


async def test_removing_leaves_real_rows_alone(samples, site):
    await seed.plant(site.held.engine)
    await site.post("note", kit.TEXT)
    assert await seed.remove_traffic(site.held.engine) == 2
    assert [row.feature for row in await site.rows()] == ["note"]


async def test_a_project_without_seed_files_plants_nothing(site):
    assert await seed.plant(site.held.engine) == ([], 0)


async def test_a_bad_line_is_named_and_nothing_is_planted(samples, site):
    kit.write("data/seed/traffic.csv", HEAD + "9 o'clock,acme,ask,v1,ok,0,1,1,1,,\n")
    with pytest.raises(ConfigError, match=r"traffic.csv: line 2"):
        await seed.plant(site.held.engine)
    assert await site.rows() == []
