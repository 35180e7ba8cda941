"""The lean client asks as the vendor's own client does, and reads what other servers send."""

import asyncio

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, Response
from openai import AsyncOpenAI
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelRequest
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from app.lean import LeanOpenAI
from tests import kit

SCHEMA = {"type": "object", "properties": {"result": {"type": "string"}}, "required": ["result"]}
# No finish_reason, no time, no usage.
MESSAGE = {"role": "assistant", "content": '{"result": "Friday"}'}
BARE = {
    "id": "1", "object": "chat.completion", "model": "m", "choices": [{"index": 0, "message": MESSAGE}]
}  # fmt: skip


def answering(response: Response, pause_s: float = 0) -> FastAPI:
    """A server that says the same to every request."""
    api = FastAPI()

    @api.post("/v1/chat/completions")
    async def complete() -> Response:
        await asyncio.sleep(pause_s)
        return response

    return api


async def test_it_sends_what_the_vendors_client_sends(project):
    heard, wanted = [], ModelRequestParameters(
        output_mode="native", output_object=OutputObjectDefinition(json_schema=SCHEMA, name="note")
    )  # fmt: skip
    settings = ModelSettings(max_tokens=50, extra_body={"top_k": 1})
    messages = [ModelRequest.user_text_prompt("Wann? ä", instructions="Reply with JSON.")]
    with kit.serve(kit.provider(said="{}", heard=heard)) as url:
        async with httpx2.AsyncClient() as http:
            base_url = f"{url}/v1"
            vendor = AsyncOpenAI(api_key="none", base_url=base_url, http_client=http, max_retries=0)
            for client in (vendor, LeanOpenAI("none", base_url, http)):
                model = OpenAIChatModel("gpt-5-mini", provider=OpenAIProvider(openai_client=client))
                parameters = {"model_settings": settings, "model_request_parameters": wanted}
                await model_request(model, messages, **parameters)
    assert heard[0] == heard[1]
    assert heard[1]["response_format"]["json_schema"]["schema"]["required"] == ["result"]


async def test_fields_that_a_server_leaves_out_are_not_missed(project):
    with kit.serve(answering(JSONResponse(BARE))) as url:
        kit.models(first=url)
        async with kit.site() as site:
            said = await site.post("note", kit.TEXT)
    assert said.json()["output"] == {"result": "Friday"}


@pytest.mark.parametrize("response", [HTMLResponse("<h1>busy</h1>"), JSONResponse([]), JSONResponse({})])
async def test_the_next_model_answers_for_one_that_speaks_no_protocol(project, response):
    with kit.serve(answering(response)) as url:
        kit.models(first=url, second="")
        async with kit.site() as site:
            said = await site.post("note", kit.TEXT)
    assert said.json()["meta"]["model"] == "second"


@pytest.mark.slow
async def test_the_next_model_answers_for_one_that_hangs(project):
    with kit.serve(answering(JSONResponse(BARE), pause_s=3)) as url:
        kit.models(first=url, second="")
        async with kit.site(model_timeout_s=0.2) as site:
            said = await site.post("note", kit.TEXT)
    assert said.json()["meta"]["model"] == "second"


async def test_the_next_model_answers_for_one_that_speaks_no_http(project):
    async def gibberish(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail ready\r\n")
        writer.close()

    listening = await asyncio.start_server(gibberish, "127.0.0.1", port := kit.free_port())
    kit.models(first=f"http://127.0.0.1:{port}", second="")
    async with listening, kit.site() as site:
        said = await site.post("note", kit.TEXT)
    assert said.json()["meta"]["model"] == "second"


@pytest.mark.slow
async def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again(project):
    with kit.serve(answering(JSONResponse(BARE)), timeout_keep_alive=1) as url:
        kit.models(first=url, second="")
        async with kit.site() as site:
            for text in ("one", "two"):
                said = await site.post("note", {"text": text})
                await asyncio.sleep(1.3)
            rows = await site.rows()
    assert (said.json()["meta"]["model"], [row.failed_models for row in rows]) == ("first", [0, 0])
