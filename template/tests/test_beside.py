"""The shadow: a candidate is asked the same, nobody sees it, nothing is left of it but the comparison."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import beside, controller, db, flagedit, flagstore, releases, shadow, tenants, trials
from app.ledger import Shadow
from app.row import Row
from tests import kit
from tests.test_controller import passed, second_prompt

RULE = """
[rollout]
unit = "request"
min_minutes = 0
steps = [5, 50]
shadow = { share = 1.0, requests = 30 }
"""
SHADOW = "\nshadow = true\n"
ANSWER = {
    "code": "ok", "output": {}, "score": 1.0, "cost_usd": 0.001, "tokens": 9, "latency_ms": 5.0, "flags": [],
    "failed_models": 0, "prompt": "v1", "model": "m",
}  # fmt: skip


@pytest.fixture(autouse=True)
def prompts(project):
    """The feature `note` with a second prompt, and a use case that allows a shadow."""
    second_prompt(RULE)
    kit.write("config/policy.toml", kit.POLICY + SHADOW)


async def begin(site):
    """Begin a rollout, which begins in the shadow."""
    passed(site)
    return (await releases.begin(site.held.engine, site.held.plan, "note", "v2", "anna"))[0]


async def ask(site, count, words="An invoice is due on Friday.", key=""):
    """So many different requests; waits until what they leave is written."""
    await asyncio.sleep(0.25)
    for number in range(count):
        said = await site.post("note", {"text": f"{words} Number {number}."}, key)
        assert said.json()["meta"]["prompt"] == "v1"
    await asyncio.gather(*site.held.beside)


async def kept(site):
    """What is kept of the shadow."""
    async with AsyncSession(site.held.engine) as session:
        return list(await session.scalars(select(Shadow).order_by(Shadow.at)))


async def test_the_candidate_is_asked_the_same_and_leaves_no_usage(project):
    async with kit.site() as site:
        trial = await begin(site)
        assert (trial.state, trial.percent) == ("shadow", 0)
        await ask(site, 3)
        assert await beside.work(site.held) == 3
        [one, *_] = await kept(site)
        rows = await site.rows()
    assert [row.prompt for row in rows] == ["v1"] * 3
    assert (one.state, one.stable["prompt"], one.candidate["prompt"]) == ("done", "v1", "v2")
    assert one.candidate["score"] > 0
    assert one.tokens == one.candidate["tokens"] > 0


async def test_the_status_says_how_far_the_answers_are_apart(project):
    async with kit.site() as site:
        trial = await begin(site)
        await ask(site, 2)
        await beside.work(site.held)
        [first, *parts] = await releases.findings(site.held.engine, trial)
    assert first == "shadow: 2 answers, 0% of their words other than stable's"
    assert parts[0] == "wait  failed requests: too few to say, 30 units an arm are needed"


async def test_after_enough_the_candidate_goes_on_to_a_share(project):
    async with kit.site() as site:
        trial = await begin(site)
        await ask(site, 60)
        await beside.work(site.held)
        await controller.look(site.held, trial, db.now())
        assert (await trials.find(site.held.engine, trial.id)).said.startswith("20 of 30 requests")
        for _ in range(2):
            await beside.work(site.held)
        await controller.look(site.held, trial, db.now())
        assert (await trials.find(site.held.engine, trial.id)).state == "canary"


async def test_what_is_kept_holds_no_personal_data(project):
    async with kit.site() as site:
        await begin(site)
        await ask(site, 1, "Write to anna@example.com about the invoice that is due on Friday.")
        await beside.work(site.held)
        [one] = await kept(site)
    assert "anna@example.com" not in str([one.given, one.stable, one.candidate])


@pytest.mark.parametrize("who", ["policy", "tenant", "conversation"])
async def test_who_does_not_agree_is_not_shadowed(project, who):
    if who == "policy":
        kit.write("config/policy.toml", kit.POLICY)
    async with kit.site(auth="required", pepper=kit.PEPPER) as site:
        held = site.held
        await tenants.add(held.engine, "acme", "Acme", None)
        if who != "tenant":
            await tenants.change(held.engine, "acme", shadow=True)
        key = await tenants.create_key(held.engine, held.plan.settings, "acme")
        await begin(site)
        await asyncio.sleep(0.25)
        path = "note?conversation_id=c1" if who == "conversation" else "note"
        assert (await site.post(path, kit.TEXT, key)).status_code == 200
        await asyncio.gather(*held.beside)
        assert await kept(site) == []


async def test_a_tenant_that_disagrees_meanwhile_is_dropped(project):
    async with kit.site() as site:
        await begin(site)
        await ask(site, 1)
        await db.execute(site.held.engine, update(Shadow).values(tenant_id="gone"))
        await beside.work(site.held)
        [one] = await kept(site)
    assert (one.state, one.given, one.stable) == ("dropped", None, {})


async def test_who_is_switched_off_meanwhile_is_no_fault_of_the_candidate(project):
    async with kit.site() as site:
        held = site.held
        await begin(site)
        await ask(site, 1)
        edit = lambda document: flagedit.put(document, "note.enabled", flagedit.valued(None, "off"))  # noqa: E731
        await flagstore.change(
            held.engine, held.plan.settings.flags_file, "anna", "", edit, held.plan.check_flags
        )
        await asyncio.sleep(0.25)
        await beside.work(held)
        [one] = await kept(site)
    assert (one.state, one.stable) == ("dropped", {})


async def test_a_leak_in_the_shadow_ends_it_at_once(project):
    async with kit.site() as site:
        trial = await begin(site)
        rows = [
            {"id": str(n), "trial_id": trial.id, "state": "done", "tenant_id": "", "user_id": "", "given": {},
             "stable": ANSWER, "candidate": {**ANSWER, "flags": ["leak"]}, "tokens": 1}
            for n in range(10)
        ]  # fmt: skip
        await db.execute(site.held.engine, insert(Shadow).values(rows))
        await controller.look(site.held, trial, db.now())
        trial = await trials.find(site.held.engine, trial.id)
    assert (trial.state, trial.said[:7]) == ("rolled-back", "safety:")


async def test_what_is_kept_of_an_answer_is_whole_whatever_its_fields_are_called(project):
    told = shadow.told(Row("1", "note"), {"key_points": ["due on Friday", "anna@example.com"]}, 1.0)
    assert told["output"]["key_points"][0] == "due on Friday"
    assert "anna@example.com" not in str(told)


async def test_the_tokens_of_a_day_end(project):
    kit.edit("features/note/feature.toml", "requests = 30", "requests = 30, daily_tokens = 1")
    async with kit.site() as site:
        await begin(site)
        await ask(site, 4)
        assert await beside.work(site.held) == 2
        await ask(site, 2, "The contract ends in May.")
        assert len(await kept(site)) == 4
        assert await beside.work(site.held) == 0


async def test_under_load_and_after_a_while_what_waits_is_dropped(project, monkeypatch):
    async with kit.site() as site:
        await begin(site)
        with monkeypatch.context() as patched:
            patched.setattr(shadow, "BUSY", -1)
            await ask(site, 1)
        assert await kept(site) == []
        await ask(site, 1, "The contract ends in May.")
        await db.execute(site.held.engine, update(Shadow).values(at=db.now() - timedelta(minutes=11)))
        assert await beside.work(site.held) == 0
        [one] = await kept(site)
    assert (one.state, one.given) == ("dropped", None)


def test_answers_disagree_by_the_words_that_only_one_has():
    one, other = {"output": {"answer": "due on Friday"}}, {"output": {"answer": "due on Monday"}}
    assert shadow.disagreement(one, other) == 0.5
    assert shadow.disagreement(one, one) == 0
    assert shadow.disagreement({"output": {}}, {"output": {}}) == 0
