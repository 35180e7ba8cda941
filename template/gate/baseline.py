"""What a feature scored when a person last accepted it: features/<name>/baseline.json, in git."""

import json
from pathlib import Path

from pydantic import Field, ValidationError

from app import files, quality
from app.features import Feature
from app.files import Strict
from gate.errors import BadBaseline
from gate.run import FeatureRun

SAID = 400


class Mark(Strict):
    """One golden case: its score from 0 to 1, and its tokens."""

    score: float = Field(ge=0, le=1, allow_inf_nan=False)
    tokens: int = Field(ge=0)
    usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    said: str = ""


class Baseline(Strict):
    """An accepted run. Model, prompt and dataset say what it may be compared with."""

    reason: str
    model: str
    prompt: str
    dataset: str
    adversarial: list[str] = []
    cases: dict[str, Mark]


def load(feature: Feature, tier: str = "") -> Baseline | None:
    """The accepted run, of one tier if it is named, or None; raise BadBaseline if the file is damaged."""
    place = quality.path(feature.folder, tier)
    if not place.exists():
        return None
    try:
        return Baseline.model_validate_json(place.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        remedy = "restore it from git, or accept a new one with: uv run gate accept"
        what = f"{feature.name} --tier {tier}" if tier else feature.name
        raise BadBaseline(f"{place.as_posix()}: damaged; {remedy} {what}") from error


def save(run: FeatureRun, reason: str) -> Path:
    """Accept a run: write its golden scores and tokens, a line a case so that a diff can be read."""
    golden = next(group for group in run.sets if group.kind == "golden")
    head: dict[str, object] = {"reason": reason, "model": run.model, "prompt": run.prompt}
    head |= {"dataset": golden.digest, "adversarial": sorted(r.spec.name for r in run.of("adversarial"))}
    marks = {
        r.spec.name: {
            "score": r.score, "tokens": r.outcome.tokens, "usd": r.outcome.cost_usd,
            "said": r.outcome.words[:SAID],
        }
        for r in run.of("golden")
    }  # fmt: skip
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(marks[name])}" for name in sorted(marks))
    top = "".join(f"  {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items())
    place = quality.path(run.feature.folder, run.tier)
    files.write_atomic(place, f'{{\n{top}  "cases": {{\n{lines}\n  }}\n}}\n')
    return place
