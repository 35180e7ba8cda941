"""Read the project's own files strictly: all faults of a file at once, each with its remedy."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from app.errors import ConfigError, Fault

Model = TypeVar("Model", bound=BaseModel)
# Keys of files whose values are never quoted in a message.
SECRETS = ("keys", "pepper", "metrics_key", "alert_webhook", "smtp_url")


class Strict(BaseModel):
    """Base of everything read from a file: unknown keys and NaN are faults, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def read_toml(path: Path, model: type[Model]) -> Model:
    """Parse and validate a TOML file; raise ConfigError with every fault of it."""
    return validate(path, parse_toml(path), model)


def parse_toml(path: Path) -> dict[str, object]:
    """The content of a TOML file; a missing file reads as empty, so that old projects keep working."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise ConfigError([Fault(path, "", f"not UTF-8 at byte {error.start}")]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Fault(path, "", f"not TOML: {error}")]) from error


def validate(path: Path, content: object, model: type[Model]) -> Model:
    """Validate parsed content; `path` is for the messages only."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explain(path, error, model)) from error


def explain(path: Path, error: ValidationError, model: type[BaseModel]) -> list[Fault]:
    """Pydantic's errors as faults: unknown keys first, each with the key that was probably meant."""
    unknown, others = [], []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            key = str(item["loc"][-1])
            hint = meant(key, known_keys(model)) or "; remove it"
            unknown.append(Fault(path, where, f"unknown key '{key}'{hint}"))
        elif item["type"] == "missing":
            others.append(Fault(path, where, "is required; add it"))
        else:
            given = item.get("input")
            hidden = isinstance(given, dict | list) or where.partition(".")[0] in SECRETS
            shown = "" if hidden else f" (found: {given!r})"
            names = re.findall("'([^']+)'", str(item.get("ctx", {}).get("expected", "")))
            others.append(Fault(path, where, item["msg"] + shown + meant(str(given), names)))
    return unknown + others


def meant(word: str, known: Iterable[str]) -> str:
    """Say which known word was probably meant, if any."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def known_keys(model: type[BaseModel]) -> set[str]:
    """Every key of a model and of the models nested in it."""
    definitions = model.model_json_schema()
    schemas = [definitions, *definitions.get("$defs", {}).values()]
    return {key for schema in schemas for key in schema.get("properties", {})}


def write_atomic(path: Path, text: str) -> None:
    """Write a whole file or nothing: a kill in the middle leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    scratch.write_text(text, encoding="utf-8", newline="\n")
    scratch.replace(path)


def publish(scratch: Path, path: Path) -> None:
    """Put a finished file in its place, on disk before its name is."""
    with scratch.open("rb") as written:
        os.fsync(written.fileno())
    scratch.replace(path)
