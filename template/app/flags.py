"""Feature flags in flagd's format: kill switch, prompt, tier, rollout and experiment of each feature."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError, OpenFeatureError

from app.errors import ConfigError, Fault, NotAllowed
from app.features import Feature

NAME = "flags.json"
KINDS = ("enabled", "prompt", "tier", "rollout", "experiment")
# A variant of this name is answered by the stable version, and the candidate is asked beside it.
SHADOW = "-shadow"
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Who:
    """By what a request is put into a variant: each is sticky in itself."""

    tenant: str = ""
    user: str = ""
    request: str = ""

    def context(self) -> EvaluationContext:
        """As the flags' rules see it; who names no user is one with its tenant."""
        user = f"{self.tenant}/{self.user}" if self.user else self.tenant
        told = {"tenant": self.tenant, "user": user, "request": self.request}
        return EvaluationContext(targeting_key=self.tenant, attributes=told)


@dataclass(frozen=True)
class Choice:
    """What the flags picked for one request.

    `arm` is the variant of a rollout or an experiment, `shadow` the release that is to be asked beside.
    """

    prompt: str
    tiers: list[str]
    variant: str = ""
    arm: str = ""
    shadow: str = ""


def load(config: Path) -> dict[str, Any]:
    """Read config/flags.json, and see that flagd can; no file: no flags, and each feature.toml decides."""
    content = read(config / NAME)
    core(content, config / NAME)
    return content


def read(path: Path) -> dict[str, Any]:
    """A flag file's content; raise ConfigError where it is not JSON. A missing file has no flags."""
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"flags": {}}
    except json.JSONDecodeError as error:
        raise ConfigError([Fault(path, f"line {error.lineno}", f"not JSON: {error.msg}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Fault(path, "", f"not UTF-8 at byte {error.start}")]) from error
    if not isinstance(content, dict) or not isinstance(content.get("flags", {}), dict):
        raise ConfigError([Fault(path, "", "not a flagd file: needs an object under the key 'flags'")])
    return content


def core(content: Document, path: Path) -> FlagdCore:
    """The evaluator of a document; raise ConfigError where flagd cannot read it."""
    made = FlagdCore()
    try:
        made.set_flags(json.dumps(content))
    except (OpenFeatureError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError([Fault(path, "", f"not a flagd file: {error}")]) from error
    return made


def choose(
    core: FlagdCore, feature: Feature, who: Who, tier: str = "", release: str | None = None,
    *, economy: bool = False,
) -> Choice:  # fmt: skip
    """The prompt version and tiers for this request; feature.toml decides where no flag does.

    `tier` is the gate's, to judge one tier alone, and `release` is answered whatever would be drawn; with
    `economy` the feature's smaller tier goes first.
    """
    context, spec = who.context(), feature.spec
    if value(core, f"{feature.name}.enabled", "on", context) == "off":
        raise NotAllowed(f"feature '{feature.name}' is switched off")
    prompt = value(core, f"{feature.name}.prompt", spec.prompt, context)
    found, arm = ("", "") if tier or release is not None else drawn(core, feature, context)
    tier = tier or value(core, f"{feature.name}.tier", "", context)
    shadow = found if arm.endswith(SHADOW) else ""
    new, _, other = (release or ("" if shadow else found)).partition("/")
    prompt, tier = new or prompt, other or tier
    known = prompt if prompt in feature.prompts else spec.prompt
    tiers = [tier] if tier else spec.tiers
    if economy and spec.economy and not tier:
        tiers = [spec.economy.tier, *tiers]
    variant = f"{prompt}/{tier}" if (prompt, tier) != (spec.prompt, "") else ""
    return Choice(known, tiers, variant, arm, shadow)


def drawn(core: FlagdCore, feature: Feature, context: EvaluationContext) -> tuple[str, str]:
    """The release and the arm that a rollout or an experiment gives; neither without one."""
    for kind in ("rollout", "experiment"):
        try:
            found = core.resolve_string_value(f"{feature.name}.{kind}", "", context)
        except OpenFeatureError:
            continue
        if found.variant:
            return found.value, found.variant
    return "", ""


def value(core: FlagdCore, name: str, default: str, context: EvaluationContext) -> str:
    """One flag's value; absent, it gives the default. A kill switch that cannot be read is off."""
    try:
        return core.resolve_string_value(name, default, context).value
    except FlagNotFoundError:
        return default
    except OpenFeatureError:
        return "off" if name.endswith(".enabled") else default


def faults(content: Document, path: Path, features: dict[str, Feature], tiers: set[str]) -> list[Fault]:
    """What a flag file names and the project lacks: such a flag would do nothing, in silence."""
    found = [] if "flags" in content else [Fault(path, "", "needs an object under the key 'flags'")]
    for name, flag in content.get("flags", {}).items():
        feature, _, kind = name.rpartition(".")
        if feature not in features or kind not in KINDS:
            listed = ", ".join(f"<feature>.{known}" for known in KINDS)
            found.append(Fault(path, name, f"is no flag; write one of {listed}"))
            continue
        variants = flag.get("variants", {})
        wrong = [one for one in variants.values() if not is_known(one, kind, features[feature], tiers)]
        if wrong:
            listed = ", ".join(sorted(values(kind, features[feature], tiers)))
            found.append(Fault(path, f"{name}.variants", f"{wrong[0]!r} is not one of: {listed}"))
        if flag.get("defaultVariant") not in variants:
            found.append(Fault(path, f"{name}.defaultVariant", "is not one of the variants"))
        for what in unsound(flag.get("targeting", {}), variants):
            found.append(Fault(path, f"{name}.targeting", what))
    return found


def values(kind: str, feature: Feature, tiers: set[str]) -> set[str]:
    """What a flag of this kind may say; a release is a prompt, a tier after a slash, or both."""
    prompts = set(feature.prompts)
    named = {"enabled": {"on", "off"}, "prompt": prompts, "tier": tiers}
    return named[kind] if kind in named else {"", *prompts, *(f"/{tier}" for tier in tiers)}


def is_known(value: object, kind: str, feature: Feature, tiers: set[str]) -> bool:
    """Whether a flag of this kind may have this value."""
    if not isinstance(value, str) or kind in ("enabled", "prompt", "tier"):
        return value in values(kind, feature, tiers)
    prompt, slash, tier = value.partition("/")
    return prompt in {"", *feature.prompts} and tier in ({*tiers} if slash else {""})


def unsound(rule: object, variants: Mapping[str, Any]) -> list[str]:
    """What is wrong with the shares in a rule: flagd would give the default, in silence."""
    if isinstance(rule, list):
        return [what for part in rule for what in unsound(part, variants)]
    if not isinstance(rule, dict):
        return []
    found = [what for part in rule.values() for what in unsound(part, variants)]
    shares = [part for part in rule.get("fractional", []) if isinstance(part, list)]
    if unknown := [str(part[0]) for part in shares if part[:1] and part[0] not in variants]:
        found.append(f"'{unknown[0]}' is not one of the variants: {', '.join(variants)}")
    weights = [part[1] if len(part) > 1 else 1 for part in shares]
    if any(not isinstance(weight, int) or weight < 0 for weight in weights):
        found.append(f"shares must be whole numbers of 0 or more: {weights}")
    elif shares and sum(weights) != 100:
        found.append(f"shares add up to {sum(weights)}, not to 100")
    return found
