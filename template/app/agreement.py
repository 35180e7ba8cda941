"""Do the files agree? What a feature names must be in the registry, in the policy and on disk."""

from pathlib import Path

from app import policy, shelf
from app.errors import Fault
from app.features import Feature
from app.models import Registry
from app.policy import Policy
from app.shelf import Source


def contradictions(var: Path, found: dict[str, Feature], registry: Registry, rules: Policy) -> list[Fault]:
    """What features name and other files lack: tiers, use cases, corpora."""
    tiers = registry.tiers
    faults: list[Fault] = []
    for feature in found.values():
        toml, spec = feature.folder / "feature.toml", feature.spec
        for tier in set(spec.tiers) - tiers:
            what = f"no model has tier '{tier}' in models.toml (known: {', '.join(sorted(tiers))})"
            faults.append(Fault(toml, "tiers", what))
        judge, chat = spec.gate.judge, registry.in_tiers(sorted(tiers))
        if judge and judge.model not in chat:
            what = f"'{judge.model}' is no chat model of models.toml (known: {', '.join(sorted(chat))})"
            faults.append(Fault(toml, "gate.judge.model", what))
        rule = rules.use_cases.get(spec.use_case)
        if rule is None:
            what = f"'{spec.use_case}' is not in policy.toml (known: {policy.known(rules)})"
            faults.append(Fault(toml, "use_case", what))
        elif spec.guard.pii == "off" and (unseen := {"personal", "secret"} - rule.data_classes):
            what = f"off finds no {' or '.join(sorted(unseen))} data, which '{spec.use_case}' does not allow"
            faults.append(Fault(toml, "guard.pii", f"{what}: write flag, redact or block"))
        if spec.retrieval and not shelf.pages(Source(Path(spec.retrieval.corpus), var)):
            what = f"'{spec.retrieval.corpus}' holds no markdown page"
            faults.append(Fault(toml, "retrieval.corpus", what))
        if spec.retrieval and (what := misfit(spec.retrieval.embeddings, spec.use_case, registry, rules)):
            faults.append(Fault(toml, "retrieval.embeddings", what))
    return faults


def misfit(name: str, use_case: str, registry: Registry, rules: Policy) -> str:
    """Why a feature may not use this embedding model, and the remedy; nothing where all is well."""
    model, rule = registry.models.get(name), rules.use_cases.get(use_case)
    if name and (not model or model.kind != "embedding"):
        known = ", ".join(n for n, m in registry.models.items() if m.kind == "embedding") or "none"
        return f"'{name}' is no model of kind embedding in models.toml (known: {known})"
    why = policy.why_not(rule, model) if rule and model else ""
    return f"'{name}': {why} for '{use_case}'; allow it in policy.toml" if why else ""
