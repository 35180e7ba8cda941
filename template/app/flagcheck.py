"""What is wrong with each flag of a document, and what is left of the document without that."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import flagedit, flags, policy
from app.errors import ConfigError, Fault, NotAllowed
from app.features import Feature
from app.flags import KINDS, Document
from app.models import Registry
from app.policy import Policy

Faulty = dict[str, list[Fault]]
OFF = flagedit.valued(None, "off")


@dataclass(frozen=True)
class Known:
    """What flags may name; without rules policy forbids nothing."""

    features: dict[str, Feature]
    registry: Registry
    rules: Policy | None = None


def faulty(content: Document, path: Path, known: Known) -> Faulty:
    """The flags that would do nothing in silence, or stop every request, each with its faults."""
    found = {name: wrong(name, flag, known) for name, flag in content["flags"].items()}
    return {name: [Fault(path, *one) for one in told] for name, told in found.items() if told}


def sound(content: Document, without: Faulty, good: Document | None) -> dict[str, Any]:
    """The document with each faulty flag as it was; where it never was good a kill switch is off."""
    last = good["flags"] if good else {name: OFF for name in without if name.endswith(".enabled")}
    kept = {name: flag for name, flag in content["flags"].items() if name not in without}
    return {"flags": kept | {name: last[name] for name in without if name in last}}


def wrong(name: str, flag: object, known: Known) -> list[tuple[str, str]]:
    """Where one flag is wrong, and what is."""
    owner, _, kind = name.rpartition(".")
    if owner not in known.features or kind not in KINDS:
        return [(name, f"is no flag; write one of {', '.join(f'<feature>.{one}' for one in KINDS)}")]
    if not isinstance(flag, dict) or not isinstance(flag.get("targeting") or {}, dict):
        return [(name, "a flag is an object, and so is its targeting")]
    try:
        flags.core({"flags": {name: flag}}, Path())
    except ConfigError as error:
        return [(name, fault.what) for fault in error.faults]
    feature, variants = known.features[owner], flag["variants"]
    found = [(f"{name}.variants", what) for what in misnamed(variants, kind, feature, known)]
    if flag.get("defaultVariant") not in list(variants):
        found.append((f"{name}.defaultVariant", "is not one of the variants"))
    return found + [(f"{name}.targeting", what) for what in unsound(flag.get("targeting"), list(variants))]


def misnamed(variants: Mapping[str, object], kind: str, feature: Feature, known: Known) -> list[str]:
    """The first value that is not there, or those that policy forbids."""
    for one in variants.values():
        if not is_known(one, kind, feature, known.registry.tiers):
            listed = ", ".join(sorted(filter(None, values(kind, feature, known.registry.tiers))))
            return [f"{one!r} is not one of: {listed}"]
    tiers = {tier_of(str(one), kind) for one in variants.values()} - {""}
    return [what for tier in sorted(tiers) if (what := forbidden(tier, feature, known))]


def values(kind: str, feature: Feature, tiers: set[str]) -> set[str]:
    """What a flag of this kind may say; a release is a prompt, a tier after a slash, or both.

    An empty value is what feature.toml says.
    """
    prompts = {"", *feature.prompts}
    named = {"enabled": {"on", "off"}, "prompt": prompts, "tier": {"", *tiers}}
    return named[kind] if kind in named else {*prompts, *(f"/{tier}" for tier in tiers)}


def is_known(value: object, kind: str, feature: Feature, tiers: set[str]) -> bool:
    """Whether a flag of this kind may have this value."""
    if not isinstance(value, str):
        return False
    prompt, slash, tier = value.partition("/")
    if kind in ("enabled", "prompt", "tier") or not slash:
        return value in values(kind, feature, tiers)
    return prompt in {"", *feature.prompts} and tier in tiers


def tier_of(value: str, kind: str) -> str:
    """The tier that a value asks; none where it is feature.toml's."""
    return {"tier": value, "enabled": "", "prompt": ""}.get(kind, value.partition("/")[2])


def forbidden(tier: str, feature: Feature, known: Known) -> str:
    """Why policy lets this feature ask no model of a tier; nothing where it does."""
    try:
        if known.rules:
            policy.permit(known.rules, feature.spec.use_case, known.registry.in_tiers([tier]))
    except NotAllowed as error:
        return f"tier '{tier}': {error}"
    return ""


def unsound(rule: object, variants: list[str]) -> list[str]:
    """What is wrong with the shares in a rule: flagd would give the default, in silence."""
    if isinstance(rule, list):
        return [what for part in rule for what in unsound(part, variants)]
    if not isinstance(rule, dict):
        return []
    found = [what for part in rule.values() for what in unsound(part, variants)]
    return found + (uneven(rule["fractional"], variants) if "fractional" in rule else [])


def uneven(parts: object, variants: list[str]) -> list[str]:
    """What is wrong with the shares of one `fractional`; the first part may say by what they are drawn."""
    given = parts if isinstance(parts, list) else []
    shares = given[not isinstance(given[0], list) :] if given else []
    if not shares or any(not isinstance(part, list) or len(part) not in (1, 2) for part in shares):
        return ['fractional needs shares: ["variant", percent]']
    found = []
    if unknown := [str(part[0]) for part in shares if part[0] not in variants]:
        found.append(f"'{unknown[0]}' is not one of the variants: {', '.join(variants)}")
    weights = [part[1] if len(part) > 1 else 1 for part in shares]
    if any(type(weight) is not int or weight < 0 for weight in weights):
        found.append(f"shares must be whole numbers of 0 or more: {weights}")
    elif sum(weights) != 100:
        found.append(f"shares add up to {sum(weights)}, not to 100")
    return found
