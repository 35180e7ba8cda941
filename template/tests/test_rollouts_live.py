"""Rollouts of the running app, with traffic: web, worker, and a provider that obeys its prompt."""

import asyncio
import itertools
import json
import signal
import time
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from app import db, incidents, releases, trials
from app.keyless import server
from tests import kit, processes
from tests.test_controller import passed

pytestmark = pytest.mark.slow

RULE = """
[rollout]
unit = "request"
min_minutes = 0
min_requests = 30
steps = [25, 50]
max_error_rise = 0.1
max_slow_rise = 0.2
max_cost_rise = 0.3
max_quality_drop = 0.1
shadow = { share = 1.0, requests = 0 }
"""
SAID = "The invoice is due on Friday and has to be paid by bank transfer to our account."
GERMAN = "Die Rechnung ist am Freitag fällig und muss auf unser Konto überwiesen werden, bitte sehr."
WAYS = {"SLOWLY": "slow", "DEARLY": "costly", "OFTEN": "errors", "GERMAN": "wrong", "LOOSELY": "unsafe"}
STREAM_AT_ONCE, LASTS_S = 6, 60


def provider() -> FastAPI:
    """A provider whose model does what the instructions shout at it."""
    api, numbers = FastAPI(), itertools.count()

    @api.post("/v1/chat/completions")
    async def complete(asked: dict[str, Any]) -> Response:
        told = " ".join(str(message["content"]) for message in asked["messages"])
        await asyncio.sleep(0.15 if "SLOWLY" in told else 0.02)
        if "OFTEN" in told and next(numbers) % 2:
            return JSONResponse({"error": {"message": "no"}}, 500)
        text = GERMAN if "GERMAN" in told else SAID
        text += " Ask max.muster@example.org." if "LOOSELY" in told else ""
        used = 100 if "DEARLY" in told else 40
        usage = {"prompt_tokens": used, "completion_tokens": used, "total_tokens": 2 * used}
        message = {"role": "assistant", "content": json.dumps({"result": text})}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return JSONResponse({**server.envelope("chat.completion", [choice], usage), "model": asked["model"]})

    return api


def prepare(url: str, word: str = "") -> None:
    """The feature `note` on this provider, with a second prompt that may hold a word."""
    kit.models(main=url)
    text = Path("features/note/prompts/v1.md").read_text()
    kit.write("features/note/prompts/v2.md", text.replace("---", f"{word}\n---", 1))
    place = Path("features/note/feature.toml")
    kit.write(place, place.read_text() + RULE)


@asynccontextmanager
async def running(site: kit.Site):
    """The app's web process with clients that ask it all the time; gives what they were answered."""
    answers: list[dict[str, Any]] = []
    numbers = itertools.count()
    port = kit.free_port()

    async def ask(http: Any) -> None:
        while True:
            given = {"text": f"The invoice is due on Friday: {next(numbers)}"}
            said = await http.post("/v1/note", json=given)
            answers.append({"status": said.status_code, "at": db.now(), **said.json()})

    async with AsyncExitStack() as opened:
        opened.enter_context(processes.process("serve", "--port", str(port), APP_RATE_PER_MINUTE="100000"))
        http = await opened.enter_async_context(processes.client(port))
        tasks = [asyncio.create_task(ask(http)) for _ in range(STREAM_AT_ONCE)]
        yield answers
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ended(site: kit.Site, name: str, *states: str):
    """The trial, once it is in one of these states."""
    deadline = time.monotonic() + LASTS_S
    while time.monotonic() < deadline:
        trial = await trials.find(site.held.engine, name)
        if trial.state in states:
            return trial
        await asyncio.sleep(0.2)
    raise TimeoutError(f"{trial.state} {trial.percent} %: {trial.said}")


async def written(site: kit.Site, trial: Any) -> Any:
    """The incident of a rollout that went back; an alert may have made one of its own."""
    for _ in range(LASTS_S):
        for incident in await incidents.every(site.held.engine):
            if incident.cause == trial.id:
                return incident
        await asyncio.sleep(1)
    raise TimeoutError(trial.id)


async def reached(site: kit.Site, name: str, percent: int) -> None:
    """Wait until the candidate has so many percent of the requests."""
    for _ in range(LASTS_S * 20):
        if (await trials.find(site.held.engine, name)).percent >= percent:
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(name)


def is_old(answer: dict[str, Any]) -> bool:
    """Whether the stable prompt gave it."""
    return bool(answer.get("meta", {}).get("prompt") == "v1")


async def begin(site: kit.Site):
    """Begin a rollout of v2."""
    passed(site)
    return (await releases.begin(site.held.engine, site.held.plan, "note", "v2", "anna"))[0]


async def test_a_good_candidate_comes_to_all_requests(project):
    with kit.serve(provider()) as url:
        prepare(url)
        async with kit.site() as site:
            trial = await begin(site)
            async with running(site) as answers:
                with processes.process("worker"):
                    trial = await ended(site, trial.id, "done", "rolled-back")
                await asyncio.sleep(1)
                last = answers[-20:]
    assert trial.state == "done", trial.said
    assert {one["meta"]["prompt"] for one in last} == {"v2"}
    assert {one["status"] for one in answers} == {200}


@pytest.mark.parametrize("word", WAYS)
async def test_a_bad_candidate_goes_by_itself(project, word):
    with kit.serve(provider()) as url:
        prepare(url, word)
        async with kit.site() as site:
            trial = await begin(site)
            async with running(site) as answers:
                with processes.process("worker"):
                    trial = await ended(site, trial.id, "done", "rolled-back")
                    incident = await written(site, trial)
                await asyncio.sleep(1)
                last = answers[-20:]
    assert trial.state == "rolled-back", trial.said
    assert {one["meta"]["prompt"] for one in last} == {"v1"}
    late = max(one["at"] for one in answers if one["status"] == 200 and not is_old(one))
    assert late - db.aware(trial.stepped_at) < timedelta(seconds=LASTS_S / 4)
    assert incident.feature == "note"
    assert incident.cases


async def test_a_worker_killed_in_the_middle_is_followed_by_another(project):
    with kit.serve(provider()) as url:
        prepare(url)
        async with kit.site() as site:
            trial = await begin(site)
            async with running(site):
                with processes.process("worker") as first:
                    await reached(site, trial.id, 50)
                    first.send_signal(signal.SIGKILL)
                    first.wait(10)
                with processes.process("worker"):
                    trial = await ended(site, trial.id, "done", "rolled-back")
            steps = [event.what for event in await trials.events(site.held.engine, trial.id)]
    assert trial.state == "done", trial.said
    assert steps == ["canary 25 %", "canary 50 %", "done"]


async def test_a_shadow_is_asked_by_the_worker_before_anybody_sees_the_candidate(project):
    with kit.serve(provider()) as url:
        prepare(url)
        kit.edit("features/note/feature.toml", "requests = 0", "requests = 40")
        kit.write("config/policy.toml", kit.POLICY + "\nshadow = true\n")
        async with kit.site() as site:
            trial = await begin(site)
            async with running(site) as answers:
                with processes.process("worker"):
                    trial = await ended(site, trial.id, "canary")
            before = [one for one in answers if one["meta"]["prompt"] == "v2"]
    assert trial.percent == 25
    assert len(before) < len(answers) / 4
