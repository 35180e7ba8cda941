"""Flags: the kill switch, the prompt by flag, and files that are missing or broken."""

import json
from pathlib import Path

import pytest

from app import features, flagedit, flags, services, settings
from app.errors import ConfigError, NotAllowed
from tests import kit

CONFIG = Path("config")


def flag(name: str, value: str, state: str = "ENABLED", **more: object) -> None:
    """Write config/flags.json with one flag."""
    body = {"state": state, "variants": {value: value, "off": "off"}, "defaultVariant": value, **more}
    kit.write(CONFIG / "flags.json", json.dumps({"flags": {name: body}}))


def choice(tenant: str = "acme") -> flags.Choice:
    """What the flags pick for the feature `note`."""
    core = flags.core(flags.load(CONFIG), CONFIG / flags.NAME)
    return flags.choose(core, features.load(Path("features/note")), flags.Who(tenant))


def test_without_a_file_feature_toml_decides(project):
    assert choice() == flags.Choice("v1", ["standard"])


def test_a_flag_picks_the_prompt(project):
    kit.write("features/note/prompts/v2.md", Path("features/note/prompts/v1.md").read_text())
    flag("note.prompt", "v2")
    assert choice().prompt == "v2"


def test_a_version_that_has_no_file_falls_back_to_feature_toml(project):
    flag("note.prompt", "v7")
    assert choice().prompt == "v1"


def test_a_flag_picks_the_tier(project):
    flag("note.tier", "small")
    assert choice().tiers == ["small"]


def test_a_disabled_flag_changes_nothing(project):
    flag("note.tier", "small", state="DISABLED")
    assert choice().tiers == ["standard"]


def test_a_flag_of_the_wrong_type_changes_nothing(project):
    flag("note.tier", "x", variants={"x": 7})
    assert choice().tiers == ["standard"]


def test_targeting_gives_one_tenant_another_variant(project):
    rule = {"if": [{"==": [{"var": "tenant"}, "globex"]}, "off", "on"]}
    flag("note.enabled", "on", targeting=rule)
    assert choice("acme").prompt == "v1"
    with pytest.raises(NotAllowed, match="'note' is switched off"):
        choice("globex")


async def test_the_kill_switch_is_403(project):
    flag("note.enabled", "off")
    async with kit.site() as site:
        said = await site.post("note", kit.TEXT)
        other = await site.post("ask", kit.QUESTION)
    assert (said.status_code, other.status_code) == (403, 200)
    assert "switched off" in said.json()["detail"]


def test_broken_json_is_refused_with_its_line(project):
    kit.write(CONFIG / "flags.json", '{\n  "flags": {\n    oops\n  }\n}\n')
    with pytest.raises(ConfigError, match=r"^config/flags\.json: line 3: not JSON"):
        flags.load(CONFIG)


@pytest.mark.parametrize(
    "content", ["[]", '"x"', '{"flags": []}', '{"flags": {"a": 1}}', '{"flags": {"a": {"state": "ENABLED"}}}']
)
def test_json_that_is_no_flag_file_is_refused(project, content):
    kit.write(CONFIG / "flags.json", content)
    with pytest.raises(ConfigError, match=r"^config/flags\.json: not a flagd file"):
        flags.load(CONFIG)


def test_a_file_that_is_not_utf8_is_refused(project):
    kit.write(CONFIG / "flags.json", "").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"^config/flags\.json: "):
        flags.load(CONFIG)


@pytest.mark.parametrize(
    ("name", "variants", "default", "said"),
    [
        ("noet.enabled", {"on": "on", "off": "off"}, "off", "is no flag"),
        ("note.enabled", {"on": True, "off": False}, "off", "is not one of: off, on"),
        ("note.prompt", {"v9": "v9"}, "v9", "is not one of: v1"),
        ("note.tier", {"premiun": "premiun"}, "premiun", "is not one of: standard"),
        ("note.enabled", {"on": "on", "off": "off"}, "of", "is not one of the variants"),
    ],
)
def test_a_flag_that_would_do_nothing_stops_the_start(project, name, variants, default, said):
    body = {"state": "ENABLED", "variants": variants, "defaultVariant": default}
    kit.write(CONFIG / "flags.json", json.dumps({"flags": {name: body}}))
    with pytest.raises(ConfigError, match=said):
        services.plan(settings.load())


def test_a_kill_switch_that_cannot_be_read_is_off(project):
    flag("note.enabled", "on", variants={"on": True, "off": False}, defaultVariant="on")
    with pytest.raises(NotAllowed, match="switched off"):
        choice()


@pytest.mark.parametrize("default", ["on", "off"])
def test_a_kill_switch_that_is_disabled_is_off(project, default):
    flag("note.enabled", default, state="DISABLED")
    with pytest.raises(NotAllowed, match="switched off"):
        choice()


def test_a_rule_that_cannot_be_reckoned_is_a_kill_switch_that_is_off(project):
    flag("note.enabled", "on", targeting={"/": [1, 0]})
    with pytest.raises(NotAllowed, match="switched off"):
        choice()


@pytest.mark.parametrize(
    ("rule", "arm"),
    [
        ({"if": [{"==": [{"var": "tenant"}, "acme"]}, "v1", "v1"]}, ""),
        ({"if": [{"in": [{"var": "tenant"}, ["x", "acme"]]}, "v1", "v1"]}, ""),
        ({"if": [{"==": [{"var": "tenant"}, "globex"]}, "v1", "v1"]}, "new"),
        ({"fractional": [{"var": "tenant"}, ["v1", 100]]}, "new"),
    ],
)
def test_a_tenant_with_a_prompt_of_its_own_is_in_no_arm(project, rule, arm):
    pin = flagedit.valued(None, "v1") | {"targeting": rule}
    content = {"note.prompt": pin, "note.rollout": flagedit.trial({"new": ("/small", 100)}, "tenant")}
    core = flags.core({"flags": content}, CONFIG)
    found = flags.choose(core, features.load(Path("features/note")), flags.Who("acme"))
    assert (found.arm, found.tiers) == (arm, ["small"] if arm else ["standard"])
