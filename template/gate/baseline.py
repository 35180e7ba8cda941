"""What a feature scored when a person last accepted it: features/<name>/baseline.json, in git."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from app import files, quality
from app.features import Feature
from gate import changelog
from gate.cases import CaseSpec
from gate.errors import BadBaseline
from gate.run import CaseRun, FeatureRun

SAID = 400


class Mark(files.Strict):
    """One golden case: its score from 0 to 1, its tokens (by part of the prompt too), dollars and answer.

    `key` names what was asked and expected: a case that is renamed is still the same case.
    """

    score: float = Field(ge=0, le=1, allow_inf_nan=False)
    tokens: int = Field(ge=0)
    key: str = ""
    usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    parts: dict[str, int] = {}
    said: str = ""


class Baseline(files.Strict):
    """An accepted run: model, prompt and dataset say what it is comparable with; the seal is of the rest.

    `rules` are feature.toml's [gate] and [guard]: a change must not loosen what it is judged by.
    """

    seal: str = ""
    reason: str
    model: str
    prompt: str
    dataset: str
    rules: dict[str, dict[str, Any]] = {}
    adversarial: dict[str, str] | list[str] = {}
    cases: dict[str, Mark]

    @property
    def attacks(self) -> dict[str, str]:
        """The keys of the adversarial cases by name; a baseline of before 0.4.0 has names alone."""
        held = self.adversarial
        return held if isinstance(held, dict) else dict.fromkeys(held, "")


def load(feature: Feature, tier: str = "") -> Baseline | None:
    """The accepted run, of one tier if it is named, or None; raise BadBaseline if the file is damaged."""
    place, accepted = quality.path(feature.folder, tier), changelog.last(feature, label(tier))
    remedy = "restore it from git, or accept a new one with: uv run gate accept"
    remedy += f" {feature.name} --tier {tier}" if tier else f" {feature.name}"
    if not place.exists() and accepted:
        what = f"is gone, CHANGELOG.md says that {accepted} was accepted"
        raise BadBaseline(f"{place.as_posix()}: {what}; {remedy}")
    if not place.exists():
        return None
    try:
        found = Baseline.model_validate_json(place.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        fault = spotted(place, error) if isinstance(error, ValidationError) else f"{error}"
        raise BadBaseline(f"{place.as_posix()}: damaged; {fault}; {remedy}") from error
    is_old = not (found.seal or found.rules or accepted)  # of before 0.4.0: it had no seal
    seal = sealed(found)
    if not is_old and not (found.seal == seal == accepted):
        raise BadBaseline(f"{place.as_posix()}: was edited by hand; it moves by a command alone; {remedy}")
    return found


def label(tier: str) -> str:
    """What the changelog calls an accepted run."""
    return f"accepted-{tier}" if tier else "accepted"


def sealed(held: Baseline) -> str:
    """A hash of all that the baseline says."""
    return hashlib.sha256(held.model_dump_json(exclude={"seal"}).encode()).hexdigest()[:12]


def spotted(place: Path, error: ValidationError) -> str:
    """The first fault of the file, with its line where it is in a case: a case has a line of its own."""
    first = error.errors()[0]
    keys = [str(part) for part in first["loc"]]
    start = f'"{keys[1]}"' if keys[1:] else "\0"
    lines = enumerate(place.read_text(encoding="utf-8").splitlines(), start=1)
    line = next((f"line {number}: " for number, said in lines if said.strip().startswith(start)), "")
    return f"{line}{'.'.join(keys)}: {first['msg']}"


def save(run: FeatureRun, reason: str) -> Path:
    """Accept a run: write its golden scores and tokens, a line a case, and note the seal and the reason."""
    golden = next(group for group in run.sets if group.kind == "golden")
    runs = sorted(run.runs, key=lambda r: r.spec.name)
    held = Baseline(
        reason=reason, model=run.model, prompt=run.prompt, dataset=golden.digest, rules=rules(run.feature),
        adversarial={r.spec.name: key(r.spec) for r in runs if r.kind == "adversarial"},
        cases={r.spec.name: mark(r) for r in runs if r.kind == "golden"},
    )  # fmt: skip
    seal = sealed(held)
    head = held.model_copy(update={"seal": seal}).model_dump(exclude_none=True)
    lines = ",\n".join(f"    {told(name)}: {told(kept)}" for name, kept in head.pop("cases").items())
    top = "".join(f"  {told(name)}: {told(value)},\n" for name, value in head.items())
    place = quality.path(run.feature.folder, run.tier)
    files.write_atomic(place, f'{{\n{top}  "cases": {{\n{lines}\n  }}\n}}\n')
    changelog.add(run.feature, label(run.tier), seal, reason)
    return place


def rules(feature: Feature) -> dict[str, dict[str, Any]]:
    """What decides whether an answer or a change is let through."""
    return feature.spec.model_dump(mode="json", include={"gate", "guard"})


def moved(base: Baseline, feature: Feature) -> list[str]:
    """The rules that are others now than when the run was accepted."""
    now = rules(feature)
    pairs = [(part, key, old) for part, held in base.rules.items() for key, old in held.items()]
    moves = [(f"[{part}] {key}", old, now[part].get(key)) for part, key, old in pairs]
    return [f"{name}: {old} -> {new}" for name, old, new in moves if old != new]


def told(value: object) -> str:
    """A value as JSON in one line."""
    return json.dumps(value, ensure_ascii=False)


def mark(run: CaseRun) -> Mark:
    """What is kept of one case."""
    given = run.outcome
    return Mark(
        score=run.score, key=key(run.spec), said=given.words[:SAID],
        tokens=given.tokens, usd=given.cost_usd, parts=given.parts,
    )  # fmt: skip


def key(spec: CaseSpec) -> str:
    """The name of a case's content: what is asked, what is expected, and what decides how it is judged."""
    about = spec.metadata.model_dump(exclude_defaults=True, exclude={"origin"})
    content = [spec.inputs, about, spec.expected_output.model_dump(exclude_defaults=True), spec.is_incident]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:10]


def marks(run: FeatureRun, base: Baseline | None) -> tuple[dict[str, Mark], list[str]]:
    """What was accepted of each golden case of a run, by its present name; and the accepted ones now gone."""
    held = base.cases if base else {}
    pairs, gone = paired({name: mark.key for name, mark in held.items()}, [r.spec for r in run.of("golden")])
    return {name: held[before] for name, before in pairs.items()}, gone


def paired(held: dict[str, str], specs: list[CaseSpec]) -> tuple[dict[str, str], list[str]]:
    """Which accepted case each present one is, by name; and the accepted ones that nothing is any more.

    `held` are keys by name. A case counts as the same while its content is, whatever its name.
    """
    present = {spec.name for spec in specs}
    left = {content: name for name, content in held.items() if content and name not in present}
    found = {}
    for spec in specs:
        content = key(spec)
        if held.get(spec.name) in ("", content):
            found[spec.name] = spec.name
        elif content in left:
            found[spec.name] = left.pop(content)
    return found, sorted(set(held) - set(found.values()))
