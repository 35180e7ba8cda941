"""Logs: one JSON object a line, with no secret and no personal data in any of them."""

import json
import logging

import pytest

from app import logs, settings, tenants
from tests import kit

PROVIDER_KEY = "sk-" + "a1b2" * 8
MAIL = "ann@example.com"


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
