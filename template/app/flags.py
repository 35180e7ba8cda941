"""Feature flags in flagd's format: kill switch, prompt, tier, rollout and experiment of each feature."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError, OpenFeatureError
from openfeature.flag_evaluation import Reason

from app.errors import ConfigError, Fault, NotAllowed
from app.features import Feature

NAME = "flags.json"
KINDS = ("enabled", "prompt", "tier", "rollout", "experiment")
# A variant of this name is answered by the stable version, and the candidate is asked beside it.
SHADOW = "-shadow"
Document = Mapping[str, Any]
NONE: Document = {"flags": {}}
# What flagd raises for a file or a rule of a wrong shape.
BROKEN = (
    OpenFeatureError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


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


class Core(FlagdCore):
    """flagd's evaluator with the document that it evaluates."""

    def __init__(self, content: Document) -> None:
        super().__init__()
        self.content = content
        self.set_flags(json.dumps(content))


def load(config: Path) -> dict[str, Any]:
    """Read config/flags.json, and see that flagd can; no file: no flags, and each feature.toml decides."""
    place = config / NAME
    content = read(place) if place.exists() else {**NONE}
    core(content, place)
    return content


def read(path: Path) -> dict[str, Any]:
    """A flag file's content; raise ConfigError where there is none."""
    try:
        return parse(path.read_bytes(), path)
    except OSError as error:
        raise ConfigError([Fault(path, "", f"cannot be read: {error.strerror}")]) from error


def parse(raw: bytes, path: Path) -> dict[str, Any]:
    """The content of a flag file; raise ConfigError where it is no object of flags."""
    try:
        content = json.loads(raw.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise ConfigError([Fault(path, f"line {error.lineno}", f"not JSON: {error.msg}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Fault(path, "", f"not UTF-8 at byte {error.start}")]) from error
    if not isinstance(content, dict) or not isinstance(content.get("flags"), dict):
        raise ConfigError([Fault(path, "", "not a flagd file: needs an object under the key 'flags'")])
    return content


def core(content: Document, path: Path) -> Core:
    """The evaluator of a document; raise ConfigError where flagd cannot read it."""
    try:
        return Core(content)
    except BROKEN as error:
        said = str(error) or error.__cause__
        raise ConfigError([Fault(path, "", f"not a flagd file: {said}")]) from error


def choose(
    core: Core, feature: Feature, who: Who, tier: str = "", release: str | None = None,
    *, economy: bool = False,
) -> Choice:  # fmt: skip
    """The prompt version and tiers for this request; feature.toml decides where no flag does.

    `tier` is the gate's, to judge one tier alone, and `release` is answered whatever would be drawn; with
    `economy` the feature's smaller tier goes first.
    """
    context, spec = who.context(), feature.spec
    if value(core, f"{feature.name}.enabled", "on", context) == "off":
        raise NotAllowed(f"feature '{feature.name}' is switched off")
    prompt = value(core, f"{feature.name}.prompt", "", context) or spec.prompt
    is_fixed = tier or release is not None or is_pinned(core, feature, who.tenant)
    found, arm = ("", "") if is_fixed else drawn(core, feature, context)
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


def is_pinned(core: Core, feature: Feature, tenant: str) -> bool:
    """Whether a tenant has a prompt or a tier of its own: it is then in no rollout and no experiment."""
    own = [core.content["flags"].get(f"{feature.name}.{kind}", {}) for kind in ("prompt", "tier")]
    return any(flag.get("state") == "ENABLED" and names(flag.get("targeting"), tenant) for flag in own)


def names(rule: object, tenant: str) -> bool:
    """Whether a rule compares the tenant with this one."""
    if isinstance(rule, list):
        return any(names(part, tenant) for part in rule)
    if not isinstance(rule, dict):
        return False
    compared = [rule[one] for one in ("==", "===", "in") if isinstance(rule.get(one), list)]
    asked = [one for parts in compared if {"var": "tenant"} in parts for one in parts]
    is_it = tenant in asked or any(isinstance(one, list) and tenant in one for one in asked)
    return is_it or names([*rule.values()], tenant)


def drawn(core: FlagdCore, feature: Feature, context: EvaluationContext) -> tuple[str, str]:
    """The release and the arm that a rollout or an experiment gives; neither without one."""
    for kind in ("rollout", "experiment"):
        try:
            found = core.resolve_string_value(f"{feature.name}.{kind}", "", context)
        except BROKEN:
            continue
        if found.variant:
            return found.value, found.variant
    return "", ""


def value(core: FlagdCore, name: str, default: str, context: EvaluationContext) -> str:
    """One flag's value; absent, it gives the default. A kill switch that is disabled or unreadable is off."""
    broken = "off" if name.endswith(".enabled") else default
    try:
        found = core.resolve_string_value(name, default, context)
    except FlagNotFoundError:
        return default
    except BROKEN:
        return broken
    return broken if found.reason == Reason.DISABLED else found.value
