"""Settings: defaults that work, faults that name the setting, and secrets that stay hidden."""

import re

import pytest

from app import settings
from app.errors import ConfigError
from tests import kit


def test_the_defaults_work_without_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = settings.load()
    assert found.auth == "required"
    assert found.database_url.startswith("sqlite")


def test_a_wrong_value_names_the_setting_and_the_value(project, monkeypatch):
    monkeypatch.setenv("APP_RATE_PER_MINUTE", "often")
    with pytest.raises(ConfigError, match=r"rate_per_minute: .*\(found: 'often'\)"):
        settings.load()


def test_an_unknown_key_of_the_file_names_the_one_that_was_meant(project):
    kit.write("config/app.toml", "rate_per_minut = 5\n")
    with pytest.raises(ConfigError, match=r"'rate_per_minut'; did you mean 'rate_per_minute'\?"):
        settings.load()


def test_a_broken_file_is_a_fault_of_that_file(project):
    kit.write("config/app.toml", "rate_per_minute =\n")
    with pytest.raises(ConfigError, match=r"^config/app\.toml: not TOML: "):
        settings.load()


def test_the_environment_wins_over_env_file_and_that_over_app_toml(project, monkeypatch):
    kit.write("config/app.toml", 'title = "file"\ndescription = "file"\nrate_per_minute = 1\n')
    kit.write(".env", "APP_DESCRIPTION=dotenv\nAPP_RATE_PER_MINUTE=2\n")
    monkeypatch.setenv("APP_RATE_PER_MINUTE", "3")
    found = settings.load()
    assert (found.title, found.description, found.rate_per_minute) == ("file", "dotenv", 3)


@pytest.mark.parametrize("value", ["", "short", "x" * 31])
def test_a_short_pepper_is_refused_with_the_command_that_makes_one(project, value):
    with pytest.raises(ConfigError, match=r"APP_PEPPER: .*openssl rand -hex 32"):
        settings.pepper(settings.load(pepper=value))


async def test_the_app_does_not_start_without_a_pepper_when_keys_are_required(project):
    with pytest.raises(ConfigError, match="APP_PEPPER"):
        async with kit.site(auth="required"):
            pass


def test_secrets_never_show_in_the_settings_text(project, monkeypatch):
    monkeypatch.setenv("APP_PEPPER", kit.PEPPER)
    monkeypatch.setenv("APP_KEYS__OPENAI", "provider-key-value")
    found = settings.load()
    shown = repr(found) + str(found) + found.model_dump_json()
    assert found.keys["openai"].get_secret_value() == "provider-key-value"
    assert kit.PEPPER not in shown
    assert "provider-key-value" not in shown


def test_a_wrong_secret_is_not_quoted_in_the_message(project, monkeypatch):
    monkeypatch.setenv("APP_KEYS", "provider-key-value")
    with pytest.raises(ConfigError) as raised:
        settings.load()
    assert "provider-key-value" not in str(raised.value)


def test_a_variable_that_no_setting_reads_is_found(project, monkeypatch):
    monkeypatch.setenv("APP_PEPER", "x")
    monkeypatch.setenv("APP_KEYS__OPENAI", "x")
    assert settings.unread_variables() == ["APP_PEPER"]


def test_every_line_of_the_projects_app_toml_is_a_setting_with_its_default(monkeypatch):
    monkeypatch.chdir(kit.ROOT)
    shown = (kit.ROOT / "config/app.toml").read_text(encoding="utf-8")
    lines = [line.partition("  #")[0] for line in re.findall(r"^# (\w+ = .*)$", shown, re.MULTILINE)]
    names = {line.partition(" = ")[0] for line in lines}
    secret = {"pepper", "keys", "metrics_key", "alert_webhook", "smtp_url"}
    secret |= {"backup_password", "backup_s3_id", "backup_s3_secret"}
    plain = settings.Settings.model_fields.keys() - {"title", "description"} - secret
    assert names == plain
    assert settings.load(title="x").max_body_bytes > 0


def test_a_key_in_the_wrong_place_is_not_quoted_either(project):
    kit.write("config/app.toml", 'keys = "provider-key-value"\n')
    with pytest.raises(ConfigError) as raised:
        settings.load()
    assert "keys" in str(raised.value)
    assert "provider-key-value" not in str(raised.value)


@pytest.mark.parametrize("name", ["config/app.toml", ".env"])
def test_a_file_that_is_not_utf8_is_a_fault_of_that_file(project, name):
    kit.write(name, "").write_bytes(b'title = "\xff"\n')
    with pytest.raises(ConfigError) as raised:
        settings.load()
    assert str(raised.value) == f"{name}: not UTF-8 at byte 9"
