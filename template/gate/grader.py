"""A model as a judge of answers, by a feature's own rubric; it counts only while it agrees with a person.

Cohen, A Coefficient of Agreement for Nominal Scales (1960): kappa is the agreement beyond that of chance.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models import Model as Client
from pydantic_ai.settings import ModelSettings

from app import files, prompts, shape
from app.features import Feature
from app.files import Strict
from app.services import Plan
from app.spec import Judge
from gate import cases, replay, stats
from gate.errors import BadCases, GateError, NotRecorded
from gate.replay import Tape

LIMITS = ModelSettings(max_tokens=200, temperature=0)


class Verdict(Strict):
    """What a judge replies."""

    reason: str
    good: bool


class Label(Strict):
    """An answer with a person's word on it."""

    name: str
    inputs: dict[str, Any]
    answer: str
    good: bool


class Labels(Strict):
    """The content of labels.yaml."""

    cases: list[Label] = Field(min_length=1)


@dataclass(frozen=True)
class Agreement:
    """Pairs of a person's word and the judge's on the same answers."""

    pairs: list[tuple[bool, bool]]
