"""Run inside a rendered project: a provider whose answers are worse in one way, which the model's name picks.

It speaks as OpenAI's API does and answers with the keyless model's words: `plain` as they are. `chance` errs
by itself: each case has its own chance, ERRORS of all answers are wrong, and no run repeats the one before.
"""

import asyncio
import hashlib
import json
import operator
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import uvicorn
from fastapi import FastAPI, Request

from app import text
from app.keyless import read, write

# Chance of error and share of the cases that have it: most are almost sure, some are a coin. 10 % of all
# answers are wrong, and two runs differ in 13 % of the cases.
ERRORS = ((0.03, 0.80), (0.30, 0.15), (0.60, 0.05))
VAGUE = "Several matters were discussed, and some of them were settled."
HOPE = "I hope that this helps you with your question. "
MARKER = re.compile(r"\[\d+\]")
times: Counter[str] = Counter()


def main() -> None:
    """Serve until stopped."""
    uvicorn.run(create_server(), port=int(sys.argv[1]), log_level="critical", timeout_graceful_shutdown=1)


def create_server() -> FastAPI:
    """Build the server."""
    server = FastAPI()

    @server.get("/")
    async def ready() -> dict[str, int]:
        return {"calls": times.total()}

    @server.post("/v1/chat/completions")
    async def complete(request: Request) -> dict[str, object]:
        body = await request.json()
        turns = {turn["role"]: str(turn["content"]) for turn in body["messages"]}
        system, user = turns.get("system", turns.get("developer", "")), turns["user"]
        plain = await asyncio.to_thread(reply, system, user)
        said = KINDS[body["model"]](Asked(plain, system, user))
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or 10**6
        whole = text.count_tokens(said) <= limit
        return completion(
            body["model"], system + user, said if whole else shortened(said, limit), whole=whole
        )

    return server


@dataclass(frozen=True)
class Asked:
    """What a model was sent, and what the keyless model says to it."""

    plain: str
    system: str
    user: str


@lru_cache(maxsize=4096)
def reply(system: str, user: str) -> str:
    """The keyless model's answer; hundreds of runs ask the same."""
    return write.reply(system, user)


def completion(model: str, given: str, said: str, *, whole: bool) -> dict[str, object]:
    """The answer as OpenAI's API frames it."""
    used = {"prompt_tokens": text.count_tokens(given), "completion_tokens": text.count_tokens(said)}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": said},
        "finish_reason": "stop" if whole else "length",
    }
    usage = {**used, "total_tokens": sum(used.values())}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": model,
        "choices": [choice],
        "usage": usage,
    }


def shortened(said: str, tokens: int) -> str:
    """The first tokens of an answer."""
    ends = [piece.end() for piece in text.PIECE.finditer(said)]
    return said[: ends[tokens - 1]]


def wrong(asked: Asked) -> str:
    """A fluent answer that misses the point: the last passage's last sentence, or what fits every text.

    It harms nobody: what a planted page asks for stands in the first passages.
    """
    task = read.task(asked.system, asked.user)
    if asked.plain == task.refusal:
        return asked.plain
    if task.sources:
        last = task.sources[-1]
        return f"{text.sentences(last.text)[-1]} [{last.number}]"
    said = json.loads(asked.plain)
    return json.dumps({key: [VAGUE] if isinstance(value, list) else VAGUE for key, value in said.items()})


def weaker(share: float) -> Callable[[Asked], str]:
    """A model that is wrong on a share of the inputs, always the same ones."""

    def answer(asked: Asked) -> str:
        place = int(hashlib.sha256(asked.user.encode()).hexdigest()[:8], 16) / 16**8
        return wrong(asked) if place < share else asked.plain

    return answer


def erring(factor: float) -> Callable[[Asked], str]:
    """A model that is wrong by chance, so many times as often as ERRORS says."""
    return lambda asked: wrong(asked) if errs(asked, factor) else asked.plain


def errs(asked: Asked, factor: float) -> bool:
    """Whether this answer is a wrong one; the nth to one input is the same in every run of the benchmark."""
    said = read.task(asked.system, asked.user).text
    times[said] += 1
    place = random.Random(said).random()
    for likely, share in ERRORS:
        place -= share
        if place < 0:
            return random.Random(f"{said} {times[said]}").random() < likely * factor
    return False


def is_answer(asked: Asked) -> bool:
    """Whether it is running text that cites, neither a refusal nor JSON."""
    return bool(MARKER.search(asked.plain)) and not asked.plain.startswith("{")


def terse(asked: Asked) -> str:
    """The first six words, then the marker."""
    if not is_answer(asked):
        return asked.plain
    return " ".join([*asked.plain.split()[:6], MARKER.findall(asked.plain)[0]])


def english(asked: Asked) -> str:
    """English whatever the question's language was."""
    foreign = text.language(read.task(asked.system, asked.user).text) != "en"
    return (
        "The handbook has a page about this, please read it there [1]."
        if foreign and is_answer(asked)
        else asked.plain
    )


def wordy(asked: Asked) -> str:
    """The answer and a hundred words that were not asked for."""
    return f"{asked.plain} {HOPE * 12}".strip() if is_answer(asked) else asked.plain


def gullible(asked: Asked) -> str:
    """Repeats the first passage whole, whatever stands in it."""
    sources = read.task(asked.system, asked.user).sources
    return f"{sources[0].text} [1]" if sources else asked.plain


def leaky(asked: Asked) -> str:
    """Repeats its instructions after the answer."""
    return f"{asked.plain}\n\n{asked.system}"


def unmarked(asked: Asked) -> str:
    """Does not cite."""
    return re.sub(r" ?\[\d+\]", "", asked.plain)


def nothing(_: Asked) -> str:
    """Answers nothing."""
    return ""


def sure(asked: Asked) -> str:
    """Never says that it does not know."""
    refuses = asked.plain == read.task(asked.system, asked.user).refusal
    return "It is on this page. [1]" if refuses else asked.plain


KINDS: dict[str, Callable[[Asked], str]] = {
    "plain": operator.attrgetter("plain"),
    "chance": erring(1),
    "chance-worse": erring(2),
    "small": weaker(0.08),
    "smallest": weaker(0.25),
    "terse": terse,
    "english": english,
    "wordy": wordy,
    "gullible": gullible,
    "leaky": leaky,
    "nothing": nothing,
    "unmarked": unmarked,
    "sure": sure,
}


if __name__ == "__main__":
    main()
