"""What the gate said of a candidate: features/<name>/candidates/<release>.json, in git and in the image."""

import hashlib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.errors import Invalid
from app.features import Feature
from app.files import Strict
from app.services import Plan

FOLDER = "candidates"


class Record(Strict):
    """A green run of the gate: for which prompt, models and rules, and what it measured; sealed as a whole.

    `replay` are golden inputs, asked of the candidate where nobody else asks.
    """

    seal: str = ""
    release: str
    prompt: str
    state: str
    cases: str = ""
    reason: str
    score: float
    stable_score: float
    tokens: float
    stable_tokens: float
    replay: list[dict[str, Any]] = []

    def sealed(self) -> str:
        """A hash of all that it says."""
        return hashlib.sha256(self.model_dump_json(exclude={"seal"}).encode()).hexdigest()[:12]


def parts(feature: Feature, release: str) -> tuple[str, str]:
    """The prompt and the tier of a release; its feature's own prompt where it names none."""
    prompt, _, tier = release.partition("/")
    return prompt or feature.spec.prompt, tier


def options(release: str) -> str:
    """A release as commands are told it."""
    prompt, _, tier = release.partition("/")
    return " ".join([*([f"--prompt {prompt}"] if prompt else []), *([f"--tier {tier}"] if tier else [])])


def path(feature: Feature, release: str) -> Path:
    """Where the record of a release lies."""
    return feature.folder / FOLDER / f"{release.replace('/', '-').strip('-')}.json"


def digests(plan: Plan, feature: Feature, release: str) -> dict[str, str]:
    """What a record must be of: the prompt's text; models, schema, steps and feature.toml; the cases."""
    prompt = feature.prompts.get(parts(feature, release)[0])
    held = b"".join(path.read_bytes() for path in sorted(feature.folder.glob("*.yaml")))
    return {
        "prompt": prompt.digest if prompt else "", "state": plan.digests[feature.name],
        "cases": hashlib.sha256(held).hexdigest()[:12],
    }  # fmt: skip


def load(plan: Plan, feature: Feature, release: str) -> Record:
    """The record of a release; raise Invalid where the gate has not passed it as it is now."""
    place = path(feature, release)
    remedy = f"uv run gate candidate {feature.name} {options(release)}, then commit and deploy the file"
    try:
        found = Record.model_validate_json(place.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Invalid(f"the gate has not passed {feature.name} {release}: {remedy}") from error
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise Invalid(f"{place.as_posix()}: is damaged: {remedy}") from error
    now = digests(plan, feature, release)
    if found.seal != found.sealed() or found.release != release:
        raise Invalid(f"{place.as_posix()}: was edited by hand: {remedy}")
    if moved := [name for name, digest in now.items() if getattr(found, name) != digest]:
        named = {
            "prompt": "prompt", "state": "models, schema, steps or feature.toml",
            "cases": "golden or adversarial cases",
        }  # fmt: skip
        raise Invalid(f"{place.as_posix()}: is of another {named[moved[0]]}: {remedy}")
    return found
