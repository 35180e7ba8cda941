"""Run inside a rendered project with its extra `onnx`: texts a second, alone and gathered to batches.

Arguments: the encoder's folder, the URL of an embeddings API. Prints JSON for benchmarks.embeddings.
"""

import asyncio
import json
import statistics
import sys
import time

import httpx2
import sentences

from app import embed, settings
from app.embed import Encoder
from app.models import Model, Registry

CLIENTS, SECONDS, ROUNDS = 64, 4.0, 3
CONTEXT = 128


async def main() -> None:
    """Measure each encoder alone and batched in alternating rounds."""
    folder, url = sys.argv[1:]
    told = {"kind": "embedding", "region": "local", "retention_days": 0}
    server = {"provider": "openai-compatible", "name": "e", "base_url": f"{url}/v1", **told}
    found = {
        "parallel": Model(**server, max_running=CLIENTS),
        "serial": Model(**server, max_running=1),
        "onnx": Model(provider="onnx", path=folder, context=CONTEXT, **told),
    }
    texts = sentences.collect(20_000)
    spent: dict[str, dict[str, list[float]]] = {}
    for _ in range(ROUNDS):
        for name in found:
            for way, size in (("alone", 1), ("batched", settings.load().embed_batch)):
                rate = await measured(Registry(models=found), name, size, texts)
                spent.setdefault(name, {}).setdefault(way, []).append(rate)
    middle = {
        name: {way: statistics.median(rates) for way, rates in ways.items()} for name, ways in spent.items()
    }
    print(json.dumps(middle))


async def measured(registry: Registry, name: str, size: int, texts: list[str]) -> float:
    """Texts a second of CLIENTS that each ask for one text after the other."""
    async with httpx2.AsyncClient() as http:
        encoder = embed.connect(registry, {name}, settings.load(embed_batch=size), http)[name]
        waiting, done, started = iter(texts * 50), 0, time.perf_counter()

        async def client(encoder: Encoder = encoder) -> None:
            nonlocal done
            while time.perf_counter() - started < SECONDS:
                await encoder.vector(next(waiting))
                done += 1

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        rate = done / (time.perf_counter() - started)
        encoder.close()
    return rate


if __name__ == "__main__":
    asyncio.run(main())
