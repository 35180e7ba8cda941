"""Whether a smaller tier is good enough, by its last accepted run: features/<name>/baseline-<tier>.json."""

import json
import logging
from pathlib import Path
from statistics import fmean

from app.features import Feature
from app.models import Registry

log = logging.getLogger(__name__)


def path(folder: Path, tier: str = "") -> Path:
    """Where the accepted run of a feature lies; of one tier where that was judged alone."""
    return folder / (f"baseline-{tier}.json" if tier else "baseline.json")


def is_enough(feature: Feature, registry: Registry) -> bool:
    """Whether the economy tier may be used: accepted with these models, and at least `min_score` good."""
    economy = feature.spec.economy
    if economy is None:
        return False
    fault = shortfall(feature, registry, economy.tier, economy.min_score)
    if fault:
        log.warning("economy tier is not used", extra={"feature": feature.name, "reason": fault})
    return not fault


def shortfall(feature: Feature, registry: Registry, tier: str, min_score: float) -> str:
    """What speaks against the tier, or nothing."""
    place = path(feature.folder, tier)
    remedy = f"uv run gate accept {feature.name} --tier {tier}"
    try:
        said = json.loads(place.read_text(encoding="utf-8"))
        score = fmean(mark["score"] for mark in said["cases"].values())
        judged = set(said["model"].split(", "))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{place.as_posix()} is missing or damaged: {remedy}"
    if not judged <= {model.pin for model in registry.in_tiers([tier]).values()}:
        return f"{place.as_posix()} judged {', '.join(sorted(judged))}, not the present models: {remedy}"
    return f"it scored {score:.3f}, {min_score:.3f} is asked" if score < min_score else ""
