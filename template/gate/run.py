"""Run cases through the real pipeline, with nothing replaced but the database."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_evals import Case, Dataset
from pydantic_evals.evaluators import Evaluator, EvaluatorContext

from app import pipeline, scorers, services, settings
from app.ask import Ask
from app.errors import AppError
from app.features import Feature
from app.passages import Passage
from app.scorers import Expected, Outcome
from app.services import Plan, Services
from gate import cases, replay
from gate.cases import CaseSet, CaseSpec, Kind, Metadata
from gate.errors import GateError
from gate.replay import Tape

CONCURRENCY = 16


@dataclass(frozen=True)
class CaseRun:
    """One case with what came of it. `checks` holds a score from 0 to 1 for each thing looked at."""

    kind: Kind
    spec: CaseSpec
    outcome: Outcome
    checks: dict[str, float]

    @property
    def score(self) -> float:
        """The case's score, from 0 to 1."""
        return round(scorers.total(self.checks), 6)

    @property
    def failed(self) -> list[str]:
        """The checks that are not fully right."""
        return [name for name, value in self.checks.items() if value < 1]


@dataclass(frozen=True)
class FeatureRun:
    """All cases of one feature, and what they were run against."""

    feature: Feature
    sets: list[CaseSet]
    runs: list[CaseRun]
    model: str
    prompt: str
    seconds: float
    tier: str = ""

    def of(self, kind: Kind) -> list[CaseRun]:
        """The runs of one kind."""
        return [run for run in self.runs if run.kind == kind]


@dataclass
class Checks(Evaluator[CaseSpec, Any, Metadata]):
    """Every deterministic check of app.scorers as scores of the report."""

    def evaluate(self, ctx: EvaluatorContext[CaseSpec, Any, Metadata]) -> dict[str, float]:
        """Score one case."""
        return scorers.score(Expected.model_validate(ctx.expected_output), ctx.output)


def everything(
    features: list[Feature],
    kinds: list[Kind],
    plan: Plan,
    tell: Callable[[str], None],
    tier: str = "",
    tape: Tape | None = None,
) -> list[FeatureRun]:
    """Run the cases of some features, on one tier alone if it is named; no `tape`: replay.

    Raises BadCases before the first call if a file is wrong, GateError for a tier that no model has.
    """
    if tier and not plan.registry.in_tiers([tier]):
        known = ", ".join(sorted({model.tier for model in plan.registry.models.values()}))
        raise GateError(f"no model has tier '{tier}' in models.toml (known: {known})")
    wanted = [(f, [cases.load(f, kind) for kind in kinds]) for f in features]
    return asyncio.run(evaluate(wanted, plan, tell, tier, tape or Tape(plan)))


def gate_plan() -> Plan:
    """The project's own plan on a database of its own, without keys, limits or a shared cache."""
    config = settings.load()
    url = f"sqlite+aiosqlite:///{(config.var_dir / 'gate.db').as_posix()}"
    update = {"auth": "open", "database_url": url, "cache_url": "", "rate_per_minute": 10**9}
    return services.plan(config.model_copy(update=update))


async def evaluate(
    wanted: list[tuple[Feature, list[CaseSet]]],
    plan: Plan,
    tell: Callable[[str], None],
    tier: str,
    tape: Tape,
) -> list[FeatureRun]:
    """One feature after the other, the cases of each at once."""
    found = []
    async with replay.start(plan, tape) as held:
        for feature, sets in wanted:
            tell(f"{feature.name}: {sum(len(s.cases) for s in sets)} cases")
            started = time.perf_counter()
            runs = [run for group in sets for run in await run_set(held, feature, group, tier)]
            prompt = feature.prompts[runs[0].outcome.prompt or feature.spec.prompt] if runs else None
            model = model_pin(plan, runs)
            label = f"{prompt.version}@{prompt.digest}" if prompt else ""
            seconds = time.perf_counter() - started
            found.append(FeatureRun(feature, sets, runs, model, label, seconds, tier))
    return found


def model_pin(plan: Plan, runs: list[CaseRun]) -> str:
    """The pins of the models that really answered."""
    names = sorted({run.outcome.model for run in runs if run.outcome.model})
    return ", ".join(plan.registry.models[name].pin for name in names) or "none"


async def run_set(held: Services, feature: Feature, group: CaseSet, tier: str) -> list[CaseRun]:
    """Run one file of cases; a case that crashes the pipeline is the gate's failure, not the model's."""

    async def task(spec: CaseSpec) -> Outcome:
        replay.CASE.set((replay.place(feature, group.kind, tier), spec.name))
        return await outcome(held, feature, spec, tier)

    dataset = Dataset[CaseSpec, Any, Metadata](
        name=f"{feature.name} {group.kind}",
        cases=[
            Case(name=c.name, inputs=c, metadata=c.metadata, expected_output=c.expected_output)
            for c in group.cases
        ],
        evaluators=[Checks()],
    )
    report = await dataset.evaluate(task, max_concurrency=CONCURRENCY, progress=False)
    if report.failures:
        worst = report.failures[0]
        raise GateError(f"{feature.name}: case '{worst.name}' crashed: {worst.error_message}")
    specs = {spec.name: spec for spec in group.cases}
    return [
        CaseRun(group.kind, specs[done.name], done.output, checks(done.name, done.scores))
        for done in sorted(report.cases, key=lambda done: list(specs).index(done.name))
    ]


def checks(name: str, scores: dict[str, Any]) -> dict[str, float]:
    """The scores as numbers; a score outside 0 to 1 is a defect of the scorer."""
    found = {key: float(result.value) for key, result in scores.items()}
    wrong = [key for key, value in found.items() if not 0 <= value <= 1]
    if wrong or not found:
        raise GateError(f"case '{name}': scorer {', '.join(wrong) or '(none)'} gave no number from 0 to 1")
    return found


async def outcome(held: Services, feature: Feature, spec: CaseSpec, tier: str) -> Outcome:
    """Ask the pipeline as a client would; an error that a client would see is an outcome too."""
    planted = tuple(Passage(page, page, page, text) for page, text in spec.metadata.documents.items())
    try:
        given = feature.Input.model_validate(spec.inputs)
        answer = await pipeline.answer(held, Ask(feature, given, planted=planted, tier=tier))
    except ValidationError as error:
        return Outcome("invalid", detail=str(error))
    except AppError as error:
        return Outcome(error.code, detail=str(error))
    row = answer.row
    return Outcome(
        "ok", answer.said, list(row.flags), row.input_tokens + row.output_tokens,
        None if row.cost_usd is None else float(row.cost_usd), row.latency_ms, row.model, row.prompt,
    )  # fmt: skip
