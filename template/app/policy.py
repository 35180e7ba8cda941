"""Which models a use case may call: config/policy.toml. What it does not allow is denied."""

from pathlib import Path

from pydantic import Field

from app import files
from app.errors import NotAllowed
from app.files import Strict
from app.models import Model


class Rule(Strict):
    """What one use case allows."""

    providers: list[str]
    regions: list[str] = ["local"]
    max_retention_days: int = Field(default=0, ge=0)


class Policy(Strict):
    """The content of config/policy.toml."""

    use_cases: dict[str, Rule] = {}


def load(config: Path) -> Policy:
    """Read config/policy.toml; raise ConfigError with every fault."""
    return files.read_toml(config / "policy.toml", Policy)


def permit(policy: Policy, use_case: str, models: dict[str, Model]) -> dict[str, Model]:
    """The models that the use case may call, in order; raise NotAllowed with each reason if none may."""
    rule = policy.use_cases.get(use_case)
    if rule is None:
        raise NotAllowed(f"policy has no use case '{use_case}' (known: {known(policy)})")
    reasons = {name: why_not(rule, model) for name, model in models.items()}
    allowed = {name: model for name, model in models.items() if not reasons[name]}
    if not allowed:
        said = "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) or "no model in the tiers"
        raise NotAllowed(f"policy allows no model for use case '{use_case}': {said}")
    return allowed


def why_not(rule: Rule, model: Model) -> str:
    """The reason against a model, or nothing."""
    if model.provider not in rule.providers:
        return f"provider '{model.provider}' is not allowed"
    if model.region not in rule.regions:
        return f"region '{model.region}' is not allowed"
    if model.retention_days > rule.max_retention_days:
        return f"keeps data for {model.retention_days} days, {rule.max_retention_days} are allowed"
    return ""


def known(policy: Policy) -> str:
    """The use cases, for messages."""
    return ", ".join(sorted(policy.use_cases)) or "none"
