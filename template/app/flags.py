"""Feature flags: which prompt and tier a tenant gets, and the kill switch. The file is flagd's format."""

import json
from dataclasses import dataclass
from pathlib import Path

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError

from app.errors import ConfigError, Fault, NotAllowed
from app.features import Feature


@dataclass(frozen=True)
class Choice:
    """What the flags picked for one request."""

    prompt: str
    tiers: list[str]


def load(config: Path) -> FlagdCore:
    """Read config/flags.json; no file means no flags, and each feature.toml decides."""
    path, core = config / "flags.json", FlagdCore()
    try:
        core.set_flags(path.read_text(encoding="utf-8") if path.exists() else '{"flags": {}}')
    except json.JSONDecodeError as error:
        raise ConfigError([Fault(path, f"line {error.lineno}", f"not JSON: {error.msg}")]) from error
    except (OpenFeatureError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError([Fault(path, "", f"not a flagd file: {error}")]) from error
    return core


def choose(core: FlagdCore, feature: Feature, tenant: str) -> Choice:
    """The prompt version and tiers for this tenant; feature.toml decides where no flag does."""
    context = EvaluationContext(targeting_key=tenant, attributes={"tenant": tenant})
    if resolve(core, f"{feature.name}.enabled", "on", context) == "off":
        raise NotAllowed(f"feature '{feature.name}' is switched off")
    prompt = resolve(core, f"{feature.name}.prompt", feature.spec.prompt, context)
    tier = resolve(core, f"{feature.name}.tier", "", context)
    known = prompt if prompt in feature.prompts else feature.spec.prompt
    return Choice(known, [tier] if tier else feature.spec.tiers)


def resolve(core: FlagdCore, name: str, default: str, context: EvaluationContext) -> str:
    """One flag's value; a flag that is absent, disabled or broken gives the default."""
    try:
        return core.resolve_string_value(name, default, context).value
    except OpenFeatureError:
        return default
