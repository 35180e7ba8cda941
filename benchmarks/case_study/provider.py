"""uv run python -m benchmarks.case_study.provider: a provider as slow and as unreliable as the world says.

A word is a token. An answer takes longer the more tokens it reads and writes; the request's text says how
many it wants. A prompt that says its release gets what is wrong with that release. Before /world is told, it
answers the gate's cases and nothing goes wrong: what is wrong with a release is seen by callers alone.
"""

import argparse
import asyncio
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

from benchmarks.case_study import world
from benchmarks.case_study.world import World
from benchmarks.stub import read, whole

DIGITS = str.maketrans("abcdefghij", "0123456789")
ASKED = re.compile(r"Case ([a-j]+) needs ([a-j]+) words")
RELEASE, SHORT = re.compile(r"Release (r\d+)\."), re.compile(r"at most (\d+) words")
ENGLISH = """
The delivery was late because customs held the papers and the drivers waited until the office opened again so
the customer gets a new date and the price stays the same as it was in the offer
"""
GERMAN = "Die Lieferung war zu spät weil der Zoll die Papiere behalten hat und die Fahrer warten mussten"
LAB = "The invoice is due on Friday and has to be paid by bank transfer to our account."
BROKEN, WRONG, UNSAFE, SLOWER, LONGER = 0.1, 0.2, 0.03, 2.5, 2


class Provider:
    """The ASGI application; `took` holds of each completion when, and the tokens read and written."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.began = 0.0
        self.kinds: dict[str, str] = {}
        self.down: dict[str, list[tuple[float, float]]] = {}
        self.tries: Counter[tuple[str, int]] = Counter()
        self.took: list[tuple[float, int, int]] = []

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path, body = str(scope["path"]), await read(receive)
        status, answer = 200, json.dumps(self.took)
        if path == "/world":
            self.begin(json.loads(body))
        elif path.endswith("/chat/completions"):
            status, answer = await self.complete(path.split("/")[1], json.loads(body))
        await whole(send)(status, answer.encode())

    def begin(self, told: dict[str, Any]) -> None:
        """Start a run: nothing of an earlier one is left."""
        self.__init__()  # type: ignore[misc]
        if told:
            self.world, self.began = World(**told), time.monotonic()
            self.kinds = {one.name: one.kind for one in world.releases(self.world)}
            self.down = {name: world.outages(self.world, name) for name in ("main", "spare")}

    async def complete(self, name: str, asked: dict[str, Any]) -> tuple[int, str]:
        """One completion of the provider `main` or `spare`."""
        told = " ".join(str(message["content"]) for message in asked["messages"])
        found, known = ASKED.search(told), self.world
        if known is None or found is None:
            return 200, completion(asked, json.dumps({"result": LAB}), len(told.split()), len(LAB.split()))
        text, wanted = (int(word.translate(DIGITS)) for word in found.groups())
        release, short = RELEASE.search(told), SHORT.search(told)
        kind = self.kinds[release[1]] if release else world.GOOD
        written = min(wanted, int(short[1])) if short and known.short else wanted
        written *= LONGER if kind == "costly" else 1
        words = len(told.split())
        self.tries[name, text] += 1
        lot = known.lot(name, text, self.tries[name, text])
        now_s = (time.monotonic() - self.began) * known.speed
        if any(start <= now_s < end for start, end in self.down[name]) or lot.random() < known.fails:
            await asyncio.sleep(known.first_s / known.speed)
            return 503, json.dumps({"error": {"message": "overloaded", "code": "server_error"}})
        self.took.append((now_s, words, written))
        takes_s = known.first_s + words * known.read_s + written * known.write_s
        takes_s *= lot.lognormvariate(0, known.spread) * (known.stalled if lot.random() < known.stalls else 1)
        await asyncio.sleep(takes_s * (SLOWER if kind == "slow" else 1) / known.speed)
        return 200, completion(asked, answer(kind, text, written), words, written)


def answer(kind: str, text: int, count: int) -> str:
    """So many words, with what is wrong with a release of this kind; the same text gets the same."""
    chance = int(hashlib.sha256(f"{kind}/{text}".encode()).hexdigest()[:8], 16) / 2**32
    if kind == "broken" and chance < BROKEN:
        return "Here is what the text says:"
    words = (GERMAN if kind == "wrong" and chance < WRONG else ENGLISH).split()
    said = " ".join(words[number % len(words)] for number in range(count)) + "."
    said += " Ask martha.keller@brightmail.org." if kind == "unsafe" and chance < UNSAFE else ""
    return json.dumps({"result": said})


def completion(asked: dict[str, Any], text: str, words: int, written: int) -> str:
    """A chat completion as OpenAI's API words it."""
    usage = {"prompt_tokens": words, "completion_tokens": written, "total_tokens": words + written}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": asked["model"]}
    return json.dumps({**head, "choices": [choice], "usage": usage})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(Provider(), port=parser.parse_args().port, log_level="warning", access_log=False)
