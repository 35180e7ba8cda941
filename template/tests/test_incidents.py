"""Incidents: from alerts and rollbacks, with their requests; how long; and as adversarial cases."""

from datetime import timedelta

from app import alerts, cli, db, incidents
from app.alerts import Finding
from app.ledger import Incident
from tests import kit
from tests.test_controller import begin, look, plant, prompts  # noqa: F401  # a fixture of every test here


async def test_an_alert_that_pages_is_an_incident_until_it_is_over(project):
    async with kit.site() as site:
        engine, now = site.held.engine, db.now()
        await alerts.settle(engine, [Finding("errors", "note", "page", "half of it fails")], now)
        for _ in range(2):
            await incidents.of_alerts(engine, now + timedelta(seconds=30))
        [one] = await incidents.every(engine)
        assert (one.feature, one.restored_at, incidents.span(one)) == ("note", None, "open")
        await alerts.settle(engine, [], now + timedelta(minutes=5))
        await incidents.of_alerts(engine, now + timedelta(minutes=6))
        [one] = await incidents.every(engine)
        assert incidents.span(one) == "5 min"


async def test_a_ticket_is_none(project):
    async with kit.site() as site:
        await alerts.settle(site.held.engine, [Finding("cost", "note", "ticket", "dear")], db.now())
        await incidents.of_alerts(site.held.engine, db.now())
        assert await incidents.every(site.held.engine) == []


async def test_a_rollback_holds_its_failing_requests_and_tells_who_listens(project):
    async with kit.site() as site:
        trial = await begin(site)
        await plant(site, trial, 3_000, "unsafe")
        await look(site, trial)
        [one] = await incidents.every(site.held.engine)
        told = {alert.name for alert in await alerts.every(site.held.engine, resolved=False)}
    assert len(one.cases) == incidents.CASES
    assert "output-pii" in {case["fault"] for case in one.cases}
    assert told == {"rollback", "rollout"}


def later(at, seconds):
    """A time so many seconds after another."""
    return at + timedelta(seconds=seconds)


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
