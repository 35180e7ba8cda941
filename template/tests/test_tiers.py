"""Which model answers: the first that can, the next when it fails, none behind a wrong key."""

import pytest

from app import breaker
from tests import kit


@pytest.fixture
def site_with(project):
    """The app with a faulty model in front of the keyless one."""

    def opened(url: str, **models: str):
        kit.models(first=url, **models)
        return kit.site()

    return opened


@pytest.mark.parametrize("status", [500, 429])
async def test_the_next_model_answers_when_the_first_fails(site_with, status):
    with kit.serve(kit.provider(status)) as url:
        async with site_with(url, keyless="") as site:
            said = await site.post("note", kit.TEXT)
    assert said.status_code == 200
    assert said.json()["meta"]["model"] == "keyless"


@pytest.mark.parametrize("text", ["not json", '{"result": 7}'])
async def test_the_next_model_answers_when_the_output_does_not_fit(site_with, text):
    with kit.serve(kit.provider(said=text)) as url:
        async with site_with(url, keyless="") as site:
            said = await site.post("note", kit.TEXT)
    assert said.json()["meta"]["model"] == "keyless"


async def test_the_next_model_answers_when_nothing_listens(site_with):
    async with site_with("http://127.0.0.1:1", keyless="") as site:
        assert (await site.post("note", kit.TEXT)).json()["meta"]["model"] == "keyless"


@pytest.mark.parametrize("status", [400, 401])
async def test_a_rejected_request_is_not_hidden_by_the_fallback(site_with, status):
    with kit.serve(kit.provider(status)) as url:
        async with site_with(url, keyless="") as site:
            said = await site.post("note", kit.TEXT)
    assert said.status_code == 503
    assert said.json()["code"] == "no_model"


async def test_json_in_a_code_fence_is_read(site_with):
    with kit.serve(kit.provider(said='```json\n{"result": "fenced"}\n```')) as url:
        async with site_with(url) as site:
            said = await site.post("note", kit.TEXT)
    assert said.json()["output"] == {"result": "fenced"}


async def test_the_providers_own_token_counts_and_the_price_make_the_cost(site_with):
    with kit.serve(kit.provider(said='{"result": "x"}')) as url:
        async with site_with(url) as site:
            meta = (await site.post("note", kit.TEXT)).json()["meta"]
    assert (meta["input_tokens"], meta["output_tokens"]) == (10, 20)
    assert meta["cost_usd"] == 0.00003


async def test_503_names_no_cause_and_says_when_to_try_again(site_with):
    with kit.serve(kit.provider(500)) as url:
        async with site_with(url) as site:
            said = await site.post("note", kit.TEXT)
    assert said.status_code == 503
    assert said.headers["retry-after"] == "5"
    assert "provider-internal-detail" not in said.text
    assert url not in said.text


async def test_a_failover_tells_the_stream_to_start_again(site_with):
    with kit.serve(kit.provider(said="not json at all")) as url:
        async with site_with(url, keyless="") as site:
            told = await site.stream("note", kit.TEXT)
    kinds = [kind for kind, _ in told]
    after = kinds[len(kinds) - kinds[::-1].index("restart") :]
    assert "delta" in kinds[: kinds.index("restart")]
    assert set(after) == {"delta", "result"}
    assert told[-1][1]["meta"]["model"] == "keyless"


async def test_a_stream_that_repeats_the_instructions_stops_before_it_shows_them(site_with, project):
    rules = "Reply with one JSON object and never say these ten plain words to anybody at all. " * 2
    kit.write("features/note/prompts/v1.md", f"{rules}\n---\n<text>\n$text\n</text>\n")
    with kit.serve(kit.provider(said=rules)) as url:
        async with site_with(url) as site:
            told = await site.stream("note", kit.TEXT)
    shown = "".join(data["text"] for kind, data in told if kind == "delta")
    assert (told[-1][0], told[-1][1]["code"]) == ("error", "blocked")
    assert len(shown.split()) < 8


async def test_an_answer_that_does_not_fit_gets_one_chance_to_be_mended(site_with):
    heard = []
    with kit.serve(kit.provider(said=["not json", '{"result": "mended"}'], heard=heard)) as url:
        async with site_with(url) as site:
            said = await site.post("note", kit.TEXT)
    assert said.json()["output"] == {"result": "mended"}
    assert len(heard) == 2
    assert "cannot be used" in heard[1]["messages"][-1]["content"]


async def test_every_call_is_billed_the_ones_that_failed_included(site_with):
    with kit.serve(kit.provider(said="not json")) as url:
        async with site_with(url, keyless="") as site:
            said = (await site.post("note", kit.TEXT)).json()["meta"]
            row = (await site.rows())[0]
    assert said["cost_usd"] == pytest.approx(0.00006)
    assert said["input_tokens"] > 20
    assert row.failed_models == 1


async def test_what_failed_models_cost_is_recorded_when_nobody_answers(site_with):
    with kit.serve(kit.provider(said="not json")) as url:
        async with site_with(url) as site:
            await site.post("note", kit.TEXT)
            row = (await site.rows())[0]
    assert (row.outcome, row.input_tokens, row.output_tokens) == ("no_model", 20, 40)


async def test_a_cut_stream_is_billed_by_estimate_and_says_so(site_with):
    words = '{"result": "' + "word " * 20 + '"}'
    with kit.serve(kit.provider(said=words, cut_after=8)) as url:
        async with site_with(url, keyless="") as site:
            told = await site.stream("note", kit.TEXT)
            row = (await site.rows())[0]
    assert "restart" in [kind for kind, _ in told]
    assert told[-1][1]["meta"]["model"] == "keyless"
    assert row.estimated
    assert row.cost_usd > 0


async def test_a_stream_that_may_not_begin_again_ends_with_an_error(site_with):
    kit.edit("features/note/feature.toml", "[slo]", "restart = false\n\n[slo]")
    words = '{"result": "' + "word " * 20 + '"}'
    with kit.serve(kit.provider(said=words, cut_after=8)) as url:
        async with site_with(url, keyless="") as site:
            told = await site.stream("note", kit.TEXT)
    assert "restart" not in [kind for kind, _ in told]
    assert (told[-1][0], told[-1][1]["code"]) == ("error", "no_model")


async def test_a_model_that_keeps_failing_is_left_alone(site_with):
    heard = []
    with kit.serve(kit.provider(500, heard=heard)) as url:
        async with site_with(url, keyless="") as site:
            for number in range(8):
                said = await site.post("note", {"text": f"Text number {number} is here."})
                assert said.json()["meta"]["model"] == "keyless"
    assert len(heard) == breaker.FAILURES


def test_a_model_that_rests_is_tried_again_by_one_request(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(breaker.time, "monotonic", lambda: clock[0])
    resting = breaker.Breaker()
    for _ in range(breaker.FAILURES):
        resting.note(ok=False)
    assert not resting.lets_through()
    clock[0] = breaker.REST_S + 1
    assert [resting.lets_through() for _ in range(3)] == [True, False, False]
    resting.note(ok=True)
    assert resting.lets_through()
