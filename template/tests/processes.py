"""The app's own processes beside a test, and what asks them for answers that come later."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager

import httpx2

from app import tenants
from tests import kit

PROGRAM = "import sys; from app.cli import main; sys.argv[0] = 'app'; main()"
ASYNC = {"Prefer": "respond-async"}


@contextmanager
def process(*words: str, **variables: str):
    """A command of the project as a process of its own."""
    env = {**os.environ, "APP_AUTH": "open", "PYTHONPATH": str(kit.ROOT), **variables}
    running = subprocess.Popen([sys.executable, "-c", PROGRAM, *words], env=env)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGTERM)
        running.wait(60)


@asynccontextmanager
async def client(port: int):
    """A client of the app that listens there, once it is ready."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
        for _ in range(600):
            try:
                if (await http.get("/readyz")).status_code == 200:
                    break
            except httpx2.TransportError:
                await asyncio.sleep(0.1)
        yield http


async def keyed(site: kit.Site, tenant: str) -> dict[str, str]:
    """The headers of a request for later, with a new key of the tenant, which is made if it is missing."""
    if tenant not in {known.id for known in await tenants.every(site.held.engine)}:
        await tenants.add(site.held.engine, tenant, tenant, None)
    key = await tenants.create_key(site.held.engine, site.held.plan.settings, tenant)
    return {**ASYNC, "Authorization": f"Bearer {key}"}


async def result(http: httpx2.AsyncClient, name: str, **headers: str) -> httpx2.Response:
    """The result, once it is there."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        said = await http.get(f"/v1/results/{name}", headers=headers)
        if said.status_code != 202:
            return said
        await asyncio.sleep(0.1)
    raise TimeoutError(name)


async def until(true) -> None:
    """Wait for it, at most twenty seconds."""
    for _ in range(200):
        if true():
            return
        await asyncio.sleep(0.1)
    raise TimeoutError
