"""Who may do what: which models a use case may call, which actions a role may take. Not allowed is denied."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from app import files
from app.errors import NotAllowed
from app.files import Strict
from app.models import Model, Provider

DataClass = Literal["public", "personal", "secret"]
Change = Literal["pause-tenant", "set-budget", "rotate-keys", "purge", "reindex", "flip-flag", "rollout"]
Action = Literal["view", "view-own", "retry-job", "acknowledge", Change]


class Rule(Strict):
    """What one use case allows, and the classes of data that its requests may carry."""

    providers: list[Provider]
    regions: list[str] = ["local"]
    max_retention_days: int = Field(default=0, ge=0)
    data_classes: frozenset[DataClass] = frozenset({"public"})
    shadow: bool = False  # a candidate may be asked the same beside


class Role(Strict):
    """The actions that a role may take; "*" is all of them."""

    can: list[Literal["*", Action]]


class Policy(Strict):
    """The content of config/policy.toml; without roles in it, the owner may do everything, others nothing."""

    use_cases: dict[str, Rule] = {}
    roles: dict[str, Role] = {"owner": Role(can=["*"])}


@dataclass(frozen=True)
class Decision:
    """The models that may be called, in order, and what was said of each model, for the usage row."""

    allowed: dict[str, Model]
    said: str


def load(config: Path) -> Policy:
    """Read config/policy.toml; raise ConfigError with every fault."""
    return files.read_toml(config / "policy.toml", Policy)


def permit(
    policy: Policy, use_case: str, models: dict[str, Model], classes: frozenset[str] = frozenset()
) -> Decision:
    """The models that the use case may call with data of these classes; raise NotAllowed if none may."""
    rule = policy.use_cases.get(use_case)
    if rule is None:
        raise NotAllowed(f"policy has no use case '{use_case}' (known: {known(policy)})")
    if refused := classes - rule.data_classes:
        given, listed = ", ".join(sorted(refused)), ", ".join(sorted(rule.data_classes)) or "none"
        raise NotAllowed(f"use case '{use_case}' does not allow {given} data (allowed: {listed})")
    reasons = {name: why_not(rule, model) for name, model in models.items()}
    said = "; ".join(f"{name}: {reason or 'allowed'}" for name, reason in reasons.items())
    allowed = {name: model for name, model in models.items() if not reasons[name]}
    if not allowed:
        why = said or "no chat model in the tiers"
        raise NotAllowed(f"policy allows no model for use case '{use_case}': {why}")
    return Decision(allowed, said)


def why_not(rule: Rule, model: Model) -> str:
    """The reason against a model, or nothing."""
    if model.provider not in rule.providers:
        return f"provider '{model.provider}' is not allowed"
    if model.region not in rule.regions:
        return f"region '{model.region}' is not allowed"
    if model.retention_days > rule.max_retention_days:
        return f"keeps data for {model.retention_days} days, {rule.max_retention_days} are allowed"
    return ""


def can(policy: Policy, role: str, action: Action) -> bool:
    """Whether a role may take an action; an unknown role may take none."""
    held = policy.roles.get(role)
    return held is not None and ("*" in held.can or action in held.can)


def known(policy: Policy) -> str:
    """The use cases, for messages."""
    return ", ".join(sorted(policy.use_cases)) or "none"
