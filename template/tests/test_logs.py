"""Logs: one JSON object a line, with no secret and no personal data in any of them."""

import json
import logging
from typing import Any

import httpx2
import pytest

from app import logs, problems, services, settings, tenants, web
from app.errors import AppError, RateLimited
from tests import kit

PROVIDER_KEY = "sk-" + "a1b2" * 8
MAIL = "ann@example.com"
EVENTS = {"Accept": "text/event-stream"}


@pytest.fixture
def said(project, capsys):
    """Log one event and give back what came out."""

    def log(message: str, **extra: object) -> str:
        logs.configure(settings.load())
        logging.getLogger("test").info(message, extra=extra)
        return capsys.readouterr().err

    return log


def test_an_event_is_one_json_object_a_line(said):
    event = json.loads(said("hello\nworld", feature="note"))
    assert (event["event"], event["level"], event["logger"]) == ("hello\nworld", "info", "test")
    assert event["feature"] == "note"


@pytest.mark.parametrize(
    "name", ["Authorization", "api_key", "x-api-key", "access_token", "pepper", "password"]
)
def test_a_field_with_the_name_of_a_secret_is_hidden(said, name):
    assert json.loads(said("call", **{name: "Bearer abc"}))[name] == "[hidden]"


def test_a_token_count_is_no_secret(said):
    assert json.loads(said("call", input_tokens=12))["input_tokens"] == 12


@pytest.mark.parametrize("text", [PROVIDER_KEY, MAIL, "4242 4242 4242 4242", "sw_" + "x" * 40])
def test_secrets_and_personal_data_are_taken_out_wherever_they_stand(said, text):
    shown = said(f"message {text}", fault=f"in {text}", deep={"list": [{"a": text}], "key": text})
    assert text not in shown
    assert len(json.loads(shown)["deep"]["list"]) == 1


def test_an_exception_is_cleaned_too(project, capsys):
    logs.configure(settings.load())
    try:
        raise ValueError(f"cannot write to {MAIL} with {PROVIDER_KEY}")
    except ValueError:
        logging.getLogger("test").exception("failed")
    shown = capsys.readouterr().err
    assert "ValueError: cannot write to [email] with [secret]" in shown


def test_arguments_of_a_message_are_cleaned(project, capsys):
    logs.configure(settings.load())
    logging.getLogger("uvicorn.access").info("%s from %s", MAIL, "192.168.7.9")
    shown = capsys.readouterr().err
    assert "[email] from [ip]" in shown


async def test_a_requests_key_and_text_never_reach_the_log(project, capsys):
    kit.write("features/note/steps.py", "def finish(said, found):\n    raise KeyError(said)\n")
    async with kit.site(auth="required", pepper=kit.PEPPER, log_level="debug") as site:
        await tenants.add(site.held.engine, "acme", "Acme", None)
        key = await tenants.create_key(site.held.engine, site.held.plan.settings, "acme")
        await site.post("note", {"text": f"Write to {MAIL} now please."}, key)
    shown = capsys.readouterr().err
    assert "request failed" in shown
    assert key not in shown
    assert MAIL not in shown
    assert kit.PEPPER not in shown


def hidden(key: str) -> list[dict[str, Any]]:
    """Requests with a key in headers and in the query, where no form of it may come out."""
    right = {"Authorization": f"Bearer {key}"}
    wrong = [f"Basic {key}", key, f"Bearer{key}", f"Bearer {key}x", f"bearer  {key} {key}", f"Token {key}"]
    return [
        {"url": "/v1/note", "json": kit.TEXT, "headers": right},
        {"url": "/v1/note", "json": kit.TEXT, "headers": {**right, **EVENTS}},
        {"url": f"/v1/note?key={key}&api_key={key}", "json": kit.TEXT},
        {"url": "/v1/note", "json": kit.TEXT, "headers": {"X-Api-Key": key, "Cookie": f"key={key}"}},
        *({"url": "/v1/note", "json": kit.TEXT, "headers": {"Authorization": value}} for value in wrong),
    ]


def quoted(key: str, right: str) -> list[dict[str, Any]]:
    """Requests with a key in the body and the path, which are known as keys by their form alone."""
    bodies = [{"text": f"My key is {key}, it does not work."}, {key: key}, key, [key], {"text": {key: 1}}]
    headers = {"Authorization": f"Bearer {right}"}
    asked = [
        {"url": "/v1/note", "json": body, "headers": {**headers, **more}}
        for body in bodies
        for more in ({}, EVENTS)
    ]
    paths = [{"url": path, "json": kit.TEXT, "headers": headers} for path in (f"/v1/{key}", f"/{key}")]
    return [*asked, *paths, {"url": "/v1/note", "content": key, "headers": headers}]


@pytest.mark.parametrize("kind", ["own", "provider", "plain"])
@pytest.mark.parametrize("broken", [False, True])
async def test_a_key_is_in_no_log_no_metric_and_no_answer_wherever_a_client_puts_it(
    project, capsys, kind, broken
):
    if broken:
        kit.write("features/note/steps.py", "def finish(said, found):\n    raise KeyError(said)\n")
    found = services.plan(
        settings.load(auth="required", pepper=kit.PEPPER, log_level="debug", metrics_key="m" * 9)
    )
    await services.setup(found)
    async with services.start(found) as held:
        await tenants.add(held.engine, "acme", "Acme", None)
        key = await tenants.create_key(held.engine, found.settings, "acme")
    given = {"own": key, "provider": PROVIDER_KEY, "plain": "Xq7" * 11}[kind]
    with kit.serve(web.create_app(found)) as url:
        async with httpx2.AsyncClient(base_url=url, headers={"Connection": "close"}) as http:
            asked = hidden(given) + (quoted(given, key) if kind != "plain" else [])
            said = [await http.post(**one) for one in asked]
            said.append(await http.get("/metrics", headers={"Authorization": f"Bearer {given}"}))
            said.append(await http.get("/metrics", headers={"Authorization": "Bearer " + "m" * 9}))
    shown = capsys.readouterr().err
    assert '"logger": "uvicorn.access"' in shown
    assert said[-1].status_code == 200
    assert leaks(given, shown, said) == []
    assert tenants.digest(found.settings, key) not in shown


def leaks(key: str, log: str, said: list[httpx2.Response]) -> list[str]:
    """Where the key, or most of it, came out."""
    part = key[:20]
    lines = [line for line in log.splitlines() if part in line]
    refused = [
        one for one in said if one.status_code >= 400 or one.url.path == "/metrics"
    ]  # an answer is its own
    return lines + [f"{one.url}: {one.text}" for one in refused if part in one.text + str(one.headers)]


async def test_a_fault_of_ours_is_logged_with_its_place_and_without_its_text(project, capsys):
    kit.models(dead="http://127.0.0.1:1")
    async with kit.site() as site:
        said = await site.post("note", kit.TEXT)
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = next(event for event in events if event["logger"] == "app.problems")
    assert (told["fault"], told["status"]) == ("TiersExhausted", said.status_code)
    assert told["place"].startswith("tiers.py:")


def test_a_problem_names_its_request_and_the_seconds_to_wait():
    found = problems.describe(RateLimited("slow down", 7), "abc")
    assert (found["request_id"], found["retry_after_s"]) == ("abc", 7)
    assert problems.respond(found).headers["retry-after"] == "7"
    assert problems.describe(AppError("our secret"), "abc") == {**problems.UNKNOWN, "request_id": "abc"}
    assert "request_id" not in problems.describe(RateLimited("slow down", 7))


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_fault_of_ours_is_logged_once(project, capsys, accept):
    kit.models(far="http://127.0.0.1:1")
    async with kit.site() as site:
        await site.http.post("/v1/note", json=kit.TEXT, headers={"Accept": accept})
    assert capsys.readouterr().err.count("fault of ours") == 1
