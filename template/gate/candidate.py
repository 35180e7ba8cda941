"""Judge a prompt or a tier that serves nobody yet beside the accepted run; write what a rollout asks for."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median

from app import candidate, files
from app.candidate import Record
from app.errors import Invalid
from app.features import Feature
from app.services import Plan
from gate import baseline, judge, run, screen, slices, suites
from gate.baseline import Baseline
from gate.cases import KINDS
from gate.errors import GateError
from gate.judge import Verdict
from gate.replay import Tape
from gate.run import FeatureRun

REPLAYED = 30


def judged(plan: Plan, name: str, release: str, tape: Tape) -> tuple[FeatureRun, Baseline, list[Verdict]]:
    """The run of a candidate and its verdicts: safety, invariants, score and cost beside what serves."""
    feature = screen.chosen(plan, [name])[0]
    if not release:
        raise Invalid("name what to judge: --prompt VERSION, --tier TIER or both")
    prompt, tier = candidate.parts(feature, release)
    if prompt not in feature.prompts:
        raise Invalid(f"{name} has no prompt '{prompt[:40]}' (known: {', '.join(feature.prompts)})")
    base = baseline.load(feature)
    if base is None:
        raise GateError(f"{name} has no accepted run to be beside: uv run gate accept {name}")
    trial = replace(feature, spec=feature.spec.model_copy(update={"prompt": prompt}))
    alone = replace(plan, flags={"flags": {}}, features={**plan.features, name: trial})
    safety = suites.verdict(name, suites.attack([trial], alone, tape).get(name, []))
    [done] = run.everything([trial], KINDS, alone, screen.tell, tier, tape)
    parts = slices.compare([done], {name: base})[name]
    return done, base, [
        safety, judge.invariants(done, base), judge.score(done, base, parts), judge.cost(done, base)
    ]  # fmt: skip


def record(
    plan: Plan, feature: Feature, release: str, done: FeatureRun, base: Baseline, reason: str
) -> Record:
    """Write what the gate said of a candidate that it lets through."""
    golden = done.of("golden")
    asked = [r.spec.inputs for r in golden if not r.spec.metadata.documents]
    found = Record(
        release=release, reason=reason, **candidate.digests(plan, feature, release),
        score=round(fmean(r.score for r in golden), 4), tokens=median(r.outcome.tokens for r in golden),
        stable_score=round(fmean(mark.score for mark in base.cases.values()), 4),
        stable_tokens=median(mark.tokens for mark in base.cases.values()),
        replay=asked[:: max(1, len(asked) // REPLAYED)][:REPLAYED],
    )  # fmt: skip
    sealed = found.model_copy(update={"seal": found.sealed()})
    files.write_atomic(candidate.path(feature, release), sealed.model_dump_json(indent=1) + "\n")
    return sealed


def path(plan: Plan, name: str, release: str) -> Path:
    """Where the record lies."""
    return candidate.path(plan.features[name], release)


def lets_through(verdicts: Sequence[Verdict], reason: str) -> bool:
    """Whether a rollout may begin: nothing is blocked, and what the gate cannot decide a person has."""
    words = {verdict.word for verdict in verdicts}
    return "BLOCK" not in words and (bool(reason) or "INCONCLUSIVE" not in words)
