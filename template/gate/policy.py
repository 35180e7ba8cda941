"""Whether policy leaves each feature a model, in every tier that it can come to."""

import json
from pathlib import Path
from typing import get_args

from rich.table import Table

from app import policy
from app.errors import Fault, NotAllowed
from app.features import Feature
from app.services import Plan


def violations(plan: Plan) -> list[Fault]:
    """Every tier without a permitted model."""
    faults = []
    for feature in plan.features.values():
        for tier, path, key in reachable(plan, feature):
            try:
                policy.permit(plan.policy, feature.spec.use_case, plan.registry.in_tiers([tier]))
            except NotAllowed as error:
                remedy = "allow one in policy.toml, or name another tier"
                faults.append(Fault(path, key, f"tier '{tier}': {error}; {remedy}"))
    return faults


def reachable(plan: Plan, feature: Feature) -> list[tuple[str, Path, str]]:
    """The tiers that a feature can come to, each with the file and key that lead there."""
    spec, toml, flags = feature.spec, feature.folder / "feature.toml", plan.settings.config_dir / "flags.json"
    found = [(tier, toml, "tiers") for tier in spec.tiers]
    if spec.economy:
        found.append((spec.economy.tier, toml, "economy.tier"))
    content = json.loads(flags.read_text(encoding="utf-8")) if flags.exists() else {}
    flag = content.get("flags", {}).get(f"{feature.name}.tier", {})
    named = filter(None, flag.get("variants", {}).values())
    return found + [(tier, flags, f"{feature.name}.tier") for tier in named]


def models_table(plan: Plan) -> Table:
    """Use case by model: allowed, or the reason against it."""
    table = Table("use case", "data", *plan.registry.models)
    for name, rule in plan.policy.use_cases.items():
        said = [policy.why_not(rule, model) or "allowed" for model in plan.registry.models.values()]
        table.add_row(name, ", ".join(sorted(rule.data_classes)), *said)
    return table


def roles_table(plan: Plan) -> Table:
    """Action by role."""
    table = Table("action", *plan.policy.roles)
    for action in get_args(policy.Action):
        held = [policy.can(plan.policy, role, action) for role in plan.policy.roles]
        table.add_row(action, *("yes" if yes else "-" for yes in held))
    return table
