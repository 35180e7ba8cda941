"""Changes of a flag document, each a new document: a value, a tenant's own value, the shares of a trial."""

from collections.abc import Mapping
from typing import Any

from app.errors import Invalid
from app.flags import Document

Flag = dict[str, Any]
# The variant whose empty value leaves it to feature.toml.
AS_FILE = "feature.toml"
REMEDY = "write it in a file and put that in place: uv run ops flags apply FILE"


def put(document: Document, name: str, flag: Flag | None) -> dict[str, Any]:
    """The document with one flag in place of another; without it where it is None."""
    rest = {key: held for key, held in document["flags"].items() if key != name}
    return {"flags": {**rest, **({name: flag} if flag else {})}}


def valued(flag: Flag | None, value: str, tenant: str = "") -> Flag:
    """A flag that gives a value, to one tenant alone if it is named; raise Invalid for another rule.

    For the others of a new flag feature.toml decides.
    """
    held = overrides(flag) if flag else {}
    usual = flag["variants"][flag["defaultVariant"]] if flag else ""
    if tenant:
        held[tenant] = value
    else:
        usual = value
    named = {one or AS_FILE: one for one in [usual, *held.values()]}
    made: Flag = {"state": "ENABLED", "variants": named, "defaultVariant": usual or AS_FILE}
    if held:
        made["targeting"] = {"if": [*chain(held), usual or AS_FILE]}
    return made


def chain(held: Mapping[str, str]) -> list[object]:
    """Conditions and values, as flagd's `if` takes them."""
    return [part for who, what in sorted(held.items()) for part in ({"==": [{"var": "tenant"}, who]}, what)]


def overrides(flag: Flag) -> dict[str, str]:
    """The values of tenants that have one of their own; raise Invalid where the rule is not of this form."""
    rule = flag.get("targeting") or {}
    parts = rule.get("if", []) if isinstance(rule, dict) and set(rule) <= {"if"} else None
    found = {}
    try:
        for condition, variant in zip(parts[:-1:2], parts[1:-1:2], strict=True):  # type: ignore[index]
            (subject, who) = condition["=="]
            if subject != {"var": "tenant"}:
                raise ValueError
            found[str(who)] = flag["variants"][variant]
    except (TypeError, KeyError, ValueError) as error:
        raise Invalid(f"this flag has a rule of its own; {REMEDY}") from error
    return found


def trial(arms: Mapping[str, tuple[str, int]], unit: str) -> Flag:
    """A flag that gives each arm its release and its percent; as an arm grows it keeps whom it has."""
    shares = [[arm, percent] for arm, (_, percent) in arms.items()]
    drawn = {"cat": [{"var": "$flagd.flagKey"}, "/", {"var": unit}]}
    return {
        "state": "ENABLED",
        "variants": {arm: release for arm, (release, _) in arms.items()},
        "defaultVariant": list(arms)[-1],
        "targeting": {"fractional": [drawn, *shares]},
    }
