"""The cache: what is asked at once is paid once, a file survives a restart, no tenant sees another's."""

import asyncio
import sqlite3
from dataclasses import replace

import pytest

from app import cache, prewarm
from app.cache import Answers
from app.errors import ConfigError
from tests import embedder, kit

ANSWER = {"output": {"result": "kept"}, "text": "kept", "model": "m"}


@pytest.fixture(params=["mem://", "sqlite:///var/cache.db"])
async def answers(request, project):
    """A cache that keeps its answers, in memory and in a file."""
    opened = Answers(request.param)
    yield opened
    await opened.close()


async def test_an_answer_is_kept_for_its_time(answers):
    await answers.put("k", ANSWER, 60)
    assert await answers.get("k", 60) == ANSWER
    assert await answers.get("other", 60) is None


async def test_no_time_to_live_keeps_nothing(answers):
    await answers.put("k", ANSWER, 0)
    assert await answers.get("k", 60) is None


async def test_a_purge_forgets_one_tenant_alone(answers):
    for tenant in ("one", "one-more", ""):
        await answers.put(cache.key(tenant, "q"), ANSWER, 60)
    await answers.purge("one")
    left = [await answers.get(cache.key(tenant, "q"), 60) for tenant in ("one", "one-more", "")]
    assert left == [None, ANSWER, ANSWER]


async def test_a_file_keeps_its_answers_over_a_restart(project):
    for _ in range(2):
        async with kit.site(cache_url="sqlite:///var/cache.db") as site:
            said = (await site.post("ask", kit.QUESTION)).json()
    assert said["meta"]["cached"]


async def test_a_file_that_cannot_be_written_keeps_nothing_and_breaks_nothing(project):
    opened = Answers("sqlite:///var/cache.db")
    with sqlite3.connect("var/cache.db") as other:
        other.execute("drop table answer")
    await opened.put("k", ANSWER, 60)
    assert await opened.get("k", 60) is None


def test_what_has_expired_is_dropped_at_the_next_start(project):
    opened = Answers("sqlite:///var/cache.db")
    opened.disk.put("old", ANSWER, -1)
    opened.disk.trim()
    with sqlite3.connect("var/cache.db") as other:
        assert other.execute("select count(*) from answer").fetchone() == (0,)


async def test_the_same_question_asked_at_once_is_paid_once(project):
    heard = []
    with kit.serve(kit.provider(said="Fourteen days. [1]", heard=heard)) as url:
        kit.models(first=url)
        async with kit.site() as site:
            said = await asyncio.gather(*(site.post("ask", kit.QUESTION) for _ in range(20)))
    assert {r.status_code for r in said} == {200}
    assert len(heard) == 1


async def test_questions_that_waited_for_one_that_failed_ask_for_themselves_at_once(answers):
    running, most, ends = 0, 0, []

    async def ask(number: int) -> None:
        nonlocal running, most
        async with answers.once("k", 60):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.05)
            running -= 1
            if number == 0:
                raise ValueError
            ends.append(number)

    asked = [ask(number) for number in range(20)]
    said = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 0.5)
    assert [type(one) for one in said] == [ValueError, *[type(None)] * 19]
    assert (sorted(ends), most) == (list(range(1, 20)), 19)
    assert answers.flights == {}


async def test_one_answer_that_fails_is_one_refusal(project):
    heard, note = [], '{"result": "noted"}'
    with kit.serve(kit.provider(said=["no json", "no json", *[note] * 20], pause_s=0.1, heard=heard)) as url:
        kit.models(first=url)
        kit.edit("features/note/feature.toml", "[slo]", "cache_ttl_s = 60\n\n[slo]")
        async with kit.site() as site:
            said = await asyncio.gather(*(site.post("note", kit.TEXT) for _ in range(20)))
    assert sorted(r.status_code for r in said) == [200] * 19 + [503]
    assert len(heard) <= 2 + 19


async def test_a_redis_that_is_away_is_a_miss(project):
    pytest.importorskip("redis", reason="uv sync --extra redis")
    async with kit.site(cache_url="redis://127.0.0.1:1") as site:
        said = [await site.post("ask", kit.QUESTION) for _ in range(2)]
    assert [r.status_code for r in said] == [200, 200]
    assert not said[1].json()["meta"]["cached"]


async def test_prewarm_asks_what_was_asked_most(project):
    kit.edit("features/ask/feature.toml", "cache_ttl_s = 60", "cache_ttl_s = 60\nshared_cache = true")
    async with kit.site(cache_url="") as site:
        for question in (*["When is an invoice due?"] * 3, "When does a backup run?"):
            await site.post("ask", {"question": question})
        await site.held.recorder.flush()
        plan = site.held.plan
    warm = plan.settings.model_copy(update={"cache_url": "sqlite:///var/cache.db"})
    assert await prewarm.run(replace(plan, settings=warm), 1) == {"ask": (1, 0)}
    async with kit.site(cache_url="sqlite:///var/cache.db") as site:
        assert (await site.post("ask", kit.QUESTION)).json()["meta"]["cached"]


async def test_prewarm_makes_the_vectors_of_each_tenants_questions_where_answers_are_not_shared(project):
    pytest.importorskip("numpy", reason="uv sync --extra vectors")
    served = embedder.Embedder()
    with kit.serve(served.app) as url:
        embedder.encoder(url)
        async with kit.site(cache_url="") as site:
            await site.post("ask", kit.QUESTION)
            rows = len(await site.rows())
            plan = site.held.plan
        warm = plan.settings.model_copy(update={"cache_url": "sqlite:///var/cache.db"})
        assert await prewarm.run(replace(plan, settings=warm), 1) == {"ask": (1, 0)}
        async with kit.site(cache_url="sqlite:///var/cache.db") as site:
            before = len(served.texts)
            assert not (await site.post("ask", kit.QUESTION)).json()["meta"]["cached"]
            assert len(await site.rows()) == rows + 1
    assert len(served.texts) == before


async def test_prewarm_refuses_a_cache_that_dies_with_it(project):
    async with kit.site(cache_url="mem://") as site:
        with pytest.raises(ConfigError, match="cache_url"):
            await prewarm.run(site.held.plan, 1)


def test_spacing_and_unicode_forms_make_no_other_question():
    one, other = "Wann  ist die\nRechnung f\u00e4llig?", " Wann ist die Rechnung fa\u0308llig?"
    assert cache.key("", "ask", one) == cache.key("", "ask", other)
    assert cache.key("", "ask", one) != cache.key("", "ask", one.lower())
