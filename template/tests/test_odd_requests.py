"""Names, headers and texts that no honest client sends: refused or answered, never a server error."""

import asyncio
import json

import pytest
from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse

from app.keyless import server
from tests import kit

HALF = "\ud800"
ODD = ["%00", "a%00b", "%0A", "a%0A", "%FF", "x" * 5_000, "%E2%80%AE"]
SSE = {"Accept": "text/event-stream"}
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("name", ODD)
async def test_a_name_that_cannot_be_one_is_refused(site, name):
    places = [
        ("GET", f"/v1/results/{name}"),
        ("GET", f"/v1/conversations/{name}"),
        ("GET", f"/v1/conversations/c1?user_id={name}"),
        ("DELETE", f"/v1/conversations/{name}"),
        ("DELETE", f"/v1/conversations/c1?user_id={name}"),
        ("POST", f"/v1/note?user_id={name}"),
        ("POST", f"/v1/note?conversation_id={name}"),
    ]
    said = [await site.http.request(method, path, json=kit.TEXT) for method, path in places]
    assert {one.status_code for one in said} == {422}


@pytest.mark.parametrize("text", [f"{HALF} is no letter.", f"The invoice {HALF} is due."])
async def test_half_a_character_is_refused(site, text):
    said = await site.http.post("/v1/note", content=json.dumps({"text": text}), headers=JSON)
    assert (said.status_code, said.json()["code"]) == (422, "invalid")
    assert "surrogate" in said.json()["detail"]


@pytest.mark.parametrize("headers", [{}, SSE])
@pytest.mark.parametrize("output", ["json", "text"])
async def test_a_model_that_says_half_a_character_gave_no_answer(project, output, headers):
    kit.edit("features/note/feature.toml", "max_tokens", f'output = "{output}"\nmax_tokens')
    with kit.serve(saying(f'{{"result": "{HALF} x"}}')) as url:
        kit.models(first=url)
        async with kit.site() as site:
            said = await site.http.post("/v1/note", json=kit.TEXT, headers=headers)
            assert [row.outcome for row in await site.rows()] == ["no_model"]
    assert '"no_model"' in said.text


def saying(text: str) -> FastAPI:
    """A provider that says a text whatever it holds."""
    api, usage = FastAPI(), {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}

    @api.post("/v1/chat/completions")
    async def complete(asked: dict[str, object]) -> Response:
        if asked.get("stream"):
            return StreamingResponse(server.events(text, usage), media_type="text/event-stream")
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        envelope = {**server.envelope("chat.completion", [choice], usage), "model": "first"}
        return Response(json.dumps(envelope), media_type="application/json")

    return api


@pytest.mark.parametrize("last", ["9" * 5_000, "9" * 12, "-1", "x", "\u00b2", "", "1e3"])
async def test_a_last_event_id_that_is_no_number_begins_again(site, last):
    whole = await site.stream("note", kit.TEXT)
    assert await resumed(site, whole[0][1]["id"], last) == whole


@pytest.mark.parametrize("beyond", [0, 1, 1000])
async def test_a_stream_that_was_read_to_its_end_ends_at_once(site, beyond):
    whole = await site.stream("note", kit.TEXT)
    assert await resumed(site, whole[0][1]["id"], str(len(whole) - 1 + beyond)) == []


async def resumed(site: kit.Site, name: str, last: str) -> list[object]:
    """The events after one, within five seconds."""
    headers = {**SSE, "Last-Event-ID": last.encode()}
    return kit.events((await asyncio.wait_for(site.http.get(f"/v1/results/{name}", headers=headers), 5)).text)
