"""The live file of flags: lost, broken or faulty it changes nothing, no kill switch goes on by it."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from app import alerts, cli, controller, flagedit, flagfile, flags, services, settings
from app.errors import ConfigError
from tests import kit
from tests.test_flagstore import change, status


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
        assert site.held.flags.fault == ""
        assert json.loads(place.read_text())["revision"] == 1


async def open_alerts(site):
    """What is wrong now."""
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


def test_a_live_file_that_cannot_be_read_at_the_start_is_said(project, caplog):
    plan = services.plan(settings.load())
    kit.write("var/flags.json", "{")
    live = flagfile.Live(plan.flags, plan.settings.flags_file, plan.faulty)
    assert live.core is live.held
    assert "not JSON" in live.fault


SHAPES = [
    {"note.enabled": "x"},
    {"note.enabled": flagedit.valued(None, "on") | {"variants": {"on": ["on"]}}},
    {"note.enabled": flagedit.valued(None, "on") | {"defaultVariant": ["on"]}},
    {"note.enabled": flagedit.valued(None, "on") | {"targeting": ["on"]}},
    {
        "note.rollout": flagedit.trial({"a": ("", 100)}, "user")
        | {"targeting": {"fractional": [[["a"], 100]]}}
    },
    {"note.rollout": flagedit.trial({"a": ("", 100)}, "user") | {"targeting": {"fractional": 7}}},
]


@pytest.mark.parametrize("content", SHAPES)
async def test_a_flag_of_a_wrong_shape_stays_as_it_was_and_is_told(project, content, capsys):
    async with kit.site() as site:
        place = kit.write("var/flags.json", json.dumps({"flags": content}))
        await asyncio.sleep(0.3)
        assert await status(site) == 200
        assert str(*content) in site.held.flags.fault
    assert kit.command(cli.main, "flags", "lint", str(place)) == 2
    assert kit.command(cli.main, "flags", "list") == 0
    assert "faulty" in capsys.readouterr().out


@pytest.fixture
def second(project):
    """A second prompt of the feature `note`."""
    return kit.write("features/note/prompts/v2.md", Path("features/note/prompts/v1.md").read_text())


async def test_a_version_that_lacks_what_a_flag_names_keeps_the_other_flags(second):
    async with kit.site() as site:
        await change(site, "note.enabled", "off")
        await change(site, "note.prompt", "v2")
    second.unlink()
    async with kit.site() as site:
        assert await status(site) == 403
        assert "'v2' is not one of: v1" in site.held.flags.fault
        await controller.mend(site.held.engine, site.held)
        [alert] = await open_alerts(site)
        assert "'v2' is not one of: v1" in alert.said
        assert await change(site, "note.enabled", "on") == 3  # what was faulty before hinders nobody
        await asyncio.sleep(0.3)
        assert await status(site) == 200
        with pytest.raises(ConfigError, match="'v9'"):
            await change(site, "ask.prompt", "v9")


async def test_a_kill_switch_that_is_faulty_from_the_start_is_off(project):
    flag = flagedit.valued(None, "off") | {"variants": {"off": "of"}}
    kit.write("var/flags.json", json.dumps({"flags": {"note.enabled": flag}}))
    plan = services.plan(settings.load())
    live = flagfile.Live(
        {"flags": {"note.enabled": flagedit.valued(None, "on")}}, Path("var/flags.json"), plan.faulty
    )
    assert flags.value(live.core, "note.enabled", "on", flags.Who().context()) == "off"


@pytest.mark.parametrize("broken", [None, "{", '{"flags": {"note.enabled": 7}}'])
async def test_at_the_start_a_lost_or_broken_file_is_written_from_the_record(project, broken):
    async with kit.site() as site:
        await change(site, "note.enabled", "off")
    place = site.held.plan.settings.flags_file
    place.unlink() if broken is None else kit.write(place, broken)
    async with kit.site() as site:
        assert await status(site) == 403


async def test_a_file_that_is_lost_while_the_app_runs_changes_nothing(project):
    async with kit.site() as site:
        await change(site, "note.enabled", "off")
        await asyncio.sleep(0.3)
        assert await status(site) == 403
        site.held.plan.settings.flags_file.unlink()
        await asyncio.sleep(0.3)
        assert await status(site) == 403


async def test_a_file_by_hand_before_any_change_is_taken_back_with_an_alert(project):
    async with kit.site() as site:
        kit.write("var/flags.json", json.dumps({"flags": {"note.enabled": flagedit.valued(None, "off")}}))
        await asyncio.sleep(0.3)
        assert await status(site) == 403
        await controller.mend(site.held.engine, site.held)
        await asyncio.sleep(0.3)
        assert await status(site) == 200
        assert len(await open_alerts(site)) == 1
