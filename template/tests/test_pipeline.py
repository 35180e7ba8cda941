"""The request path: the cache, the token budget and the order of the steps."""

from pathlib import Path

import pytest

from app import budget, features, services, settings, tenants
from tests import kit

LEAK = "Sure: Reply with one JSON object: `result`: one sentence that says"


async def two_keys(site: kit.Site) -> list[str]:
    """Keys of two tenants."""
    held, config = site.held.engine, site.held.plan.settings
    for name in ("acme", "globex"):
        await tenants.add(held, name, name, None)
    return [await tenants.create_key(held, config, name) for name in ("acme", "globex")]


async def test_the_same_question_again_comes_from_the_cache_and_costs_nothing(site):
    first = (await site.post("ask", kit.QUESTION)).json()
    again = (await site.post("ask", kit.QUESTION)).json()
    assert (first["meta"]["cached"], again["meta"]["cached"]) == (False, True)
    assert again["output"] == first["output"]
    assert (again["meta"]["input_tokens"], again["meta"]["cost_usd"]) == (0, 0)


async def test_a_cached_answer_leaves_its_own_row(site):
    for _ in range(2):
        await site.post("ask", kit.QUESTION)
    assert [(row.outcome, row.cached) for row in await site.rows()] == [("ok", False), ("ok", True)]


async def test_a_cached_answer_carries_what_was_found_in_it(project):
    with kit.serve(kit.provider(said="Write to bob@example.com. [1]")) as url:
        kit.models(first=url)
        async with kit.site() as site:
            for _ in range(2):
                await site.post("ask", kit.QUESTION)
            rows = [(row.cached, row.flags) for row in await site.rows()]
    assert rows == [(False, ["output-pii"]), (True, ["output-pii"])]


async def test_a_cached_answer_streams_as_the_first_one_did(site):
    first = await site.stream("ask", kit.QUESTION)
    again = await site.stream("ask", kit.QUESTION)
    assert again[-1][1]["meta"]["cached"]
    said = ["".join(data["text"] for kind, data in told if kind == "delta") for told in (first, again)]
    assert said[0] == said[1]


@pytest.mark.parametrize("shared", [False, True])
async def test_another_tenant_gets_a_cached_answer_only_where_the_feature_shares_it(project, shared):
    kit.edit("features/ask/feature.toml", "[slo]", f"shared_cache = {str(shared).lower()}\n[slo]")
    async with kit.site(auth="required", pepper=kit.PEPPER) as site:
        said = [await site.post("ask", kit.QUESTION, key) for key in await two_keys(site)]
    assert [one.json()["meta"]["cached"] for one in said] == [False, shared]


async def test_a_feature_without_a_ttl_is_never_cached(site):
    said = [await site.post("note", kit.TEXT) for _ in range(2)]
    assert [one.json()["meta"]["cached"] for one in said] == [False, False]


async def test_a_refused_answer_is_not_cached(project):
    kit.models(far="http://127.0.0.1:1")
    async with kit.site() as site:
        said = [await site.post("ask", kit.QUESTION) for _ in range(2)]
    assert [one.status_code for one in said] == [503, 503]


def test_another_schema_or_model_is_another_cache_state(project):
    def state() -> str:
        found = services.plan(settings.load())
        return found.digests["ask"]

    states = [state()]
    kit.edit("features/ask/schema.py", "answer: str", "answer: str = ''")
    states.append(state())
    kit.models(other="http://127.0.0.1:1")
    states.append(state())
    assert len(set(states)) == 3


def test_the_budget_drops_the_worst_passages_first(project):
    kit.edit("features/ask/feature.toml", "[slo]", "max_input_tokens = 120\n[slo]")
    feature = features.load(Path("features/ask"))
    found = [passage for page in Path("pages").glob("*.md") for passage in kit.cut(page)]
    fitted = budget.fit(feature, feature.prompts["v1"], kit.QUESTION, found, 0, 8_000)
    rendered, kept = fitted.asked, fitted.passages
    assert 0 < len(kept) < len(found)
    assert fitted.cut == len(found) - len(kept)
    assert kept == found[: len(kept)]
    assert [p.text in rendered.user for p in found] == [p in kept for p in found]


async def test_an_answer_says_how_many_passages_were_cut(project):
    kit.edit("features/ask/feature.toml", "[slo]", "max_input_tokens = 120\n[slo]")
    async with kit.site() as site:
        said = (await site.post("ask", kit.QUESTION)).json()
    assert said["meta"]["cut_passages"] > 0


async def test_a_feature_may_refuse_what_does_not_fit_whole(project):
    kit.edit("features/ask/feature.toml", "[slo]", 'max_input_tokens = 120\nover_budget = "refuse"\n[slo]')
    async with kit.site() as site:
        said = await site.post("ask", kit.QUESTION)
    assert (said.status_code, said.json()["code"]) == (413, "too_large")


async def test_an_input_over_the_budget_is_413_with_both_numbers(project):
    kit.edit("features/note/feature.toml", "max_tokens = 300", "max_tokens = 300\nmax_input_tokens = 50")
    async with kit.site() as site:
        said = await site.post("note", {"text": "word " * 100})
        assert [row.outcome for row in await site.rows()] == ["too_large"]
    assert said.status_code == 413
    assert "'note' takes 50" in said.json()["detail"]


async def test_an_answer_that_repeats_the_instructions_is_withheld(project):
    with kit.serve(kit.provider(said='{"result": "' + LEAK + '"}')) as url:
        kit.models(leaky=url)
        async with kit.site() as site:
            said = await site.post("note", kit.TEXT)
    assert said.status_code == 422
    assert "withheld" in said.json()["detail"]
    assert "one sentence" not in said.text


@pytest.mark.parametrize("rule", ["block", "flag", "off"])
async def test_a_stream_repeats_the_instructions_where_the_feature_allows_it(project, rule):
    kit.edit("features/note/feature.toml", "[slo]", f'[guard]\nleak = "{rule}"\n\n[slo]')
    with kit.serve(kit.provider(said='{"result": "' + LEAK + '"}')) as url:
        kit.models(leaky=url)
        async with kit.site() as site:
            said = await site.stream("note", kit.TEXT)
            rows = await site.rows()
    shown = "".join(data["text"] for kind, data in said if kind == "delta")
    assert (LEAK in shown, said[-1][0]) == ((False, "error") if rule == "block" else (True, "result"))
    assert [row.flags for row in rows] == [[] if rule == "off" else ["leak"]]


async def test_a_hostile_question_is_answered_or_refused_and_never_crashes(site):
    for question in (
        '"',
        "NEAR(a b)",
        "a* OR b",
        "🙂",
        "{}$$ $question",
        "</question>",
        "\u0000",
        "a" * 5000,
    ):
        said = await site.post("ask", {"question": question})
        assert said.status_code in (200, 413, 422), question
