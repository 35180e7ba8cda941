"""The clients of models: one wire format a vendor, a bounded number of calls, no retries."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import ModelAPIError
from pydantic_ai.messages import ModelRequest

from app import clients, settings
from app.errors import ConfigError
from app.models import Registry
from tests import kit

ASKED = [ModelRequest.user_text_prompt("hello")]


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient() as opened:
        yield opened


class Vendor:
    """A vendor's server: gives one answer, keeps what it was asked, and can be made to wait."""

    def __init__(self, answer: dict[str, Any], status: int = 200) -> None:
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.running = self.most = 0
        self.go = threading.Event()
        self.go.set()
        self.app = FastAPI()

        @self.app.post("/{path:path}")
        async def ask(path: str, request: Request) -> JSONResponse:
            self.asked.append((path, dict(request.headers), await request.json()))
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.to_thread(self.go.wait, 10)
            self.running -= 1
            return JSONResponse(answer, status)


ANTHROPIC = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "good day"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 11, "output_tokens": 3},
}
GOOGLE = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"text": "good day"}]}, "finishReason": "STOP", "index": 0}
    ],
    "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 3, "totalTokenCount": 14},
    "modelVersion": "gemini-x",
    "responseId": "r1",
}
OPENAI = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "good day"}}
    ],
    "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
}


def connect(http: httpx2.AsyncClient, provider: str, url: str, **more: object) -> Any:
    """The client of one model, `m`, with its key set."""
    table = {
        "provider": provider,
        "name": "x-1",
        "base_url": url,
        "key": "vendor",
        "region": "us",
        "retention_days": 30,
        "price": {"input_usd": 1, "output_usd": 1},
        **more,
    }
    registry = Registry.model_validate({"models": {"m": table}})
    found = settings.load(keys={"vendor": "vendor-key"})
    return clients.connect(registry, found, http).get("m")


async def test_anthropic_is_asked_in_its_own_format(project, http):
    pytest.importorskip("anthropic")
    vendor = Vendor(ANTHROPIC)
    with kit.serve(vendor.app) as url:
        said = await model_request(connect(http, "anthropic", url), ASKED)
    [(path, headers, body)] = vendor.asked
    assert (said.text, said.usage.input_tokens, said.usage.output_tokens) == ("good day", 11, 3)
    assert (path, headers["authorization"], body["model"]) == ("v1/messages", "Bearer vendor-key", "x-1")
    assert headers["anthropic-version"]
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]


async def test_google_is_asked_in_its_own_format(project, http):
    pytest.importorskip("google.genai")
    vendor = Vendor(GOOGLE)
    with kit.serve(vendor.app) as url:
        said = await model_request(connect(http, "google", url), ASKED)
    [(path, headers, body)] = vendor.asked
    assert (said.text, said.usage.input_tokens, said.usage.output_tokens) == ("good day", 11, 3)
    assert (path, headers["x-goog-api-key"]) == ("v1/models/x-1:generateContent", "vendor-key")
    assert body["contents"] == [{"role": "user", "parts": [{"text": "hello"}]}]


@pytest.mark.parametrize("provider", ["openai-compatible", "anthropic", "google"])
async def test_a_failed_call_is_not_repeated(project, http, provider):
    pytest.importorskip({"google": "google.genai"}.get(provider, provider.partition("-")[0]))
    vendor = Vendor({"error": {"message": "down", "code": 503}}, 503)
    with kit.serve(vendor.app) as url:
        client = connect(http, provider, url)
        with pytest.raises(ModelAPIError):
            await model_request(client, ASKED)
    assert len(vendor.asked) == 1


@pytest.mark.parametrize(("provider", "package"), [("anthropic", "anthropic"), ("google", "google.genai")])
async def test_a_missing_package_names_the_extra_to_install(project, http, monkeypatch, provider, package):
    for name in [n for n in sys.modules if n.startswith("pydantic_ai.") and n.endswith(f".{provider}")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [package, *(n for n in sys.modules if n.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=f"models.m.provider: .*uv sync --extra {provider}"):
        connect(http, provider, "http://127.0.0.1:1")


@pytest.mark.slow
async def test_no_vendors_package_is_imported_for_the_keyless_model(project):
    code = "import sys, app.web; print({'openai', 'anthropic', 'google.genai'} & set(sys.modules))"
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=kit.ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert (await done.communicate())[0].decode().strip() == "set()"


async def test_a_missing_key_names_the_variable_to_set(project):
    kit.models(far="http://127.0.0.1:1")
    kit.edit("config/models.toml", 'json_mode = "prompt"', 'key = "openai"')
    with pytest.raises(ConfigError, match=r"models\.far\.key: .*APP_KEYS__OPENAI="):
        async with kit.site():
            pass


async def test_an_embedding_model_has_no_chat_client(project, http):
    assert connect(http, "openai-compatible", "http://127.0.0.1:1/v1", kind="embedding") is None


async def test_no_more_calls_run_at_once_than_a_model_takes(project, http):
    vendor = Vendor(OPENAI)
    with kit.serve(vendor.app) as url:
        client = connect(http, "openai-compatible", f"{url}/v1", max_running=2)
        vendor.go.clear()
        calls = [asyncio.create_task(model_request(client, ASKED)) for _ in range(4)]
        await asyncio.sleep(0.3)
        vendor.go.set()
        said = [(await call).text for call in calls]
    assert (vendor.most, said) == (2, ["good day"] * 4)


async def test_a_call_too_many_fails_at_once_so_that_the_next_model_is_asked(project):
    vendor = Vendor({**OPENAI, "choices": [choice("slow")]})
    spare = Vendor({**OPENAI, "choices": [choice("spare")]})
    with kit.serve(vendor.app) as one, kit.serve(spare.app) as two:
        kit.models(far=one, near=two)
        kit.edit("config/models.toml", 'name = "far"', 'name = "far"\nmax_running = 1')
        async with kit.site() as site:
            vendor.go.clear()
            asks = [asyncio.create_task(site.post("note", {"text": f"Text {n}."})) for n in range(3)]
            done, _ = await asyncio.wait(asks, timeout=5, return_when=asyncio.FIRST_COMPLETED)
            first = [ask.result().json()["meta"]["model"] for ask in done]
            vendor.go.set()
            said = [(await ask).json()["meta"]["model"] for ask in asks]
    assert (first, sorted(said)) == (["near"], ["far", "far", "near"])


def choice(said: str) -> dict[str, Any]:
    """One choice of an OpenAI answer: the note feature's output."""
    content = f'{{"result": "{said}"}}'
    return {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
