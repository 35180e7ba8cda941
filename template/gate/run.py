"""Run cases through the real pipeline, with nothing replaced but the database."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from pydantic_evals import Case, Dataset
from pydantic_evals.evaluators import Evaluator, EvaluatorContext
from pydantic_evals.reporting import ReportCase

from app import features, scorers, services, settings
from app.errors import TiersExhausted
from app.features import Feature
from app.services import Plan, Services
from app.spec import Judge
from app.tiers import InvalidOutput
from gate import attempt, cases, grader, replay
from gate.cases import CaseSet, CaseSpec, Kind
from gate.errors import GateError
from gate.replay import Tape
from load import local

CONCURRENCY = 16
Tell = Callable[[str], None]


@dataclass(frozen=True)
class CaseRun:
    """One case with what came of it. `checks` holds a score from 0 to 1 for each thing looked at.

    Of a case that was run more than once, `outcome` is the worst, `checks` are means, `tries` all scores and
    `outcomes` all answers.
    """

    kind: Kind
    spec: CaseSpec
    outcome: scorers.Outcome
    checks: dict[str, float]
    tries: tuple[float, ...] = ()
    outcomes: tuple[scorers.Outcome, ...] = ()

    @property
    def score(self) -> float:
        """The case's score, from 0 to 1."""
        return round(fmean(self.tries or [scorers.total(self.checks)]), 6)

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

    @property
    def exact(self) -> bool:
        """Whether the model answers the same twice: then any loss is the change's own."""
        return self.feature.spec.gate.repeats == 1

    def of(self, kind: Kind) -> list[CaseRun]:
        """The runs of one kind."""
        return [run for run in self.runs if run.kind == kind]


@dataclass
class Checks(Evaluator[CaseSpec, Any, Any]):
    """Every deterministic check of app.scorers as scores of the report."""

    def evaluate(self, ctx: EvaluatorContext[CaseSpec, Any, Any]) -> dict[str, float]:
        """Score one case."""
        return scorers.score(scorers.Expected.model_validate(ctx.expected_output), ctx.output)


def everything(
    wanted: list[Feature], kinds: list[Kind], plan: Plan, tell: Tell, tier: str = "", tape: Tape | None = None
) -> list[FeatureRun]:
    """Run the cases of some features, on one tier alone if it is named; no `tape`: replay.

    Raises BadCases before the first call if a file is wrong, GateError for a tier that no model has.
    """
    if tier and not plan.registry.in_tiers([tier]):
        known = ", ".join(sorted(plan.registry.tiers))
        raise GateError(f"no model has tier '{tier}' in models.toml (known: {known})")
    sets = [(features.uncached(f), [cases.load(f, kind) for kind in kinds]) for f in wanted]
    return asyncio.run(evaluate(sets, plan, tell, tier, tape or Tape(plan)))


def gate_plan() -> Plan:
    """The project's own plan on a database and index of its own, without keys, limits or a shared cache."""
    config = settings.load()
    url = f"sqlite+aiosqlite:///{(config.var_dir / 'gate.db').as_posix()}"
    own = {"database_url": url, "cache_url": "", "flags_file": config.var_dir / "no-flags.json"}
    return services.plan(config.model_copy(update=local.ALONE | own))


async def evaluate(
    wanted: list[tuple[Feature, list[CaseSet]]], plan: Plan, tell: Tell, tier: str, tape: Tape
) -> list[FeatureRun]:
    """One feature after the other, the cases of each at once."""
    golden = [feature for feature, sets in wanted if any(group.kind == "golden" for group in sets)]
    judges = {feature.name: await counted(plan, feature, tell) for feature in golden}
    found = []
    async with replay.start(plan, tape) as held:
        for feature, sets in wanted:
            tell(f"{feature.name}: {sum(len(s.cases) for s in sets)} cases")
            started = time.perf_counter()
            judge = judges.get(feature.name)
            runs = [run for group in sets for run in await run_set(held, feature, group, tier, judge)]
            prompt = feature.prompts[runs[0].outcome.prompt or feature.spec.prompt] if runs else None
            label = f"{prompt.version}@{prompt.digest}" if prompt else ""
            seconds = time.perf_counter() - started
            found.append(FeatureRun(feature, sets, runs, model_pin(plan, runs), label, seconds, tier))
    return found


async def counted(plan: Plan, feature: Feature, tell: Tell) -> Judge | None:
    """The feature's judge, if it agrees with a person often enough; says so if it does not."""
    rules = feature.spec.gate.judge
    if rules is None:
        return None
    counts, said = await grader.standing(plan, feature, rules)
    tell(f"{feature.name}: the judge {'counts' if counts else 'does not count'}: {said.splitlines()[-1]}")
    return rules if counts else None


def model_pin(plan: Plan, runs: list[CaseRun]) -> str:
    """The pins of the models that really answered."""
    names = sorted({run.outcome.model for run in runs if run.outcome.model})
    return ", ".join(plan.registry.models[name].pin for name in names) or "none"


async def run_set(
    held: Services, feature: Feature, group: CaseSet, tier: str, judge: Judge | None
) -> list[CaseRun]:
    """Run one file of cases; a case that crashes the pipeline is the gate's failure, not the model's."""
    takes, place = Counter[str](), replay.place(feature, group.kind, tier)

    async def task(spec: CaseSpec) -> scorers.Outcome:
        replay.CASE.set((place, spec.name, takes[spec.name]))
        takes[spec.name] += 1
        given = await attempt.outcome(held, feature, spec, tier)
        if judge is None or group.kind != "golden" or given.code != "ok":
            return given
        replay.CASE.set((place, spec.name, 0))  # the same answer is graded once
        client = held.clients[judge.model]
        return replace(given, grade=await grader.grade(client, judge, spec.inputs, given.words))

    listed = [Case(name=c.name, inputs=c, expected_output=c.expected_output) for c in group.cases]
    dataset = Dataset[CaseSpec, Any, Any](name=group.kind, cases=listed, evaluators=[Checks()])
    repeats = feature.spec.gate.repeats
    report = await dataset.evaluate(task, max_concurrency=CONCURRENCY, progress=False, repeat=repeats)
    tries: dict[str, list[ReportCase[CaseSpec, Any, Any]]] = {spec.name: [] for spec in group.cases}
    faults = [(one.source_case_name or one.name, f"crashed: {one.error_message}") for one in report.failures]
    for done in report.cases:
        name = done.source_case_name or done.name
        tries[name].append(done)
        wrong = [f"{key} gave {s.value}" for key, s in done.scores.items() if not 0 <= s.value <= 1]
        wrong += [failure.error_message for failure in done.evaluator_failures]
        faults += [(name, f"scorer: {fault}; see app/scorers.py") for fault in wrong]
    if faults:
        raise GateError(f"{cases.place(feature, group.kind, faults[0][0])}: {faults[0][1]}")
    found = [joined(group.kind, spec, tries[spec.name]) for spec in group.cases]
    if group.kind == "golden" and all(is_dumb(r.outcome) for r in found):
        what = f"no model answered any of {len(found)} golden cases: {found[0].outcome.detail}"
        raise GateError(f"{feature.folder.as_posix()}/golden.yaml: {what}; is the model of models.toml up?")
    return found


def is_dumb(outcome: scorers.Outcome) -> bool:
    """Whether no model said a word: that is no bad answer, it is none."""
    return outcome.code == TiersExhausted.code and InvalidOutput.__name__ not in outcome.detail


def joined(kind: Kind, spec: CaseSpec, tries: list[ReportCase[CaseSpec, Any, Any]]) -> CaseRun:
    """All tries of one case as one."""
    scored = [({key: float(s.value) for key, s in t.scores.items()}, t.output) for t in tries]
    scored.sort(key=lambda one: scorers.total(one[0]))
    found, given = [one[0] for one in scored], [one[1] for one in scored]
    means = {name: fmean(one.get(name, 1.0) for one in found) for name in found[0]}
    spent = [one.cost_usd for one in given if one.cost_usd is not None]
    tokens = round(fmean(one.tokens for one in given))
    worst = replace(given[0], tokens=tokens, cost_usd=fmean(spent) if spent else None)
    return CaseRun(kind, spec, worst, means, tuple(map(scorers.total, found)), tuple(given))
