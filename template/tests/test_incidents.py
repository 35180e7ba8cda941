"""Incidents: from alerts and rollbacks, with their requests; how long; and as adversarial cases."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event, insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import alerts, cli, db, incidents, trials
from app.alerts import Finding
from app.db import Usage
from app.ledger import Incident, Shadow
from app.trials import Step
from tests import kit
from tests.test_controller import begin, prompts  # noqa: F401  # a fixture of every test here

PAGE = Finding("slo-errors", "note", "page", "half of it fails")
SAID = "worse than stable: failed requests: 9 %"


async def usage(site, at, count, **given):
    """Requests of the feature `note` a second apart, the last one at this time."""
    row = {
        "tenant_id": "acme", "feature": "note", "prompt": "v1", "model": "m", "outcome": "ok",
        "cached": False, "input_tokens": 1, "output_tokens": 1, "cost_usd": 0, "latency_ms": 100.0,
        "flags": [], **given,
    }  # fmt: skip
    rows = [{**row, "id": uuid.uuid4().hex, "at": later(at, -number)} for number in range(count)]
    async with site.held.engine.begin() as connection:
        await connection.execute(insert(Usage), rows)


async def of_alerts(site):
    """Write down what the alerts say; gives all incidents."""
    await incidents.of_alerts(site.held.engine, site.held.plan.features)
    return await incidents.every(site.held.engine)


async def test_an_alert_that_pages_is_an_incident_until_it_is_over(project):
    async with kit.site() as site:
        engine, now = site.held.engine, db.now()
        await alerts.settle(engine, [PAGE], now)
        for _ in range(2):
            [one] = await of_alerts(site)
        assert (one.feature, one.restored_at, incidents.span(one)) == ("note", None, "open")
        await alerts.settle(engine, [], now + timedelta(minutes=5))
        [one] = await of_alerts(site)
        assert incidents.span(one) == "5 min"


@pytest.mark.parametrize(
    ("name", "bad", "fault"),
    [("errors", {"outcome": "no_model"}, "no_model"), ("latency", {"latency_ms": 901.0}, "took 901 ms")],
)
async def test_an_incident_began_with_the_first_request_after_the_promise_was_kept(project, name, bad, fault):
    async with kit.site() as site:
        now = db.now()
        await usage(site, later(now, -3_000), 1, **bad)  # one alone breaks no promise
        await usage(site, later(now, -2_900), 300)
        await usage(site, later(now, -60), 600, **bad)
        await alerts.settle(site.held.engine, [Finding(f"slo-{name}", "note", "page", "")], now)
        [one] = await of_alerts(site)
    assert incidents.detected_after(one) == "11 min"
    assert {case["fault"] for case in one.cases} == {fault}


async def test_what_is_no_page_about_a_promise_is_none(project):
    found = (
        Finding("slo-cost", "note", "ticket", "dear"),
        Finding("budget-usd-100", "acme", "page", "used up"),
    )
    async with kit.site() as site:
        await alerts.settle(site.held.engine, [*found], db.now())
        assert await of_alerts(site) == []


async def test_an_alert_that_was_over_before_anybody_looked_is_none(project):
    async with kit.site() as site:
        await alerts.settle(site.held.engine, [PAGE], db.now())
        await alerts.settle(site.held.engine, [], db.now())
        assert await of_alerts(site) == []


async def test_old_alerts_cost_nothing(project):
    async with kit.site() as site:
        engine, said = site.held.engine, []
        for number in range(30):
            await alerts.settle(engine, [replace(PAGE, id=f"{number}")], db.now())
            await of_alerts(site)
            await alerts.settle(engine, [], db.now())
        await of_alerts(site)
        event.listen(engine.sync_engine, "before_cursor_execute", lambda *given: said.append(given[2]))
        found = await of_alerts(site)
    assert (len(found), all(one.restored_at for one in found)) == (30, True)
    assert len(said) == 3


async def rolled_back(site, trial, said=SAID):
    """Take a candidate back for this reason; gives the incident."""
    step = Step("rolled-back", 0, said)
    await trials.move(site.held.engine, site.held.plan, trial, step, "test")
    await incidents.of_rollbacks(site.held.engine, db.now())
    [one] = await incidents.every(site.held.engine)
    return one


async def test_a_rollback_began_with_its_first_bad_request_of_all(project):
    async with kit.site() as site:
        trial = await begin(site)
        arm, now = trial.id + trials.CANDIDATE, db.now()
        await usage(site, later(now, -900), 60, arm=arm)
        await usage(site, later(now, -1), 600, arm=arm, outcome="no_model")
        one = await rolled_back(site, trial)
    assert (incidents.detected_after(one), len(one.cases)) == ("10 min", incidents.CASES)


def answer(**given):
    """An answer as the shadow keeps it."""
    known = {"output": {"result": "x"}, "prompt": "v2", "flags": [], "tokens": 1, "failed_models": 0}
    return {**known, "code": "ok", "score": 1.0, "cost_usd": 0.001, "latency_ms": 9.0, **given}


@pytest.mark.parametrize(
    ("bad", "said", "fault"),
    [
        ({"score": 0.2}, "quality lost", "quality 0.20"),
        ({"latency_ms": 812.0}, "requests slower than nearly all of stable", "took 812 ms"),
        ({"cost_usd": 0.0021}, "USD a request", "cost 0.002100 USD"),
        ({"code": "no_model"}, "", "no_model"),
    ],
)
async def test_a_rollback_in_the_shadow_has_the_answers_that_were_worse(project, bad, said, fault):
    async with kit.site() as site:
        trial, now = await begin(site), db.now()
        await shadow(site, trial, now - timedelta(days=3), answer())
        await shadow(site, trial, now - timedelta(seconds=30), answer(**bad))
        one = await rolled_back(site, trial, f"worse than stable: {said}: much")
    assert [case["fault"] for case in one.cases] == [fault]
    assert incidents.detected_after(one).startswith("30.")


async def shadow(site, trial, at, new):
    """A request that both were asked."""
    row = Shadow(
        id=uuid.uuid4().hex, trial_id=trial.id, state="done", at=at, tenant_id="acme", user_id="",
        given=kit.TEXT, stable=answer(), candidate=new,
    )  # fmt: skip
    async with AsyncSession(site.held.engine) as session, session.begin():
        session.add(row)


async def test_a_rollback_with_nothing_bad_began_with_its_step(project):
    async with kit.site() as site:
        one = await rolled_back(site, await begin(site), "no verdict in 24 hours; 0 of 50 requests at 5 %")
    assert (one.cases, incidents.detected_after(one)) == ([], "0.0 s")


def later(at, seconds):
    """A time so many seconds after another."""
    return at + timedelta(seconds=seconds)


@pytest.mark.parametrize(("seconds", "said"), [(3, "3.0 s"), (420, "7 min"), (8_100, "2.2 h")])
def test_a_span_is_told_as_a_person_reads_it(seconds, said):
    assert incidents.told(timedelta(seconds=seconds)) == said


def test_mean_times_are_of_those_that_are_over():
    at = db.now()
    known = {"feature": "note", "cause": "x", "said": "", "cases": []}
    spans = (10, 30), (20, 50)
    found = [
        Incident(began_at=at, detected_at=later(at, seen), restored_at=later(at, over), **known)
        for seen, over in spans
    ]
    found.append(Incident(began_at=at, detected_at=at, restored_at=None, **known))
    detect, restore = incidents.mean_times(found)
    assert (incidents.told(detect), incidents.told(restore)) == ("15.0 s", "40.0 s")
    assert incidents.mean_times([]) == (None, None)


async def test_each_step_of_a_rollout_is_told_once(project):
    async with kit.site() as site:
        trial = await begin(site)
        await rolled_back(site, trial)
        again = await begin(site)
        await alerts.settle(site.held.engine, [], db.now())
        due = await alerts.untold(site.held.engine, "notified_at", db.now())
    assert [(one.name, one.severity, one.said) for one in due] == [
        ("rollout", "news", f"{trial.id} began with v2 (anna)"),
        ("rollout", "news", f"{trial.id} rolled-back 0 %: {SAID} (test)"),
        ("rollout", "news", f"{again.id} began with v2 (anna)"),
    ]


def test_the_command_lists_them(project, capsys):
    kit.command(cli.main, "setup")
    kit.command(cli.main, "incident", "list")
    assert "no incidents" in capsys.readouterr().out
    assert kit.command(cli.main, "incident", "show", "nope") == 2
    assert kit.command(cli.main, "rollout", "status") == 0
    assert "no rollout is open" in capsys.readouterr().out
    assert kit.command(cli.main, "rollout", "start", "note", "--prompt", "v9") == 2
    assert kit.command(cli.main, "rollout", "stop", "note") == 2
    assert kit.command(cli.main, "experiment", "status", "note") == 2
