"""Changed flags: kept with who and why, in the file of every process at once, mended where it is broken."""

import asyncio
import json
import os
import time

import pytest

from app import cli, controller, db, flagedit, flagfile, flags, flagstore
from app.errors import ConfigError, Invalid
from tests import kit


def put(name, flag):
    """An edit that puts one flag."""
    return lambda document: flagedit.put(document, name, flag)


def change(site, name, value):
    """Change a flag of the running app, as a command does."""
    held = site.held
    edit = put(name, flagedit.valued(None, value))
    place, check = held.plan.settings.flags_file, held.plan.check_flags
    return flagstore.change(held.engine, place, "anna", f"{name}: {value}", edit, check)


async def status(site):
    """How the feature `note` answers."""
    return (await site.post("note", kit.TEXT)).status_code


async def test_a_change_holds_within_a_second_and_is_kept_with_who_and_why(project):
    async with kit.site() as site:
        assert await status(site) == 200
        assert await change(site, "note.enabled", "off") == 1
        await asyncio.sleep(0.3)
        assert await status(site) == 403
        await change(site, "note.enabled", "on")
        await asyncio.sleep(0.3)
        assert await status(site) == 200
        kept = await flagstore.every(site.held.engine, 10)
    assert [(one.number, one.actor, one.reason) for one in kept] == [
        (2, "anna", "note.enabled: on"), (1, "anna", "note.enabled: off"),
    ]  # fmt: skip


async def test_what_is_not_there_is_refused_and_nothing_changes(project):
    async with kit.site() as site:
        with pytest.raises(ConfigError, match=r"note\.prompt\.variants: 'v9' is not one of: v1"):
            await change(site, "note.prompt", "v9")
        assert await flagstore.every(site.held.engine, 10) == []
        assert not site.held.plan.settings.flags_file.exists()


@pytest.mark.parametrize("broken", ["{", '{"flags": 7}', '{"flags": {"note.enabled": {"state": "ENABLED"}}}'])
async def test_a_broken_file_changes_nothing_is_told_and_mended(project, broken):
    async with kit.site() as site:
        await change(site, "note.enabled", "off")
        place = site.held.plan.settings.flags_file
        assert site.held.flags.core
        await asyncio.sleep(0.3)
        assert await status(site) == 403
        kit.write(place, broken)
        await asyncio.sleep(0.3)
        assert await status(site) == 403  # the last good flags hold
        await controller.mend(site.held.engine, site.held)
        [alert] = await open_alerts(site)
        assert (alert.name, alert.subject) == ("flags", "flags.json")
        assert json.loads(place.read_text())["revision"] == 1


async def open_alerts(site):
    """What was told of the flags."""
    from app import alerts

    return await alerts.every(site.held.engine, resolved=True)


async def test_a_file_that_was_lost_before_it_was_written_is_written_by_the_next_worker(project):
    async with kit.site() as site:
        await change(site, "note.enabled", "off")
        site.held.plan.settings.flags_file.unlink()
        await controller.mend(site.held.engine, site.held)
        assert await status(site) == 403
        assert await open_alerts(site) == []


async def test_an_older_time_of_the_file_is_news_too(project):
    async with kit.site() as site:
        place = site.held.plan.settings.flags_file
        kit.write(place, json.dumps({"flags": {"note.enabled": flagedit.valued(None, "off")}}))
        os.utime(place, (time.time() - 9_999,) * 2)
        await asyncio.sleep(0.3)
        assert await status(site) == 403


async def test_two_changes_at_once_are_both_kept(project):
    async with kit.site() as site:
        await asyncio.gather(change(site, "note.enabled", "off"), change(site, "ask.enabled", "off"))
        held = json.loads(site.held.plan.settings.flags_file.read_text())
        assert set(held["flags"]) == {"note.enabled", "ask.enabled"}


async def test_a_flag_of_the_repository_holds_until_it_is_changed(project):
    off = flagedit.valued(None, "off")
    kit.write("config/flags.json", json.dumps({"flags": {"note.enabled": off, "ask.enabled": off}}))
    async with kit.site() as site:
        await change(site, "note.enabled", "on")
        await asyncio.sleep(0.3)
        assert await status(site) == 200
        assert (await site.post("ask", kit.QUESTION)).status_code == 403


def test_one_tenant_has_another_value_and_the_others_the_usual_one():
    flag = flagedit.valued(flagedit.valued(None, "on"), "off", "acme")
    core = flags.core({"flags": {"note.enabled": flag}}, flagstore.path(db.MIGRATIONS))
    values = [
        flags.value(core, "note.enabled", "?", flags.Who(name).context()) for name in ("acme", "globex")
    ]
    assert values == ["off", "on"]
    assert flagedit.overrides(flagedit.valued(flag, "on", "acme")) == {"acme": "on"}


def test_a_rule_of_its_own_is_not_overwritten():
    flag = flagedit.trial({"a": ("", 50), "b": ("v2", 50)}, "tenant")
    with pytest.raises(Invalid, match="a rule of its own"):
        flagedit.valued(flag, "v1", "acme")


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (["a", 101], "add up to 151"),
        (["ghost", 50], "'ghost' is not one of the variants"),
        (["a", -1], "whole numbers"),
    ],
)
def test_shares_that_flagd_would_ignore_in_silence_are_refused(project, share, said):
    from app import services, settings

    flag = flagedit.trial({"a": ("", 50), "b": ("v1", 50)}, "tenant")
    flag["targeting"]["fractional"][1] = share
    with pytest.raises(ConfigError, match=said):
        services.plan(settings.load()).check_flags({"flags": {"note.rollout": flag}})


def test_five_percent_are_five_percent_and_whoever_was_in_stays_in(project):
    def inside(percent, flag="note.rollout"):
        shares = flagedit.trial({"new": ("v2", percent), "old": ("", 100 - percent)}, "tenant")
        core = flags.core({"flags": {flag: shares}}, flagstore.path(db.MIGRATIONS))
        names = [f"tenant-{number}" for number in range(20_000)]
        found = [core.resolve_string_value(flag, "", flags.Who(name).context()).value for name in names]
        return {name for name, value in zip(names, found, strict=True) if value}

    few, many, others = inside(5), inside(25), inside(5, "ask.rollout")
    assert 0.045 < len(few) / 20_000 < 0.055
    assert few < many
    assert len(few & others) < 0.1 * len(few)  # two flags choose independently


def test_the_commands_change_show_and_undo(project, capsys):
    kit.command(cli.main, "setup")
    assert kit.command(cli.main, "flags", "set", "note.enabled", "off", "--reason", "too slow") == 0
    assert kit.command(cli.main, "flags", "set", "note.enabled", "on", "--tenant", "acme") == 0
    kit.command(cli.main, "flags", "list")
    kit.command(cli.main, "flags", "history")
    said = capsys.readouterr().out
    assert "acme: on" in said
    assert "note.enabled: off; too slow" in said
    assert kit.command(cli.main, "flags", "reset", "note.enabled") == 0
    assert json.loads(flagstore.path(db.Path("var")).read_text())["flags"] == {}
    assert kit.command(cli.main, "flags", "lint") == 0
    assert kit.command(cli.main, "flags", "set", "nope.enabled", "off") == 2
    assert kit.command(cli.main, "flags", "set", "note.rollout", "v1") == 2


def test_a_live_file_that_cannot_be_read_at_the_start_is_said(project, caplog):
    from app import services, settings

    plan = services.plan(settings.load())
    kit.write("var/flags.json", "{")
    live = flagfile.Live(plan.flags, plan.settings.flags_file, plan.features, plan.tiers)
    assert live.core is live.held
    assert "not JSON" in live.fault
