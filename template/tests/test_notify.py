"""The hooks: each alert and its end by webhook and e-mail, again until it is taken, no secret in a log."""

import asyncio
import base64
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from fastapi import FastAPI, Response

from app import alerts, db, logs, notify, settings
from app.alerts import Finding
from tests import kit

LOGIN = "ops%40example.com:pass%3Aword"
PAGE = Finding("slo-errors", "note", "page", "25 % of requests failed")


def webhook(heard: list[dict[str, str]], *answers: int) -> FastAPI:
    """A receiver: these answers first, then 200."""
    api, left = FastAPI(), list(answers)

    @api.post("/hook/{token}")
    async def take(told: dict[str, str]) -> Response:
        status = left.pop(0) if left else 200
        if status == 200:
            heard.append(told)
        return Response(status_code=status)

    return api


@asynccontextmanager
async def post_office(letters: list[str], greet_after_s: float = 0):
    """A mail server of this machine that takes one login; gives its address."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(greet_after_s)
        known = False
        writer.write(b"220 ready\r\n")
        while line := await reader.readline():
            word = line[:4].upper().strip()
            if word == b"AUTH":
                known = base64.b64decode(line.split()[2]) == b"\0ops@example.com\0pass:word"
                writer.write(b"235 in\r\n" if known else b"535 no\r\n")
            elif word == b"MAIL" and not known:
                writer.write(b"530 log in\r\n")
            elif word == b"QUIT":
                writer.write(b"221 bye\r\n")
            elif word == b"DATA":
                writer.write(b"354 go\r\n")
                letters.append((await reader.readuntil(b"\r\n.\r\n")).decode())
                writer.write(b"250 taken\r\n")
            else:
                writer.write(b"250-here\r\n250 AUTH PLAIN\r\n" if word == b"EHLO" else b"250 ok\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"smtp://{LOGIN}@127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def tell(site: kit.Site, found: list[Finding] | None = None, **hooks: str) -> None:
    """Settle what is found, where it is said, and send what is due."""
    if found is not None:
        await alerts.settle(site.held.engine, found, db.now())
    await notify.send(site.held.engine, settings.load(**hooks), db.now())


async def test_an_alert_and_its_end_are_posted_once_each(site):
    heard: list[dict[str, str]] = []
    with kit.serve(webhook(heard)) as url:
        for found in ([PAGE], [PAGE], [], []):
            await tell(site, found, alert_webhook=f"{url}/hook/x")
    assert [told["state"] for told in heard] == ["open", "resolved"]
    assert heard[0]["text"] == "[page, open] note slo-errors: 25 % of requests failed"
    assert heard[0]["id"] == heard[1]["id"] == PAGE.id


async def test_news_is_told_once_and_never_resolved(site):
    engine, heard = site.held.engine, []
    with kit.serve(webhook(heard)) as url:
        for said in ("began with v2", "stopped"):
            await db.execute(engine, alerts.news(engine, "rollout", "note", said))
        for found in ([], [PAGE], []):
            await tell(site, found, alert_webhook=f"{url}/hook/x")
    told = [one["text"] for one in heard if one["name"] == "rollout"]
    assert told == ["[news] note rollout: began with v2", "[news] note rollout: stopped"]
    assert {one["state"] for one in heard if one["name"] == "rollout"} == {"news"}


async def test_news_that_came_while_others_were_sent_is_told_once(site):
    heard, began = [], db.now()
    await db.execute(site.held.engine, alerts.news(site.held.engine, "rollout", "note", "stopped"))
    with kit.serve(webhook(heard)) as url:
        for _ in range(2):
            await notify.send(site.held.engine, settings.load(alert_webhook=f"{url}/hook/x"), began)
    assert len(heard) == 1


async def test_news_of_one_id_is_told_once(site):
    engine = site.held.engine
    for _ in range(3):
        await db.execute(engine, alerts.news(engine, "flags", "flags.json", "changed by hand", "once"))
    assert len(await alerts.untold(engine, "mailed_at", db.now())) == 1


@pytest.mark.parametrize("answers", [(500, 503), (404, 302)])
async def test_a_webhook_that_fails_is_asked_again_until_it_takes_it(site, answers):
    heard: list[dict[str, str]] = []
    with kit.serve(webhook(heard, *answers)) as url:
        for times in (0, 0, 1, 1):
            await tell(site, [PAGE], alert_webhook=f"{url}/hook/x")
            assert len(heard) == times


async def test_an_alert_that_is_refused_does_not_hold_back_the_next(site):
    heard: list[dict[str, str]] = []
    other = Finding("budget-usd-50", "acme", "ticket", "half is used")
    with kit.serve(webhook(heard, 400)) as url:
        await tell(site, [PAGE, other], alert_webhook=f"{url}/hook/x")
        assert len(heard) == 1
        await tell(site, [PAGE, other], alert_webhook=f"{url}/hook/x")
    assert {told["name"] for told in heard} == {PAGE.name, other.name}


async def test_what_was_over_before_a_hook_answered_is_still_told(site):
    heard: list[dict[str, str]] = []
    await tell(site, [PAGE], alert_webhook="http://127.0.0.1:1/x")
    await tell(site, [], alert_webhook="http://127.0.0.1:1/x")
    with kit.serve(webhook(heard)) as url:
        await tell(site, alert_webhook=f"{url}/hook/x")
    assert [told["state"] for told in heard] == ["resolved"]


async def test_what_was_over_long_ago_is_no_news(site):
    engine, heard = site.held.engine, []
    old = db.now() - timedelta(days=3)
    await alerts.settle(engine, [PAGE], old)
    await alerts.settle(engine, [], old)
    with kit.serve(webhook(heard)) as url:
        await tell(site, alert_webhook=f"{url}/hook/x")
    assert heard == []


async def test_an_alert_is_mailed_with_the_login_of_the_url(site):
    letters: list[str] = []
    async with post_office(letters) as url:
        for found in ([PAGE], [PAGE], []):
            await tell(site, found, alert_email="team@example.com", smtp_url=url)
    assert len(letters) == 2
    assert "Subject: [page, open] note slo-errors" in letters[0]
    assert "To: team@example.com" in letters[0]
    assert "said: 25 % of requests failed" in letters[0]


async def test_a_mail_server_that_is_away_does_not_repeat_the_webhook(site):
    heard: list[dict[str, str]] = []
    with kit.serve(webhook(heard)) as url:
        for _ in range(3):
            hooks = {"alert_email": "team@example.com", "smtp_url": "smtp://127.0.0.1:1"}
            await tell(site, [PAGE], alert_webhook=f"{url}/hook/x", **hooks)
    assert len(heard) == 1
    letters: list[str] = []
    async with post_office(letters) as url:
        await tell(site, alert_email="team@example.com", smtp_url=url)
    assert len(letters) == 1


async def test_a_slow_mail_server_does_not_stop_the_process(site):
    letters: list[str] = []
    async with post_office(letters, greet_after_s=0.5) as url:
        sending = asyncio.create_task(tell(site, [PAGE], alert_email="team@example.com", smtp_url=url))
        turns = 0
        while not sending.done():
            await asyncio.sleep(0.02)
            turns += 1
    assert (len(letters), turns > 10) == (1, True)


@pytest.mark.parametrize(
    "hooks",
    [
        {"alert_webhook": "http://127.0.0.1:1/hook/s3cret"},
        {"alert_webhook": "no url s3cret"},
        {"alert_webhook": "{url}/hook/s3cret"},
        {"alert_email": "team@example.com", "smtp_url": f"smtp://{LOGIN}@127.0.0.1:1"},
        {"alert_email": "team@example.com", "smtp_url": f"smtp://{LOGIN}@127.0.0.1:port"},
    ],
)
async def test_no_secret_of_a_hook_reaches_a_log(site, hooks, capsys):
    logs.configure(settings.load(log_level="debug"))
    with kit.serve(webhook([], 500)) as url:
        await tell(site, [PAGE], **{name: value.format(url=url) for name, value in hooks.items()})
    said = "".join(line for line in capsys.readouterr().err.splitlines() if "uvicorn" not in line)
    assert "an alert waits for its hook" in said
    assert "s3cret" not in said
    assert "pass%3Aword" not in said
