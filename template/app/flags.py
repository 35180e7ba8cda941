"""Feature flags: which prompt and tier a tenant gets, and the kill switch. The file is flagd's format."""

import json
from dataclasses import dataclass
from pathlib import Path

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError, OpenFeatureError

from app.errors import ConfigError, Fault, NotAllowed
from app.features import Feature


@dataclass(frozen=True)
class Choice:
    """What the flags picked for one request."""

    prompt: str
    tiers: list[str]
    variant: str = ""


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


def choose(
    core: FlagdCore, feature: Feature, tenant: str, tier: str = "", *, economy: bool = False
) -> Choice:
    """The prompt version and tiers for this tenant; feature.toml decides where no flag does.

    `tier` is the gate's, to judge one tier alone; with `economy` the feature's smaller tier goes first.
    """
    context = EvaluationContext(targeting_key=tenant, attributes={"tenant": tenant})
    if resolve(core, f"{feature.name}.enabled", "on", context) == "off":
        raise NotAllowed(f"feature '{feature.name}' is switched off")
    prompt = resolve(core, f"{feature.name}.prompt", feature.spec.prompt, context)
    tier = tier or resolve(core, f"{feature.name}.tier", "", context)
    known = prompt if prompt in feature.prompts else feature.spec.prompt
    tiers = [tier] if tier else feature.spec.tiers
    if economy and feature.spec.economy and not tier:
        tiers = [feature.spec.economy.tier, *tiers]
    variant = f"{prompt}/{tier}" if (prompt, tier) != (feature.spec.prompt, "") else ""
    return Choice(known, tiers, variant)


def resolve(core: FlagdCore, name: str, default: str, context: EvaluationContext) -> str:
    """One flag's value; absent, it gives the default. A kill switch that cannot be read is off."""
    try:
        return core.resolve_string_value(name, default, context).value
    except FlagNotFoundError:
        return default
    except OpenFeatureError:
        return "off" if name.endswith(".enabled") else default


def faults(config: Path, features: dict[str, Feature], tiers: set[str]) -> list[Fault]:
    """What the flag file names and the project lacks: such a flag would do nothing, in silence."""
    path = config / "flags.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"flags": {}}
    found = [] if "flags" in content else [Fault(path, "", "needs an object under the key 'flags'")]
    for name, flag in content.get("flags", {}).items():
        feature, _, kind = name.rpartition(".")
        known = {"enabled": {"on", "off"}, "tier": tiers}
        if feature in features:
            known["prompt"] = set(features[feature].prompts)
        if feature not in features or kind not in known:
            what = "is no flag; write <feature>.enabled, <feature>.prompt or <feature>.tier"
            found.append(Fault(path, name, what))
            continue
        variants = flag.get("variants", {})
        wrong = [value for value in variants.values() if value not in known[kind]]
        if wrong:
            listed = ", ".join(sorted(known[kind]))
            found.append(Fault(path, f"{name}.variants", f"{wrong[0]!r} is not one of: {listed}"))
        if flag.get("defaultVariant") not in variants:
            found.append(Fault(path, f"{name}.defaultVariant", "is not one of the variants"))
    return found
