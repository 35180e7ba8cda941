"""An embeddings API on this machine, and a project that searches with it."""

import asyncio
import base64
import json
import re
import struct
import zlib
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from app import embed, services, settings
from app.shelf import Source
from tests import kit

ENCODER = """
[models.e]
provider = "openai-compatible"
kind = "embedding"
name = "e"
base_url = "{url}/v1"
region = "local"
retention_days = 0
revision = "{pin}"
"""


class Embedder:
    """An embeddings API: each word is a direction, and it knows that a bill is an invoice."""

    def __init__(self, status: int = 200, pause_s: float = 0, width: int = 256) -> None:
        self.status, self.pause_s, self.width = status, pause_s, width
        self.heard: list[list[str]] = []
        self.lists = False
        self.left = 1_000  # calls until it fails
        self.headers: dict[str, str] = {}
        self.app = FastAPI()

        @self.app.post("/v1/embeddings")
        async def embed(asked: dict[str, Any], request: Request) -> JSONResponse:
            self.heard.append(asked["input"])
            self.headers = dict(request.headers)
            await asyncio.sleep(self.pause_s)
            rows = [{"index": n, "embedding": self.shown(said)} for n, said in enumerate(asked["input"])]
            self.left -= 1
            return JSONResponse({"data": rows[::-1]}, 503 if self.left < 0 else self.status)

    def shown(self, said: str) -> str | list[float]:
        """The vector as it was asked for, or as the servers send it that know lists alone."""
        packed = struct.pack(f"<{len(self.vector(said))}f", *self.vector(said))
        return self.vector(said) if self.lists else base64.b64encode(packed).decode()

    def vector(self, said: str) -> list[float]:
        """Counts of words by their place."""
        counts = [0.0] * self.width
        for word in re.findall(r"\w+", said.lower().replace("bill", "invoice")):
            counts[zlib.crc32(word.removesuffix("s").encode()) % self.width] += 1
        return counts

    def packed(self, said: str) -> bytes:
        """The vector as the app keeps it."""
        return embed.unit([self.vector(said)])[0]

    @property
    def texts(self) -> list[str]:
        """Every text that it was given, in order."""
        return [said for call in self.heard for said in call]


def encoder(url: str, pin: str = "1") -> None:
    """Let `ask` search with the vectors of this server."""
    keyless = '[models.keyless]\nprovider = "keyless"\n'
    kit.write("config/models.toml", keyless + ENCODER.format(url=url, pin=pin))
    toml = Path("features/ask/feature.toml")
    if "embeddings" not in toml.read_text(encoding="utf-8"):
        kit.edit(toml, 'query = "question"', 'query = "question"\nembeddings = "e"')


def own_page(tenant: str, name: str, text: str) -> Path:
    """Write a page of one tenant alone."""
    return kit.write(f"var/documents/{tenant}/pages/{name}.md", text)


async def index(tenant: str = "") -> dict[Source, Path]:
    """Build every index of the project, or one tenant's."""
    return await services.index(services.plan(settings.load()), tenant, lambda *_: None)


def choose(**way: object) -> None:
    """Let `ask` find the nearest vectors in this way."""
    toml = Path("features/ask/feature.toml")
    before = toml.read_text(encoding="utf-8").partition("\n[retrieval.nearest]")[0]
    lines = [f"{key} = {json.dumps(value)}" for key, value in way.items()]
    kit.write(toml, "\n".join([before.rstrip(), "", "[retrieval.nearest]", *lines, ""]))
