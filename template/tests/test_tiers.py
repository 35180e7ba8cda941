"""Which model answers: the first that can, the next when it fails, none behind a wrong key."""

import pytest

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
    after = kinds[kinds.index("restart") + 1 :]
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
