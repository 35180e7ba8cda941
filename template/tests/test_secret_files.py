"""Secrets on a server: read from files, refused where they are none, and shown nowhere."""

import logging

import pytest

from app import logs, settings
from app.errors import ConfigError
from tests import kit

KEY = "provider-key-" + "value-1"
URL = "postgresql+psycopg://app:{}@db/app".format("pass%2Fw0rd-long")
REAL = ["q7Rt2Lw9Zx4Vb6Np", "correct horse battery staple", "0f3a" * 8, "1234567890"]
PLACEHOLDERS = [
    "changeme", "CHANGE_ME", "changethis!", "<your key>", "sk-...", "sk-xxxxxxxx", "todo", "xxx", "…",
    "secret123",    "your-key-here", "smtp://user:<password>@host:587", "https://hooks.example.com/x",
    "insert your api key here",
]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(project, monkeypatch):
    """What /run/secrets is on a server, with no variable that wins over its files."""
    for name in ("APP_DATABASE_URL", "APP_INDEX_URL", "APP_CACHE_URL", "APP_LIMITS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(settings, "SECRETS", project / "secrets.d")
    return project / "secrets.d"


def put(**values: str) -> None:
    """Write secret files."""
    for name, value in values.items():
        kit.write(f"secrets.d/{name}", value)


def test_a_file_gives_a_setting_and_a_key_of_many(monkeypatch):
    put(app_pepper=f"{kit.PEPPER}\n", app_keys__openai=KEY, app_keys__google="other")
    monkeypatch.setenv("APP_KEYS__GOOGLE", "of the environment")
    found = settings.load()
    assert found.pepper.get_secret_value() == kit.PEPPER.strip()
    keys = {name: key.get_secret_value() for name, key in found.keys.items()}
    assert keys == {"openai": KEY, "google": "of the environment"}


def test_the_environment_wins_over_env_file_that_over_secret_files_and_those_over_app_toml(monkeypatch):
    names = ["title", "description", "log_level"]
    kit.write("config/app.toml", "".join(f'{name} = "error"\n' for name in names) + 'log_format = "json"\n')
    put(app_title="file", app_description="file", app_log_level="info", app_rate_per_minute="7")
    kit.write(".env", "APP_TITLE=dotenv\nAPP_DESCRIPTION=dotenv\n")
    monkeypatch.setenv("APP_TITLE", "environment")
    found = settings.load()
    assert (found.title, found.description, found.log_level) == ("environment", "dotenv", "info")
    assert (found.log_format, found.rate_per_minute) == ("json", 7)


def test_files_that_hold_no_value_are_all_named_with_the_remedy(folder):
    put(app_pepper=" \n", app_title="right", app_metrics_key="")
    (folder / "app_metrics_key").write_bytes(b"key\xff")
    (folder / "app_smtp_url").mkdir()
    (folder / "app_alert_webhook").symlink_to("nowhere")
    with pytest.raises(ConfigError) as raised:
        settings.load()
    again = "set it anew: uv run ops secrets set STAGE"
    right = "make it a file of the app's user, mode 0400"
    assert str(raised.value).splitlines() == [
        f"{folder}/app_alert_webhook: cannot be read (No such file or directory); {right}",
        f"{folder}/app_metrics_key: not UTF-8 at byte 3; {again} APP_METRICS_KEY",
        f"{folder}/app_pepper: is empty; {again} APP_PEPPER",
        f"{folder}/app_smtp_url: cannot be read (Is a directory); {right}",
    ]


def test_files_of_other_programs_are_left_alone(folder):
    put(postgres_password="", app_title="mine")
    (folder / "tls.der").write_bytes(b"\xff\xfe")
    assert settings.load().title == "mine"
    assert settings.unread_variables() == []


def test_a_secret_file_that_no_setting_reads_is_found(folder):
    put(app_peper="x", app_keys__openai=KEY, APP_TITLE="x")
    assert settings.unread_variables() == [str(folder / "app_peper")]


@pytest.mark.parametrize("value", PLACEHOLDERS)
@pytest.mark.parametrize("name", ["app_metrics_key", "app_keys__openai", "app_alert_webhook", "app_smtp_url"])
def test_a_placeholder_is_refused_with_its_name_and_without_its_value(name, value):
    put(app_pepper=kit.PEPPER, **{name: value})
    with pytest.raises(ConfigError) as raised:
        settings.require(settings.load())
    assert str(raised.value).startswith(f"{settings.PLACES}: {name.upper()}: is a placeholder;")
    assert value not in str(raised.value)


@pytest.mark.parametrize("value", REAL)
def test_what_is_no_placeholder_is_taken(value):
    put(app_pepper=kit.PEPPER, app_metrics_key=value, app_keys__openai=value)
    settings.require(settings.load())


def test_a_long_placeholder_is_no_pepper():
    put(app_pepper="changeme" * 5)
    with pytest.raises(ConfigError, match="APP_PEPPER: is a placeholder"):
        settings.require(settings.load())


async def test_the_app_does_not_start_with_a_placeholder():
    put(app_pepper=kit.PEPPER, app_metrics_key="changeme")
    with pytest.raises(ConfigError, match="APP_METRICS_KEY: is a placeholder"):
        async with kit.site(auth="required"):
            pass


async def test_an_open_app_on_a_laptop_starts_with_one():
    put(app_metrics_key="changeme")
    async with kit.site() as site:
        assert (await site.http.get("/healthz")).status_code == 200


def test_no_secret_and_no_password_of_a_url_is_in_the_settings_text():
    put(app_pepper=kit.PEPPER, app_keys__openai=KEY, app_database_url=URL, app_cache_url=URL)
    found = settings.load()
    assert not [part for part in (kit.PEPPER.strip(), KEY, "w0rd") if part in repr(found) + str(found)]


def test_the_log_hides_secrets_and_passwords_of_urls_wherever_they_stand(capsys):
    put(
        app_pepper=kit.PEPPER,
        app_keys__openai=KEY,
        app_database_url=URL,
        app_smtp_url="smtp://a:{}@c".format("letter-box"),
    )
    logs.configure(settings.load())
    try:
        raise ValueError(f"{KEY} at {URL}, pass/w0rd-long, letter-box, {kit.PEPPER}")
    except ValueError:
        logging.getLogger("test").exception("a %s", KEY, extra={"deep": [{"a": KEY}]})
    shown = capsys.readouterr().err
    assert (
        "ValueError: [hidden] at postgresql+psycopg://app:[hidden]@db/app, [hidden], [hidden], [hidden]"
        in shown
    )
    assert not [part for part in (KEY, "w0rd", kit.PEPPER.strip()) if part in shown]
