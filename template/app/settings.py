"""Settings: one typed class; the environment wins over .env, that over secret files and config/app.toml."""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from app import files
from app.errors import ConfigError, Fault

CONFIG = Path("config/app.toml")
SECRETS = Path("/run/secrets")


class Settings(BaseSettings):
    """Everything that differs between machines. Each field works without a key and without a cloud."""

    model_config = SettingsConfigDict(
        env_prefix="APP_",
        env_nested_delimiter="__",
        env_file=".env",
        toml_file=CONFIG,
        secrets_dir=SECRETS if SECRETS.is_dir() else None,
        extra="forbid",
        frozen=True,
    )

    title: str = "AI app"
    description: str = ""
    auth: Literal["required", "open"] = "required"
    pepper: SecretStr = SecretStr("")
    keys: dict[str, SecretStr] = {}
    database_url: str = "sqlite+aiosqlite:///var/app.db"
    cache_url: str = "mem://"
    limits_url: str = "memory://"
    index_url: str = ""
    var_dir: Path = Path("var")
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
    alert_webhook: SecretStr = SecretStr("")
    alert_email: str = ""
    smtp_url: SecretStr = SecretStr("")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *args: Any, **others: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add config/app.toml as the last source."""
        usual = super().settings_customise_sources(settings_cls, *args, **others)
        return *usual, TomlConfigSettingsSource(settings_cls)


def load(**given: Any) -> Settings:
    """Read the settings; raise ConfigError that names each wrong one. `given` wins over all sources."""
    files.parse_toml(CONFIG)  # its mistakes are told like those of every other file
    try:
        return Settings(**given)
    except SettingsError as error:  # its text names the setting; its cause quotes the value, maybe a key
        raise ConfigError([Fault(Path(".env or APP_* variables"), "", str(error))]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Fault(Path(".env"), "", f"not UTF-8 at byte {error.start}")]) from error
    except ValidationError as error:
        place = Path(f"settings ({CONFIG.as_posix()}, .env or APP_* variables)")
        raise ConfigError(files.explain(place, error, Settings)) from error


def pepper(settings: Settings) -> bytes:
    """The secret under every API key hash; a key check without one is refused."""
    value = settings.pepper.get_secret_value()
    if len(value) < 32:
        fault = "needs 32 characters or more; make one with: openssl rand -hex 32"
        raise ConfigError([Fault(Path(".env"), "APP_PEPPER", fault)])
    return value.encode()


def unread_variables() -> list[str]:
    """APP_* variables that no setting reads: most often a typing error."""
    known = {f"APP_{name.upper()}" for name in Settings.model_fields}
    given = [name for name in os.environ if name.startswith("APP_")]
    return sorted(name for name in given if name.split("__")[0] not in known)
