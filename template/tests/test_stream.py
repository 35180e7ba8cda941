"""Streams of this process: kept a while for who comes back, and given an end whatever happens."""

import asyncio

import pytest

from app import results, stream
from tests import kit, processes

SSE = {"Accept": "text/event-stream"}


async def test_a_stream_that_was_refused_is_not_kept(project):
    async with kit.site(auth="required", pepper=kit.PEPPER) as site:
        for _ in range(20):
            assert (await site.http.post("/v1/note", json=kit.TEXT, headers=SSE)).status_code == 401
        await asyncio.sleep(0.05)
        assert site.held.streams == {}


async def test_a_stream_that_was_shown_is_kept_for_who_comes_back(site):
    name = (await site.stream("note", kit.TEXT))[0][1]["id"]
    assert list(site.held.streams) == [name]


@pytest.mark.parametrize(
    ("rule", "word", "flag"),
    [("pii", "bob@example.com", "output-pii"), ("toxicity", "idiot", "output-toxicity")],
)
async def test_an_answer_that_is_blocked_late_is_taken_back_and_the_words_never_shown(
    project, rule, word, flag
):
    kit.edit("features/note/feature.toml", "[slo]", f'[guard]\n{rule} = "block"\n\n[slo]')
    with kit.serve(kit.provider(said=f'{{"result": "They wrote that {word} will come by at ten."}}')) as url:
        kit.models(first=url)
        async with kit.site() as site:
            told = await site.stream("note", kit.TEXT)
            rows = [(row.outcome, row.flags) for row in await site.rows()]
    kinds = [kind for kind, _ in told]
    assert kinds == ["meta", *["delta"] * (len(kinds) - 3), "retract", "error"]
    shown = "".join(data["text"] for kind, data in told if kind == "delta")
    assert shown == '{"result": "They wrote that'
    assert (told[-1][1]["code"], rows) == ("blocked", [("blocked", [flag])])


@pytest.mark.parametrize("rule", ["redact", "flag"])
async def test_personal_data_in_an_answer_is_streamed_only_where_it_is_flagged_alone(project, rule):
    kit.edit("features/note/feature.toml", "[slo]", f'[guard]\npii = "{rule}"\n\n[slo]')
    kit.write("config/policy.toml", f'{kit.POLICY}data_classes = ["public", "personal"]\n')
    said = '{"result": "Ask bob@example.com or him about it."}'
    with kit.serve(kit.provider(said=said)) as url:
        kit.models(first=url)
        async with kit.site() as site:
            told = await site.stream("note", kit.TEXT)
    shown = "".join(data["text"] for kind, data in told if kind == "delta")
    assert shown == ('{"result": "Ask' if rule == "redact" else said)
    assert ("retract" in [kind for kind, _ in told]) == (rule == "redact")
    assert ("bob@" in told[-1][1]["output"]["result"]) == (rule == "flag")


async def test_a_reader_of_what_nobody_answers_is_told_so_in_the_end(site, monkeypatch):
    monkeypatch.setattr(stream, "WAIT_S", 0.5)
    place = (await site.http.post("/v1/note", json=kit.TEXT, headers=processes.ASYNC)).headers["location"]
    told = await asyncio.wait_for(site.http.get(place, headers={**SSE, "Last-Event-ID": "3"}), 5)
    assert told.text.startswith(": wait")
    assert "id: 4\n" in told.text
    [(kind, problem)] = kit.events(told.text)
    assert (kind, problem["status"], problem["retry_after_s"]) == ("error", 503, 5)


async def test_a_reader_of_what_is_erased_is_told_so(site, monkeypatch):
    begun, real = asyncio.Event(), results.fetch

    async def fetch(*given):
        found = await real(*given)
        begun.set()
        return found

    monkeypatch.setattr(results, "fetch", fetch)
    talk = "?conversation_id=c1&user_id=ann"
    taken = await site.http.post(f"/v1/note{talk}", json=kit.TEXT, headers=processes.ASYNC)
    reading = asyncio.create_task(site.http.get(taken.headers["location"], headers=SSE))
    await begun.wait()
    await site.http.delete("/v1/conversations/c1?user_id=ann")
    [(kind, problem)] = kit.events((await asyncio.wait_for(reading, 5)).text)
    assert (kind, problem["code"]) == ("error", "not_found")
