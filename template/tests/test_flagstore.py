"""Changed flags: kept with who and why, in the file of every process at once, mended where it is broken."""

import asyncio
import json
from pathlib import Path

import pytest
from filelock import FileLock

from app import alerts, cli, controller, flagedit, flags, flagstore, services, settings, trials
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
    core = flags.core({"flags": {"note.enabled": flag}}, Path())
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
    flag = flagedit.trial({"a": ("", 50), "b": ("v1", 50)}, "tenant")
    flag["targeting"]["fractional"][1] = share
    [fault] = services.plan(settings.load()).check_flags({"flags": {"note.rollout": flag}})
    assert said in fault.what


def test_five_percent_are_five_percent_and_whoever_was_in_stays_in(project):
    def inside(percent, flag="note.rollout"):
        shares = flagedit.trial({"new": ("v2", percent), "old": ("", 100 - percent)}, "tenant")
        core = flags.core({"flags": {flag: shares}}, Path())
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
    assert json.loads(Path("var/flags.json").read_text())["flags"] == {}
    assert kit.command(cli.main, "flags", "lint") == 0
    assert kit.command(cli.main, "flags", "set", "nope.enabled", "off") == 2
    assert kit.command(cli.main, "flags", "set", "note.rollout", "v1") == 2


@pytest.mark.parametrize("command", ["apply", "lint"])
async def test_a_file_that_is_not_there_is_refused_and_nothing_changes(project, command):
    async with kit.site() as site:
        await change(site, "note.enabled", "off")
        assert kit.command(cli.main, "flags", command, "gone.json") == 2
        await asyncio.sleep(0.3)
        assert await status(site) == 403


async def trial(site):
    """Begin a rollout of the prompt v2, as a person does."""
    plan = site.held.plan
    return await trials.begin(site.held.engine, plan, plan.features["note"], "v2", "anna")


@pytest.fixture
def second(project):
    """A second prompt of the feature `note`."""
    kit.write("features/note/prompts/v2.md", Path("features/note/prompts/v1.md").read_text())


async def test_what_an_open_trial_decides_is_refused_by_hand_and_the_kill_switch_is_not(second):
    async with kit.site() as site:
        begun = await trial(site)
        held = json.loads(site.held.plan.settings.flags_file.read_text())["flags"]
        for words in (
            ["set", "note.prompt", "v2"],
            ["set", "note.tier", "standard"],
            ["reset", "note.rollout"],
        ):
            assert await command(*words) == 2
        kit.write("whole.json", json.dumps({"flags": {**held, "ask.enabled": flagedit.valued(None, "off")}}))
        kit.write("empty.json", json.dumps({"flags": {}}))
        assert await command("apply", "empty.json") == 2
        assert await command("apply", "whole.json") == 0
        with pytest.raises(Invalid, match=f"rollout {begun.id} is open; stop it first"):
            await change(site, "note.prompt", "v2")
        assert await command("set", "note.enabled", "off") == 0
        stop = trials.Step("stopped", 0, "enough")
        await trials.move(site.held.engine, site.held.plan, begun, stop, "anna")
        assert await command("set", "note.prompt", "v2") == 0


def command(*words):
    """Run a command as another process does."""
    return asyncio.to_thread(kit.command, cli.main, "flags", *words)


async def test_a_trial_by_hand_is_refused(second):
    kit.write("own.json", json.dumps({"flags": {"note.rollout": flagedit.trial({"a": ("v2", 100)}, "user")}}))
    async with kit.site():
        assert await command("apply", "own.json") == 2


async def test_many_writes_of_one_process_end_and_hold_no_lock(project):
    async with kit.site() as site:
        place = site.held.plan.settings.flags_file
        await change(site, "note.enabled", "off")
        for _ in range(3):
            place.unlink()
            await asyncio.gather(*(flagstore.write(site.held.engine, place) for _ in range(8)))
        with FileLock(place.with_suffix(".lock"), blocking=False):
            assert json.loads(place.read_text())["revision"] == 1


async def test_a_change_between_two_looks_is_no_change_by_hand(project, monkeypatch):
    async with kit.site() as site:
        await change(site, "note.enabled", "off")
        usual = flagstore.newest

        async def late(session):
            found = await usual(session)
            monkeypatch.setattr(flagstore, "newest", usual)
            await change(site, "note.enabled", "on")
            return found

        monkeypatch.setattr(flagstore, "newest", late)
        await controller.mend(site.held.engine, site.held)
        assert await alerts.every(site.held.engine, resolved=True) == []
        assert json.loads(site.held.plan.settings.flags_file.read_text())["revision"] == 2


def test_a_tier_that_policy_forbids_is_refused(project):
    kit.models(near="")
    with Path("config/models.toml").open("a") as file:
        file.write('\n[models.far]\nprovider = "keyless"\ntier = "far"\nregion = "us"\n')
    kit.command(cli.main, "setup")
    plan = services.plan(settings.load())
    for name, value in {"note.tier": "far", "note.experiment": "v1/far"}.items():
        [fault] = plan.check_flags({"flags": {name: flagedit.valued(None, value)}})
        assert "region 'us' is not allowed" in fault.what
    assert plan.check_flags({"flags": {"note.tier": flagedit.valued(None, "standard")}}) == []
    assert kit.command(cli.main, "flags", "set", "note.tier", "far") == 2


async def test_one_tenant_has_a_tier_and_for_the_others_feature_toml_decides(project):
    async with kit.site() as site:
        assert await command("set", "note.tier", "standard", "--tenant", "acme") == 0
        await asyncio.sleep(0.3)
        live, note = site.held.flags.core, site.held.plan.features["note"]
        assert flags.choose(live, note, flags.Who("acme")).variant == "v1/standard"
        assert flags.choose(live, note, flags.Who("globex")).variant == ""


def test_words_in_brackets_are_shown_as_they_are(project, capsys):
    kit.command(cli.main, "setup")
    assert kit.command(cli.main, "flags", "set", "note.enabled", "off", "--reason", "[/x] [red]slow") == 0
    assert kit.command(cli.main, "flags", "history") == 0
    assert "[/x] [red]slow" in capsys.readouterr().out


def test_the_file_lies_in_the_folder_of_data(project, monkeypatch):
    monkeypatch.setenv("APP_VAR_DIR", "elsewhere")
    assert settings.load().flags_file == Path("elsewhere/flags.json")
