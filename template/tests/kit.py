"""A small project for tests, and what speaks to it: real files, a real database, servers on this machine."""

import asyncio
import itertools
import json
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response, StreamingResponse
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import passages, scaffold, services, settings, web
from app.db import Usage
from app.keyless import server
from app.passages import Passage
from app.services import Services

ROOT = Path(__file__).parent.parent
PEPPER = "pepper " * 6
POLICY = """\
[use_cases.client-text]
providers = ["keyless", "openai-compatible"]
regions = ["local"]
"""
TOML = """\
summary = "Answer a question from the pages."
use_case = "client-text"
prompt = "v1"
output = "text"
max_tokens = 100
cache_ttl_s = 60

[slo]
p95_ms = 900
error_rate = 0.01
budget_usd = 0.002

[retrieval]
corpus = "pages"
query = "question"
"""
SCHEMA = '''\
"""What the feature takes and gives."""

from pydantic import BaseModel, Field


class Input(BaseModel):
    question: str = Field(min_length=1)


class Output(BaseModel):
    answer: str
'''
PROMPT = """\
Answer in at most two sentences, from the passages alone. Cite them by number, like [1].
If they do not answer, reply with exactly "The pages do not say."
---
<passages>
$passages
</passages>

<question>
$question
</question>
"""
PAGES = {
    "invoices": "# Invoices\n\nAn invoice is due after fourteen days. A reminder costs five euros.\n\n"
    "## Late payment\n\nAfter two reminders the contract ends, and the open invoice goes to a court.\n",
    "backups": "# Backups\n\nA backup runs every night at two. The copies are kept for thirty days.\n",
    "travel": "# Travel\n\nTrains are booked in second class. A hotel may cost ninety euros a night.\n",
}
QUESTION = {"question": "When is an invoice due?"}
TEXT = {"text": "The invoice is due on Friday. Please pay it by bank transfer."}


def write(path: str | Path, text: str) -> Path:
    """Write a file below the current folder."""
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8", newline="\n")
    return place


def edit(path: str | Path, old: str, new: str) -> None:
    """Change a file as a person would; the old text must be there."""
    text = Path(path).read_text(encoding="utf-8")
    assert old in text
    write(path, text.replace(old, new, 1))


def project() -> None:
    """Write the project: `note` as the scaffold makes it, `ask` with pages to search."""
    scaffold.write(Path("features"), "note")
    scaffold.write(Path("features"), "ask")
    for name, text in {"feature.toml": TOML, "schema.py": SCHEMA, "prompts/v1.md": PROMPT}.items():
        write(f"features/ask/{name}", text)
    for name in ("golden", "adversarial"):
        edit(f"features/ask/{name}.yaml", "inputs: {text: ", "inputs: {question: ")
    for name, text in PAGES.items():
        write(f"pages/{name}.md", text)
    write("config/policy.toml", POLICY)


def models(**urls: str) -> None:
    """Write the registry in this order; a model with no URL is the keyless one."""
    tables = [
        f'[models.{name}]\nprovider = "openai-compatible"\nname = "{name}"\nbase_url = "{url}/v1"\n'
        'region = "local"\nretention_days = 0\njson_mode = "prompt"\n'
        "price = { input_usd = 1, output_usd = 1 }\n"
        if url
        else f'[models.{name}]\nprovider = "keyless"\n'
        for name, url in urls.items()
    ]
    write("config/models.toml", "\n".join(tables))


@dataclass(frozen=True)
class Site:
    """The running app: a client of it, and what it holds."""

    http: httpx2.AsyncClient
    held: Services

    async def post(self, feature: str, given: object, key: str = "", **more: Any) -> httpx2.Response:
        """Ask a feature, as a client does."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return await self.http.post(f"/v1/{feature}", json=given, headers=headers, **more)

    async def stream(self, feature: str, given: object) -> list[tuple[str, dict[str, Any]]]:
        """Ask a feature and read all its events: kind and data."""
        headers = {"Accept": "text/event-stream"}
        said = await self.http.post(f"/v1/{feature}", json=given, headers=headers)
        return events(said.text)

    async def rows(self) -> list[Usage]:
        """Every usage row that was written so far, the oldest first."""
        await self.held.recorder.flush()
        async with AsyncSession(self.held.engine) as session:
            return list(await session.scalars(select(Usage).order_by(Usage.at)))


@asynccontextmanager
async def site(**given: Any) -> AsyncIterator[Site]:
    """Set up and start the app of the current folder, without keys unless `auth` says so."""
    found = services.plan(settings.load(**{"auth": "open", **given}))
    await services.setup(found)
    app = web.create_app(found)
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://test") as http,
    ):
        yield Site(http, app.state.services)


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Server-sent events as kind and data."""
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    pairs = [dict(line.split(": ", 1) for line in block) for block in blocks if block and block[0][0] != ":"]
    return [(pair["event"], json.loads(pair["data"])) for pair in pairs]


def provider(
    status: int = 200,
    said: str | list[Any] = "",
    pause_s: float = 0,
    cut_after: int = 0,
    heard: list[dict[str, Any]] | None = None,
) -> FastAPI:
    """A provider's API: this status and text, of a list one after the other; a dict is the call of a tool."""
    api = FastAPI()
    texts = itertools.cycle([said] if isinstance(said, str) else said)

    @api.post("/v1/chat/completions")
    async def complete(asked: dict[str, Any]) -> Response:
        if heard is not None:
            heard.append(asked)
        if status != 200:
            return JSONResponse({"error": {"message": "provider-internal-detail"}}, status)
        usage, text = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}, next(texts)
        if asked.get("stream"):
            return StreamingResponse(paused(server.events(text, usage)), media_type="text/event-stream")
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if isinstance(text, dict):
            call = {"id": "call-1", "type": "function", "function": text}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        envelope = server.envelope("chat.completion", [choice], usage)
        return JSONResponse({**envelope, "model": asked["model"]})

    async def paused(parts: Iterator[str]) -> AsyncIterator[str]:
        for number, part in enumerate(parts, start=1):
            await asyncio.sleep(pause_s)
            if number == cut_after:
                raise ConnectionAbortedError
            yield part

    return api


@contextmanager
def serve(app: FastAPI) -> Iterator[str]:
    """Serve an app on a free port of this machine; gives its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        running = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        thread = threading.Thread(target=running.run, args=([listener],), daemon=True)
        thread.start()
        while not running.started and thread.is_alive():
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        running.should_exit = True
        thread.join(10)


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(main: Callable[[], None], *words: str) -> int:
    """Run a command of the project in this process; gives its exit code."""
    before, sys.argv = sys.argv, ["command", *words]
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        sys.argv = before
    return int(ended.value.code or 0)


def cut(path: Path) -> list[Passage]:
    """The passages of one page on disk."""
    return passages.from_page(path.stem, path.read_text(encoding="utf-8"))
