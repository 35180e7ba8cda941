"""Ask every feature as its clients do, whole and as a stream; `gate load` runs it with locust."""

import json
import os
import random
import time
from pathlib import Path
from typing import Any

from gevent import GreenletExit, get_hub
from locust import FastHttpUser, events, task
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS
from locust.env import Environment

from load import seen, work
from load.tally import Tally
from load.work import Route, Work

WAYS = ("whole", "stream")


class Client(FastHttpUser):
    """A client that asks again as soon as it has its answer. Its first requests are not counted."""

    told: Work
    tallies: dict[tuple[str, str], Tally]

    def on_start(self) -> None:
        """Ask everything once, so that what is opened at the first use is open."""
        key = os.environ.get("LOAD_KEY", "")
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        for route in self.told.routes:
            for way in WAYS:
                self.counted(route, Tally(route, way))

    @task
    def ask(self) -> None:
        """Ask one of the features, in one of both ways."""
        route, way = random.choice(self.told.routes), random.choice(WAYS)  # noqa: S311  # no secret
        self.counted(route, self.tallies[route.feature, way])

    def counted(self, route: Route, tally: Tally) -> None:
        """Ask, and count what breaks or has no end as an error: to leave it out would flatter the app."""
        started_s = time.perf_counter()
        call = self.streamed if tally.way == "stream" else self.whole
        try:
            call(route, tally)
        except FAILURE_EXCEPTIONS as error:
            tally.note(0, f"broke off: {type(error).__name__}", since_ms(started_s))
        except GreenletExit:
            tally.note(0, "no end", since_ms(started_s))
            raise

    def whole(self, route: Route, tally: Tally) -> None:
        """One answer as JSON."""
        started_s = time.perf_counter()
        answer = self.post(route, "application/json")
        body = parsed(answer.text)
        tally.note(answer.status_code, code(body), since_ms(started_s), cached=is_cached(body))

    def streamed(self, route: Route, tally: Tally) -> None:
        """One answer as server-sent events; the first word is there with the first `delta`."""
        started_s, first_ms = time.perf_counter(), 0.0
        answer = self.post(route, "text/event-stream", stream=True)
        if answer.status_code != 200:
            return tally.note(answer.status_code, code(parsed(answer.text)), since_ms(started_s))
        kind, body = "", {}
        while line := answer.stream.readline(b"\n"):
            name, _, value = line.decode().strip().partition(": ")
            kind = value if name == "event" else kind
            if kind == "delta" and not first_ms:
                first_ms = since_ms(started_s)
            if name == "data" and kind in ("result", "error"):
                body = parsed(value)
        status = 200 if kind == "result" else int(body.get("status", 0))
        tally.note(status, code(body), since_ms(started_s), cached=is_cached(body), first_ms=first_ms)
        return None

    def post(self, route: Route, accept: str, *, stream: bool = False) -> Any:
        """Send one question; locust counts it too, for its own pages."""
        given, headers = work.given(route, self.told.repeat), {**self.headers, "Accept": accept}
        name = f"{route.feature} {'stream' if stream else 'whole'}"
        return self.client.post(f"/v1/{route.feature}", json=given, headers=headers, name=name, stream=stream)


@events.init.add_listener
def prepare(environment: Environment, **_: object) -> None:
    """Read what to ask before the first user begins."""
    Client.told = work.read()
    Client.tallies = {(r.feature, way): Tally(r, way) for r in Client.told.routes for way in WAYS}
    Client.host = environment.host or Client.told.url
    get_hub().loop.update_now()  # else the run is shorter by what the imports took


@events.quitting.add_listener
def write(environment: Environment, **_: object) -> None:
    """Write what was seen, where `gate load` wants it."""
    if path := os.environ.get("LOAD_SEEN"):
        found = [tally.seen() for tally in Client.tallies.values()]
        Path(path).write_bytes(seen.FILE.dump_json(found))


def parsed(text: str | None) -> dict[str, Any]:
    """The JSON object of a body; empty where it is none."""
    try:
        body = json.loads(text or "")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def code(body: dict[str, Any]) -> str:
    """The code of a refusal or an error."""
    return str(body.get("code", ""))


def is_cached(body: dict[str, Any]) -> bool:
    """Whether the answer came from the cache."""
    return bool(body.get("meta", {}).get("cached"))


def since_ms(started_s: float) -> float:
    """The time since then in ms."""
    return (time.perf_counter() - started_s) * 1000
