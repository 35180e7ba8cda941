"""The wall clock jumps by hours: rates recover, nothing that is owed is forgotten, no time is negative."""

import asyncio
import time
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app import db, limits, results
from app.db import Result
from app.errors import RateLimited
from tests import kit
from tests.processes import ASYNC, process, result

HOURS_2 = 7_200


class Clock:
    """The machine's wall clock, as somebody else sets it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ahead_s = 0.0
        real, now = time.time, db.now
        patch.setattr(time, "time", lambda: real() + self.ahead_s)
        patch.setattr(db, "now", lambda: now() + timedelta(seconds=self.ahead_s))


@pytest.fixture
def clock(monkeypatch):
    """A clock that jumps."""
    return Clock(monkeypatch)


@pytest.mark.parametrize("jump_s", [HOURS_2, -HOURS_2])
async def test_a_tenant_that_had_its_rate_is_answered_again_at_once(clock, jump_s):
    counters = limits.Limits(2)
    for _ in range(2):
        await counters.check("acme")
    with pytest.raises(RateLimited):
        await counters.check("acme")
    clock.ahead_s = jump_s
    assert "answered" in [await asked(counters) for _ in range(2)]
    assert "refused" in [await asked(counters) for _ in range(4)]


async def asked(counters: limits.Limits) -> str:
    """What becomes of one request; who is refused waits a minute at most."""
    try:
        await counters.check("acme")
    except RateLimited as error:
        return "refused" if (error.retry_after_s or 0) <= 60 else "refused for long"
    return "answered"


@pytest.mark.parametrize("jump_s", [HOURS_2, -HOURS_2])
async def test_an_answer_can_be_fetched_after_the_jump(site, clock, jump_s):
    said = (await site.post("note", kit.TEXT)).json()
    await site.held.recorder.flush()
    clock.ahead_s = jump_s
    assert (await site.http.get(f"/v1/results/{said['meta']['id']}")).json() == said


@pytest.mark.slow
async def test_what_waits_past_its_time_is_answered_and_then_kept(site):
    name = (await site.http.post("/v1/note", json=kit.TEXT, headers=ASYNC)).json()["id"]
    await expire(site)
    assert (await site.http.get(f"/v1/results/{name}")).status_code == 202
    assert await results.forget(site.held.engine) == 0
    with process("worker"):
        assert (await result(site.http, name)).status_code == 200
    await expire(site)
    assert (await site.http.get(f"/v1/results/{name}")).status_code == 404
    assert await results.forget(site.held.engine) == 1


async def expire(site: kit.Site) -> None:
    """End the time of every result."""
    async with AsyncSession(site.held.engine) as session, session.begin():
        await session.execute(update(Result).values(expires_at=db.now() - timedelta(days=1)))


@pytest.mark.parametrize("jump_s", [HOURS_2, -HOURS_2])
async def test_a_jump_while_a_request_runs_makes_no_odd_latency(project, clock, jump_s):
    with kit.serve(kit.provider(said='{"result": "' + "word " * 5 + '"}', pause_s=0.02)) as url:
        kit.models(first=url)
        async with kit.site() as site:
            told = asyncio.create_task(site.stream("note", kit.TEXT))
            await asyncio.sleep(0.05)
            clock.ahead_s = jump_s
            await told
            row = (await site.rows())[0]
    assert 0 < row.first_token_ms <= row.latency_ms < 10_000
