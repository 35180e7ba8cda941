"""Settings: one typed class; the environment wins over .env, that over secret files and config/app.toml."""

import os
import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from app import files
from app.errors import ConfigError, Fault

CONFIG = Path("config/app.toml")
SECRETS = Path("/run/secrets")
PLACES = Path(".env, APP_* variables or /run/secrets")
# What stands in an example, whole or in a URL, and is no secret.
PLACEHOLDER = re.compile(
    r"|.*<[\w .-]+>.*|.*\bexample\.(com|net|org)\b.*|your.*|"
    r"([\W_x]|sk|change|replace|insert|enter|this|me|your|my|api|key|token|here|to.?do|tbd|dummy|placeholder"
    r"|example|secret|password)+\d*",
    re.IGNORECASE | re.DOTALL,
)


class Settings(BaseSettings):
    """Everything that differs between machines. Each field works without a key and without a cloud."""

    model_config = SettingsConfigDict(
        env_prefix="APP_",
        env_nested_delimiter="__",
        env_file=".env",
        toml_file=CONFIG,
        extra="forbid",
        frozen=True,
    )

    title: str = "AI app"
    description: str = ""
    auth: Literal["required", "open"] = "required"
    pepper: SecretStr = SecretStr("")
    keys: dict[str, SecretStr] = {}
    # A URL can hold a password.
    database_url: str = Field(default="sqlite+aiosqlite:///var/app.db", repr=False)
    cache_url: str = Field(default="mem://", repr=False)
    limits_url: str = Field(default="memory://", repr=False)
    index_url: str = Field(default="", repr=False)
    var_dir: Path = Path("var")
    flags_file: Path = Field(default_factory=lambda given: Path(given["var_dir"]) / "flags.json")
    features_dir: Path = Path("features")
    config_dir: Path = Path("config")
    max_body_bytes: int = Field(default=262_144, gt=0)
    rate_per_minute: int = Field(default=600, gt=0)
    model_timeout_s: float = Field(default=30, gt=0)
    auth_cache_s: float = Field(default=2, ge=0)
    metrics_key: SecretStr = SecretStr("")
    max_waiting_jobs: int = Field(default=200, gt=0)
    tenant_waiting_jobs: int = Field(default=100, gt=0)
    job_slots: int = Field(default=8, gt=0)
    tenant_job_slots: int = Field(default=2, gt=0)
    lease_s: float = Field(default=15, gt=0)
    drain_s: float = Field(default=0, ge=0)
    canary_lease_s: float = Field(default=20, gt=0)
    embed_batch: int = Field(default=64, gt=0)
    embed_wait_ms: float = Field(default=5, ge=0)
    # Read by the container that saves the data (infra/server/restic.py).
    backup_password: SecretStr = SecretStr("")
    backup_s3_id: SecretStr = SecretStr("")
    backup_s3_secret: SecretStr = SecretStr("")
    alert_webhook: SecretStr = SecretStr("")
    alert_email: str = ""
    smtp_url: SecretStr = SecretStr("")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *args: Any, **others: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read secret files as deep as variables, and config/app.toml as the last source."""
        *usual, secrets = super().settings_customise_sources(settings_cls, *args, **others)
        return *usual, SecretFiles(secrets), TomlConfigSettingsSource(settings_cls)


class SecretFiles(NestedSecretsSettingsSource):
    """The files of a folder that are named like variables: app_pepper, app_keys__openai."""

    @classmethod
    def load_secrets(cls, path: Path) -> dict[str, str]:
        """Their content by name; raise ConfigError with each file that has none."""
        found, faults = {}, []
        for place in secret_files(path):
            try:
                found[place.name] = content(place)
            except ConfigError as error:
                faults += error.faults
        if faults:
            raise ConfigError(faults)
        return found


def secret_files(folder: Path) -> list[Path]:
    """The files that are for this app; others of the machine may lie beside them."""
    return [place for place in sorted(folder.glob("*")) if place.name.lower().startswith("app_")]


def content(place: Path) -> str:
    """The value in a secret file; raise ConfigError for a file that holds none."""
    remedy = f"set it anew: uv run ops secrets set STAGE {place.name.upper()}"
    try:
        if value := place.read_text("utf-8").strip():
            return value
        what = f"is empty; {remedy}"
    except UnicodeDecodeError as error:
        what = f"not UTF-8 at byte {error.start}; {remedy}"
    except OSError as error:
        what = f"cannot be read ({error.strerror}); make it a file of the app's user, mode 0400"
    raise ConfigError([Fault(place, "", what)])


def load(**given: Any) -> Settings:
    """Read the settings; raise ConfigError that names each wrong one. `given` wins over all sources."""
    files.parse_toml(CONFIG)  # its mistakes are told like those of every other file
    try:
        return Settings(**{"_secrets_dir": SECRETS if SECRETS.is_dir() else None, **given})
    except SettingsError as error:  # its text names the setting; its cause quotes the value, maybe a key
        raise ConfigError([Fault(PLACES, "", str(error))]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Fault(Path(".env"), "", f"not UTF-8 at byte {error.start}")]) from error
    except ValidationError as error:
        place = Path(f"settings ({CONFIG.as_posix()}, {PLACES.as_posix()})")
        raise ConfigError(files.explain(place, error, Settings)) from error


def require(settings: Settings) -> None:
    """Refuse what only looks like a secret; raise ConfigError that names each setting and quotes no value."""
    given = {"APP_PEPPER": "", **secrets(settings)}
    if faults := [Fault(PLACES, name, what) for name, value in given.items() if (what := lacks(name, value))]:
        raise ConfigError(faults)


def pepper(settings: Settings) -> bytes:
    """The secret under every API key hash; a key check without one is refused."""
    value = settings.pepper.get_secret_value()
    if what := lacks("APP_PEPPER", value):
        raise ConfigError([Fault(PLACES, "APP_PEPPER", what)])
    return value.encode()


def lacks(name: str, value: str) -> str:
    """Why a value is no secret, and the remedy; empty where it is one."""
    if name == "APP_PEPPER" and len(value) < 32:
        return "needs 32 characters or more; make one with: openssl rand -hex 32"
    found = PLACEHOLDER.fullmatch(value.strip())
    return "is a placeholder; put the real value there, or leave it out" if found else ""


def secrets(settings: Settings) -> dict[str, str]:
    """Every secret that is set, by the name of its variable."""
    given = {f"keys__{name}": key for name, key in settings.keys.items()}
    given |= {name: value for name, value in settings if isinstance(value, SecretStr)}
    found = {f"APP_{name.upper()}": value.get_secret_value() for name, value in given.items()}
    return {name: value for name, value in found.items() if value}


def hidden(settings: Settings) -> set[str]:
    """What no log may show: secrets, and the passwords in URLs; a short one would blank out other words."""
    urls = [value for name, value in settings if name.endswith("_url") and isinstance(value, str)]
    whole = list(secrets(settings).values())
    passwords = re.findall(r"://[^/@\s]*?:([^@\s]+)@", " ".join(urls + whole))
    values = {*whole, *passwords, *map(unquote, passwords)}
    return {value for value in values if len(value) >= 8}


def unread_variables() -> list[str]:
    """APP_* variables and secret files that no setting reads: most often a typing error."""
    given = sorted(name for name in os.environ if name.startswith("APP_") and not is_setting(name))
    return given + [str(place) for place in secret_files(SECRETS) if not is_setting(place.name)]


def is_setting(name: str) -> bool:
    """Whether a variable or a secret file of this name is read: APP_PEPPER, app_keys__openai."""
    return name.upper().split("__")[0] in variables()


def variables() -> list[str]:
    """The variables of all settings, in capitals."""
    return [f"APP_{name.upper()}" for name in Settings.model_fields]
