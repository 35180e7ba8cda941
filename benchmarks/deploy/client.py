"""python -m benchmarks.deploy.client: requests at a fixed rate, and streams that stay open, through the edge.

Goes on until its input ends, waits for what is open, and prints what came of each as one JSON object. The
rate does not wait for answers (open loop), so that a stall shows as requests that wait.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from benchmarks import servers
from benchmarks.load import quantile

ANSWER_S, STREAM_S, AT_MOST_S = 30, 90, 1200
QUESTIONS = ("What is an error budget", "Why does a canary start small", "Who is told of an incident")
Open = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Answer:
    """What came of a request: when it was sent, status (or the error's kind), version, milliseconds."""

    at: float
    status: str
    version: str
    ms: float


@dataclass
class Client:
    """Requests and streams to one port; a connection that the server has closed is not used again."""

    port: int
    key: str
    distinct: int
    idle: list[Open] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    streams: list[Answer] = field(default_factory=list)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, rate: float, streams: int) -> None:
        """Ask and follow until stopped, then wait for what is open."""
        following = [asyncio.create_task(self.follow_on(n)) for n in range(streams)]
        began, number = time.perf_counter(), 0
        open_now: set[asyncio.Task[None]] = set()
        while not self.stopped.is_set() and time.perf_counter() - began < AT_MOST_S:
            while rate and number <= (time.perf_counter() - began) * rate:
                task = asyncio.create_task(self.ask(number))
                open_now.add(task)
                task.add_done_callback(open_now.discard)
                number += 1
            await asyncio.sleep(0.002)
        self.stopped.set()
        await asyncio.gather(*open_now, *following)

    async def ask(self, number: int) -> None:
        """One request; what it became is kept."""
        which = number % self.distinct
        said = QUESTIONS[which % len(QUESTIONS)]
        body = json.dumps({"question": f"{said}, case {which}?"}).encode()
        at, began, version = time.time(), time.perf_counter(), ""
        reused = False
        try:
            async with asyncio.timeout(ANSWER_S):
                reader, writer, reused = await self.taken()
                try:
                    writer.write(self.request("answer", body, "application/json"))
                    status, headers = await head(reader)
                    await whole(reader, headers)
                except BaseException:
                    writer.close()
                    raise
                if headers.get("connection") == "close":
                    writer.close()
                else:
                    self.idle.append((reader, writer))
            version = headers.get("x-version", "")
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            status = f"{type(error).__name__}{' on a used connection' if reused else ''}"
        self.answers.append(Answer(at, status, version, (time.perf_counter() - began) * 1000))

    async def taken(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bool]:
        """A connection, and whether it was used before."""
        while self.idle:
            reader, writer = self.idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer, True
            writer.close()
        return *await asyncio.open_connection("127.0.0.1", self.port), False

    def request(self, feature: str, body: bytes, accept: str) -> bytes:
        """The bytes of a request."""
        lines = [f"POST /v1/{feature} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Accept: {accept}"]
        lines += [f"Authorization: Bearer {self.key}", "Content-Type: application/json"]
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body

    async def follow_on(self, number: int) -> None:
        """One stream after the other; the first ones start apart."""
        await asyncio.sleep(number * 0.25)
        turn = 0
        while not self.stopped.is_set():
            await self.follow(number * 100_000 + turn)
            turn += 1

    async def follow(self, number: int) -> None:
        """One stream from its first to its last event: whole, cut, or refused with a status."""
        at, began, version, status = time.time(), time.perf_counter(), "", "cut"
        body = servers.ask_bench(number)
        try:
            async with asyncio.timeout(STREAM_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(self.request("talk", body, "text/event-stream"))
                code, headers = await head(reader)
                version = headers.get("x-version", "")
                said = await whole(reader, headers)
                writer.close()
            ended = b"event: result" in said
            status = "whole" if code == "200" and ended else f"cut after {len(said)} bytes"
            status = status if code == "200" else code
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            status = type(error).__name__
        if status != "whole":
            await asyncio.sleep(0.5)
        self.streams.append(Answer(at, status, version, (time.perf_counter() - began) * 1000))


async def head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    """Status and headers of an answer."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    named = (line.partition(": ") for line in lines)
    return first.split()[1], {name.lower(): text for name, _, text in named}


async def whole(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    """The whole body of an answer; raise IncompleteReadError where it ends early."""
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body


def summed(client: Client) -> dict[str, object]:
    """What the process prints: counts by version and status, the failures one by one, and milliseconds."""
    spent = sorted(one.ms for one in client.answers)
    seen: dict[str, list[float]] = {}
    for one in client.answers:
        seen.setdefault(one.version, []).append(one.at)
    return {
        "requests": len(client.answers),
        "versions": {name: [len(times), min(times), max(times)] for name, times in seen.items()},
        "failures": [vars(one) for one in client.answers if one.status != "200"],
        "streams": Counter(one.status == "whole" for one in client.streams)[True],
        "cut": [vars(one) for one in client.streams if one.status != "whole"],
        "p50_ms": quantile(spent, 0.5), "p95_ms": quantile(spent, 0.95), "p99_ms": quantile(spent, 0.99),
        "max_ms": spent[-1] if spent else 0,
    }  # fmt: skip


async def main() -> None:
    """Run until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--distinct", type=int, default=1_000_000_000, help="so many different questions")
    given = parser.parse_args()
    key = sys.stdin.readline().strip()
    client = Client(given.port, key, given.distinct)
    asyncio.get_running_loop().add_reader(sys.stdin, client.stopped.set)
    await client.run(given.rate, given.streams)
    print(json.dumps(summed(client)))


if __name__ == "__main__":
    asyncio.run(main())
