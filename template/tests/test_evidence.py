"""What counts of the arms' requests: this step's, from no cache, found by the index."""

import pytest
from sqlalchemy import select, text

from app import db, evidence
from app.db import Usage
from tests import kit
from tests.test_controller import begin, look, plant, prompts  # noqa: F401  # a fixture of every test here


async def test_what_a_step_showed_does_not_count_in_the_next(project):
    async with kit.site() as site:
        trial = await begin(site)
        await plant(site, trial, 8_000)
        for _ in range(2):
            trial = await look(site, trial)
        assert (trial.percent, trial.said) == (50, "0 of 50 requests at 50 %")


async def test_a_provider_in_trouble_at_a_larger_share_is_no_fault_of_the_candidate(project):
    async with kit.site() as site:
        trial = await begin(site)
        await plant(site, trial, 8_000, share=0.05)
        trial = await look(site, trial)
        await plant(site, trial, 3_000, errors=0.1)
        assert (await look(site, trial)).state == "canary"


async def test_an_empty_cache_is_no_fault_of_the_candidate(project):
    async with kit.site() as site:
        trial = await begin(site)
        await plant(site, trial, 4_000, "cold")
        assert (await look(site, trial)).state == "canary"


async def test_the_numbers_come_from_the_index_of_rows_in_trials(project):
    async with kit.site() as site:
        held = site.held
        if held.engine.dialect.name != "sqlite":
            pytest.skip("the planner of PostgreSQL decides by what is in the table")
        query = select(Usage.id).where(*evidence.asked(db.now(), "a", "b"))
        told = query.compile(held.engine, compile_kwargs={"literal_binds": True})
        async with held.engine.connect() as connection:
            plan = str((await connection.execute(text(f"explain query plan {told}"))).all())
    assert "usage_arm" in plan
