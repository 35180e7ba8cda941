"""A model as judge of answers, by a feature's own rubric; it counts only while it agrees with a person.

Cohen, A Coefficient of Agreement for Nominal Scales (1960): kappa is the agreement beyond that of chance.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models import Model as Client
from pydantic_ai.settings import ModelSettings

from app import prompts, shape
from app.features import Feature
from app.files import Strict
from app.services import Plan, Services
from app.spec import Judge
from gate import cases, replay, stats
from gate.errors import GateError

LIMITS = ModelSettings(max_tokens=200, temperature=0)
TABLE = """\
              judge: good  judge: bad
person: good  {3:>11}  {2:>10}
person: bad   {1:>11}  {0:>10}
"""


class Verdict(Strict):
    """What a judge replies."""

    reason: str
    good: bool


class Label(Strict):
    """An answer, and a person's word on it."""

    name: str
    inputs: dict[str, Any]
    answer: str
    good: bool


class Labels(Strict):
    """The content of labels.yaml."""

    cases: list[Label] = Field(min_length=1)


async def standing(plan: Plan, feature: Feature, rules: Judge) -> tuple[bool, str]:
    """Whether a judge counts in the gate, and why: it does while it agrees with labels.yaml.

    The verdicts are the recorded ones: another model, rubric or label has none, and raises NotRecorded.
    """
    async with replay.start(plan, replay.Tape(plan)) as held:
        found = await verdicts(held, feature, rules)
    if not found:
        return False, f"no labels: add {(feature.folder / 'labels.yaml').as_posix()}"
    value, (low, high) = kappa(found), stats.interval(found, kappa)
    said = f"kappa {value:.2f} [{low:.2f}, {high:.2f}] on {len(found)} labels, {rules.min_kappa:.2f} asked"
    table = TABLE.format(*(found.count(code) for code in range(4)))
    return value >= rules.min_kappa and low > 0, table + said


async def record(plan: Plan, features: list[Feature], tape: replay.Tape) -> None:
    """Record the verdicts on all labels: a judge is asked about the cases only once it counts."""
    async with replay.start(plan, tape) as held:
        for feature in features:
            if rules := feature.spec.gate.judge:
                await verdicts(held, feature, rules)


async def verdicts(held: Services, feature: Feature, rules: Judge) -> list[float]:
    """The labelled answers, judged: 2 where the person says good, and 1 more where the judge does."""

    async def code(label: Label) -> float:
        replay.CASE.set((replay.place(feature, "labels"), label.name, 0))
        return 2 * label.good + await grade(held.clients[rules.model], rules, label.inputs, label.answer)

    return await asyncio.gather(*(code(label) for label in labels(feature)))


def labels(feature: Feature) -> list[Label]:
    """Read labels.yaml, where there is one; raise BadCases with every fault in it."""
    path = feature.folder / "labels.yaml"
    return cases.checked(path, Labels)[0].cases if path.exists() else []


async def grade(client: Client, rules: Judge, inputs: dict[str, Any], answer: str) -> float:
    """The judge's word on one answer, 1 or 0; raise GateError where it gives none."""
    given = json.dumps(inputs, ensure_ascii=False, sort_keys=True)
    prompt = prompts.read(Path(__file__).with_suffix(".md"))
    asked = prompt.render({"rubric": rules.rubric, "input": given, "answer": answer})
    request = ModelRequest(parts=[UserPromptPart(asked.user)], instructions=asked.system)
    said = (await model_request(client, [request], model_settings=LIMITS)).text or ""
    try:
        return float(Verdict.model_validate_json(shape.unfence(said)).good)
    except ValidationError as error:
        remedy = "take a model that can reply with JSON alone"
        raise GateError(f"judge '{rules.model}' gave no verdict but {said[:80]!r}; {remedy}") from error


def kappa(codes: list[float]) -> float:
    """Cohen's kappa of such codes; 0 where chance alone would agree on all of them."""
    person = sum(code >= 2 for code in codes) / len(codes)
    judge = sum(code % 2 for code in codes) / len(codes)
    same = sum(code in (0, 3) for code in codes) / len(codes)
    chance = person * judge + (1 - person) * (1 - judge)
    return (same - chance) / (1 - chance) if chance < 1 else 0.0
