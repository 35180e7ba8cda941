"""A clock that is set neither shortens a step of a rollout nor makes it blind."""

from datetime import timedelta

from sqlalchemy import update

from app import controller, db
from app.controller import Clock
from app.ledger import Trial
from tests import kit
from tests.test_controller import begin, look, plant, prompts  # noqa: F401  # a fixture of every test here


async def test_a_clock_that_was_put_back_only_makes_it_wait(project):
    async with kit.site() as site:
        trial = await begin(site)
        await plant(site, trial, 6_000)
        trial.rule = {**trial.rule, "min_minutes": 1}
        verdict = await controller.judged(site.held.engine, trial)
        assert verdict.word == "pass"
        assert controller.following(trial, verdict, db.now() - timedelta(hours=2)) is None


async def test_a_step_lasts_as_long_as_before_when_the_clock_is_put_forward(project, monkeypatch):
    async with kit.site() as site:
        trial, clock = await begin(site), Clock()
        seen = clock.now(trial)
        ahead = db.now() + timedelta(hours=30)
        monkeypatch.setattr(db, "now", lambda: ahead)
        assert clock.now(trial) - seen < timedelta(minutes=1)
        assert Clock().now(trial) - seen > timedelta(hours=29)


async def test_a_step_begins_anew_when_the_clock_is_put_back(project):
    async with kit.site() as site:
        trial = await begin(site)
        later = db.now() + timedelta(hours=1)
        await db.execute(site.held.engine, update(Trial).values(stepped_at=later))
        await plant(site, trial, 3_000, "errors")
        assert (await look(site, trial)).state == "canary"
        await plant(site, trial, 3_000, "errors")
        assert (await look(site, trial)).state == "rolled-back"
