"""Rollouts on the running app: good ones come to all, bad ones go, and nothing passes in silence."""

import asyncio
import json
import random
import uuid
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import (
    beside,
    candidate,
    controller,
    db,
    incidents,
    releases,
    trials,
)
from app.candidate import Record
from app.controller import Clock
from app.db import Usage
from app.ledger import Trial
from tests import kit

RULE = """
[rollout]
unit = "request"
min_minutes = 0
steps = [5, 50]
shadow = { requests = 0 }
"""


# What the cases of an incident say of a candidate that is worse in this part.
FAULTS = {
    "errors": "no_model", "slow": "took", "costly": "cost", "wrong": "quality", "unsafe": "output-pii",
    "refused": "too_large",
}  # fmt: skip


@pytest.fixture(autouse=True)
def prompts(project):
    """The feature `note` with a second prompt and a rollout of two steps."""
    second_prompt(RULE)


def second_prompt(rule):
    """Give the feature `note` a prompt v2 that says the same, and its [rollout]."""
    kit.write("features/note/prompts/v2.md", Path("features/note/prompts/v1.md").read_text() + "\n")
    place = Path("features/note/feature.toml")
    kit.write(place, place.read_text() + rule)


def passed(site, release="v2"):
    """Write what the gate writes of a candidate that it lets through."""
    feature = site.held.plan.features["note"]
    found = Record(
        release=release, reason="", **candidate.digests(site.held.plan, feature, release),
        score=1, stable_score=1, tokens=9, stable_tokens=9, replay=[kit.TEXT] * 40,
    )  # fmt: skip
    text = found.model_copy(update={"seal": found.sealed()}).model_dump_json()
    return kit.write(candidate.path(feature, release), text)


async def begin(site, release="v2"):
    """Begin a rollout as a person does."""
    passed(site, release)
    return (await releases.begin(site.held.engine, site.held.plan, "note", release, "anna"))[0]


async def plant(site, trial, count, part="", share=0.5, errors=0.001, **values):
    """Usage rows as so many requests leave them; `part` is what the candidate does worse."""
    lot, rows = random.Random(count), []
    for _ in range(count):
        is_new = lot.random() < share
        bad = part if is_new else ""
        row = {
            "id": uuid.uuid4().hex, "at": db.now(), "tenant_id": "acme", "user_id": "", "feature": "note",
            "prompt": "v1", "variant": "", "model": "m", "policy": "", "cached": False, "input_tokens": 9,
            "output_tokens": 9, "failed_models": 0, "estimated": False, "first_token_ms": None,
            "arm": trial.id + (trials.CANDIDATE if is_new else trials.STABLE),
            "outcome": "no_model" if lot.random() < (0.2 if bad == "errors" else errors) else "ok",
            "latency_ms": lot.lognormvariate(5, 0.4) * (1.5 if bad == "slow" else 1),
            "cost_usd": Decimal(str(round(lot.lognormvariate(-7, 0.4) * (1.3 if bad == "costly" else 1), 8))),
            "quality": min(1.0, max(0.0, lot.gauss(0.8, 0.2) - (0.1 if bad == "wrong" else 0))),
            "flags": ["output-pii"] if bad == "unsafe" and lot.random() < 0.2 else [],
        }  # fmt: skip
        if bad == "refused":
            row["outcome"] = "too_large" if lot.random() < 0.2 else "ok"
        row["cached"] = part == "cold" and row["outcome"] == "ok" and lot.random() < (0.3 if is_new else 0.7)
        row["latency_ms"] = 2.0 if row["cached"] else row["latency_ms"]
        rows.append(row)
    async with site.held.engine.begin() as connection:
        await connection.execute(insert(Usage), rows)


async def look(site, trial):
    """One look of the controller, and the trial after it."""
    await controller.tick(site.held, Clock())
    return await trials.find(site.held.engine, trial.id)


async def prompt(site):
    """The prompt that the next request is answered with."""
    await asyncio.sleep(0.25)
    said = await site.post("note", {"text": f"An invoice is due on Friday. {uuid.uuid4().hex}"})
    return said.json()["meta"]["prompt"]


async def test_a_good_candidate_comes_to_all_step_by_step(project):
    async with kit.site() as site:
        trial = await begin(site)
        assert (trial.state, trial.percent) == ("canary", 5)
        await plant(site, trial, 8_000)
        trial = await look(site, trial)
        assert (trial.state, trial.percent) == ("canary", 50)
        await plant(site, trial, 8_000)
        trial = await look(site, trial)
        assert (trial.state, trial.percent) == ("done", 100)
        assert await prompt(site) == "v2"
        steps = [event.what for event in await trials.events(site.held.engine, trial.id)]
    assert steps == ["canary 5 %", "canary 50 %", "done"]


@pytest.mark.parametrize("part", ["errors", "slow", "costly", "wrong", "unsafe", "refused"])
async def test_a_bad_candidate_is_taken_back_and_leaves_an_incident(project, part):
    async with kit.site() as site:
        trial = await begin(site)
        await plant(site, trial, 3_000, part)
        trial = await look(site, trial)
        assert (trial.state, trial.percent) == ("rolled-back", 0)
        assert await prompt(site) == "v1"
        [incident] = await incidents.every(site.held.engine)
        assert incident.cause == trial.id
        assert [case["fault"].split()[0] for case in incident.cases] == [FAULTS[part]] * incidents.CASES


async def test_without_requests_it_waits_and_says_how_many_it_needs(project):
    async with kit.site() as site:
        trial = await begin(site)
        trial = await look(site, trial)
        assert (trial.state, trial.percent) == ("canary", 5)
        assert trial.said == "0 of 50 requests at 5 %"


async def test_in_silence_golden_cases_are_asked_and_do_not_move_it_on(project):
    async with kit.site() as site:
        trial = await begin(site)
        later = db.now() + timedelta(hours=1)
        await controller.look(site.held, trial, later)
        assert await beside.work(site.held) == 20
        await beside.work(site.held)
        await controller.look(site.held, trial, later)
        trial = await trials.find(site.held.engine, trial.id)
        assert (trial.state, trial.percent) == ("canary", 5)
        seen = await controller.compared(site.held.engine, trial, golden=True)
    assert seen.requests == 40


async def test_silence_for_long_takes_it_back_where_that_is_the_rule(project):
    kit.edit("features/note/feature.toml", "min_minutes = 0", 'min_minutes = 0\non_quiet = "rollback"')
    async with kit.site() as site:
        trial = await begin(site)
        await controller.look(site.held, trial, db.now() + timedelta(hours=25))
        trial = await trials.find(site.held.engine, trial.id)
        assert (trial.state, trial.said[:23]) == ("rolled-back", "no verdict in 24 hours;")


async def test_whoever_dies_between_the_step_and_the_file_leaves_one_truth(project, monkeypatch):
    async with kit.site() as site:
        trial = await begin(site)
        await plant(site, trial, 3_000, "errors")
        with monkeypatch.context() as patched:
            patched.setattr("app.flagstore.write", dead)
            with pytest.raises(SystemError):
                await controller.look(site.held, trial, db.now())
        found = json.loads(site.held.plan.settings.flags_file.read_text())
        assert "note.rollout" in found["flags"]  # the file is older than the row
        await controller.mend(site.held.engine, site.held)
        assert await prompt(site) == "v1"
        assert (await trials.find(site.held.engine, trial.id)).state == "rolled-back"
        await controller.tick(site.held, Clock())
        [incident] = await incidents.every(site.held.engine)
        assert incident.cause == trial.id


async def dead(*_):
    """What a kill in this place looks like."""
    raise SystemError


async def test_one_that_cannot_be_judged_keeps_no_other_from_going_back(project, monkeypatch):
    async with kit.site() as site:
        trial = await begin(site)
        await plant(site, trial, 3_000, "errors")
        real = controller.judged

        async def judged(engine, one):
            if one.id == "broken":
                raise ValueError
            return await real(engine, one)

        monkeypatch.setattr(controller, "judged", judged)
        broken = Trial(
            id="broken", kind="rollout", feature="ask", state="canary", percent=5, said="", actor="",
            arms={"broken-candidate": "v2", "broken-stable": ""}, rule=trial.rule,
        )  # fmt: skip
        async with AsyncSession(site.held.engine) as session, session.begin():
            session.add(broken)
        assert (await look(site, trial)).state == "rolled-back"


async def test_a_rule_of_an_older_version_still_judges(project):
    async with kit.site() as site:
        trial = await begin(site)
        rule = {**trial.rule, "max_gone": 1, "shadow": {**trial.rule["shadow"], "gone": 2}}
        await db.execute(site.held.engine, update(Trial).values(rule=rule))
        await plant(site, trial, 3_000, "errors")
        assert (await look(site, trial)).state == "rolled-back"


async def test_a_candidate_that_is_another_now_is_stopped(project):
    async with kit.site() as site:
        trial = await begin(site)
    kit.edit("features/note/prompts/v2.md", "---", "---\n")
    async with kit.site() as site:
        trial = await look(site, trial)
        assert (trial.state, trial.percent) == ("stopped", 0)
        assert "is of another prompt" in trial.said
