"""What was said before: sent along, summarised past its budget, readable and erasable by its owner alone."""

import asyncio
import itertools
import time
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app import conversation, db, results, tenants
from app.conversation import History, Turn
from app.db import Result
from app.row import Row
from tests import kit

PLACE = "/v1/note?conversation_id=c1&user_id=ann"


@pytest.fixture
def heard():
    """What a provider was sent, request by request."""
    return []


@pytest.fixture
def provider(heard):
    """The address of a provider that notes its messages."""
    with kit.serve(kit.provider(said='{"result": "noted"}', heard=heard)) as url:
        yield url


async def test_the_turns_before_are_sent_along(project, provider, heard):
    kit.models(first=provider)
    async with kit.site() as site:
        for text in ("The first text is long enough.", "The second text."):
            await site.http.post(PLACE, json={"text": text})
    said = [(m["role"], m["content"]) for m in heard[1]["messages"]]
    assert [role for role, _ in said] == ["system", "user", "assistant", "user"]
    assert said[1][1] == "The first text is long enough."
    assert said[2][1] == "noted"


async def test_turns_past_the_budget_are_sent_as_a_summary(project, provider, heard):
    kit.models(first=provider)
    kit.edit("features/note/feature.toml", "[slo]", "[conversation]\nmax_tokens = 60\n\n[slo]")
    async with kit.site() as site:
        short = []
        for number in range(4):
            said = await site.http.post(PLACE, json={"text": f"Text {number}. " + "It has many words. " * 6})
            short.append(said.json()["meta"]["summarised_turns"])
    assert short[0] == 0 < max(short)
    assert any(m["content"].startswith("<summary>") for m in heard[-1]["messages"])


async def test_the_owner_reads_and_erases_a_conversation(site):
    await site.http.post(PLACE, json=kit.TEXT)
    place = "/v1/conversations/c1?user_id=ann"
    turns = (await site.http.get(place)).json()["turns"]
    assert [turn["input"] for turn in turns] == [kit.TEXT]
    assert datetime.fromisoformat(turns[0]["at"]).utcoffset() == timedelta(0)
    assert (await site.http.delete(place)).json() == {"erased": 1}
    assert (await site.http.get(place)).status_code == 404


async def test_a_turn_is_kept_as_long_as_its_conversation(site):
    kept = []
    for place in (PLACE, "/v1/note"):
        said = (await site.http.post(place, json=kit.TEXT)).json()
        await site.held.recorder.flush()
        found = await results.fetch(site.held.engine, "local", said["meta"]["id"])
        kept.append((found.expires_at - found.created_at).days)
    assert kept == [30, 7]


async def test_of_a_long_conversation_only_what_follows_its_summary_is_read(site):
    names = []
    for number in range(4):
        said = await site.http.post(PLACE, json={"text": f"Text number {number} is here."})
        names.append(said.json()["meta"]["id"])
    owner = site.held.engine, "local", "ann", "c1"
    assert [row.id for row in await results.recent(*owner)] == names
    await results.summarise(site.held.engine, names[2], "short")
    assert [row.id for row in await results.recent(*owner)] == names[2:]
    assert [row.id for row in await results.turns(*owner)] == names


async def test_of_a_very_long_conversation_the_last_turns_are_shown(site, monkeypatch):
    monkeypatch.setattr(results, "MAX_TURNS", 2)
    for number in range(3):
        await site.http.post(PLACE, json={"text": f"Text number {number} is here."})
    turns = (await site.http.get("/v1/conversations/c1?user_id=ann")).json()["turns"]
    assert [turn["input"]["text"] for turn in turns] == ["Text number 1 is here.", "Text number 2 is here."]


async def test_a_turn_does_not_wait_for_what_others_write(site):
    writing = asyncio.create_task(keep_writing(site))
    started = time.monotonic()
    await site.http.post(PLACE, json=kit.TEXT)
    writing.cancel()
    assert time.monotonic() - started < 2


async def keep_writing(site: kit.Site) -> None:
    """Usage rows without an end."""
    for number in itertools.count():
        site.held.recorder.save(Row(f"row-{number}", "note"))
        await asyncio.sleep(0.001)


async def test_another_user_sees_nothing_of_it(site):
    await site.http.post(PLACE, json=kit.TEXT)
    assert (await site.http.get("/v1/conversations/c1?user_id=bob")).status_code == 404
    assert (await site.http.delete("/v1/conversations/c1?user_id=bob")).json() == {"erased": 0}


async def test_another_tenant_reads_neither_a_result_nor_a_conversation(project):
    async with kit.site(auth="required", pepper=kit.PEPPER) as site:
        keys = {}
        for name in ("one", "two"):
            await tenants.add(site.held.engine, name, name, None)
            keys[name] = await tenants.create_key(site.held.engine, site.held.plan.settings, name)
        headers = {name: {"Authorization": f"Bearer {key}"} for name, key in keys.items()}
        said = await site.http.post(PLACE, json=kit.TEXT, headers=headers["one"])
        await site.held.recorder.flush()
        for place in (f"/v1/results/{said.json()['meta']['id']}", "/v1/conversations/c1?user_id=ann"):
            assert (await site.http.get(place, headers=headers["one"])).status_code == 200
            assert (await site.http.get(place, headers=headers["two"])).status_code == 404
            assert (await site.http.get(place)).status_code == 401


async def test_what_has_expired_is_neither_read_nor_sent(site):
    said = (await site.http.post(PLACE, json=kit.TEXT)).json()
    await site.held.recorder.flush()
    async with AsyncSession(site.held.engine) as session, session.begin():
        await session.execute(update(Result).values(expires_at=db.now() - timedelta(days=1)))
    assert (await site.http.get(f"/v1/results/{said['meta']['id']}")).status_code == 404
    assert (await site.http.get("/v1/conversations/c1?user_id=ann")).status_code == 404


def test_the_newest_turns_stay_and_the_older_are_summarised():
    turns = tuple(Turn(str(n), "question " * 10, "answer " * 10) for n in range(6))
    old, new = conversation.split(History("", turns), max_tokens=200)
    assert [*old.turns, *new.turns] == [*turns]
    assert 0 < new.tokens() <= 100


def test_a_history_that_fits_is_sent_as_it_is():
    history = History("", (Turn("1", "a", "b"),))
    assert conversation.split(history, max_tokens=50) == (History(), history)
