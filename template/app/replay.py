"""Ask a version that gets no traffic yet: what a deploy wants answered, through the proxy, as a client would.

Reads one JSON object from standard input and writes one answer a line; its own API key ends with it.
"""

import asyncio
import json
import sys
import time
from typing import Any

import httpx2
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncEngine

from app import db, settings, tenants
from app.errors import NotFound
from app.files import Strict
from app.settings import Settings

TENANT = "deploy-replay"
AT_ONCE = 4
TIMEOUT_S = 60


class Ask(Strict):
    """One request: the feature's name and its input."""

    feature: str
    inputs: dict[str, Any]


class Asks(Strict):
    """What to ask, at which address, and the headers that choose the slot."""

    url: str
    headers: dict[str, str] = {}
    asks: list[Ask] = Field(min_length=1)


async def run(wanted: Asks) -> list[dict[str, Any]]:
    """Status, body and milliseconds of each request, in order; status 0 where no answer came."""
    config = settings.load()
    engine = db.connect(config.database_url)
    try:
        headers = {**wanted.headers, "Authorization": f"Bearer {await key(engine, config)}"}
        room = asyncio.Semaphore(AT_ONCE)
        async with httpx2.AsyncClient(base_url=wanted.url, headers=headers, timeout=TIMEOUT_S) as client:
            return await asyncio.gather(*(answer(client, room, ask) for ask in wanted.asks))
    finally:
        await tenants.revoke_keys(engine, TENANT)
        await engine.dispose()


async def key(engine: AsyncEngine, config: Settings) -> str:
    """A key for this run alone."""
    try:
        await tenants.keys(engine, TENANT)
    except NotFound:
        await tenants.add(engine, TENANT, "Asks golden cases before a deploy", None)
    return await tenants.create_key(engine, config, TENANT)


async def answer(client: httpx2.AsyncClient, room: asyncio.Semaphore, ask: Ask) -> dict[str, Any]:
    """What one request brought."""
    async with room:
        began = time.perf_counter()
        try:
            said = await client.post(f"/v1/{ask.feature}", json=ask.inputs)
            status, body = said.status_code, said.json()
        except (httpx2.HTTPError, ValueError) as error:
            status, body = 0, {"detail": f"{type(error).__name__}: {error}"}
        return {"status": status, "body": body, "ms": (time.perf_counter() - began) * 1000}


def main() -> None:
    """Read what to ask, ask it, and print what came."""
    wanted = Asks.model_validate_json(sys.stdin.read())
    for line in asyncio.run(run(wanted)):
        sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
