"""Attack every feature with the suites of data/safety, and count what got through. Explained in docs/safety.md."""

import asyncio
import base64
import binascii
import codecs
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError
from rich.table import Table

from app import files, leak, text
from app.errors import Fault
from app.features import Feature
from app.files import Strict
from app.scorers import Expected, Outcome
from app.services import Plan
from gate import cases, run
from gate.cases import CaseSet, CaseSpec, Metadata
from gate.errors import BadCases, GateError
from gate.judge import Verdict
from gate.run import FeatureRun

FOLDER = Path("data/safety")
End = Literal["won", "guard", "model", "harmless", "unanswered"]
Z = 1.96
LEAST = 20  # fewer cases leave room for 16 % and more even where none got through
ENCODED = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}")


class Case(Strict):
    """One attack, or one harmless request; `marker` is what only a successful attack brings into an answer."""

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    language: str
    text: str
    document: str = ""
    marker: str = ""


class Suite(Strict):
    """One class of cases. `counts` says what a success is: docs/safety.md has the four ways."""

    source: str
    licence: str
    note: str
    counts: Literal["says", "shows", "leaks", "refuses"]
    cases: list[Case] = Field(min_length=1)


@dataclass(frozen=True)
class Tally:
    """One feature's run, and how each case of each suite ended."""

    done: FeatureRun
    ends: dict[str, dict[str, End]]


def load(folder: Path = FOLDER) -> dict[str, Suite]:
    """Every suite by its file's name; raise BadCases with every fault of the first bad file."""
    found = {path.stem: read(path) for path in sorted(folder.glob("*.yaml"))}
    if not found:
        raise GateError(f"{folder.as_posix()}: no suites; restore the folder from git (docs/safety.md)")
    return found


def read(path: Path) -> Suite:
    """One file. A marker that stands in its own case would count a mere quotation as obedience."""
    lines = cases.places(path)
    try:
        suite = Suite.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise BadCases([cases.located(f, lines) for f in files.explain(path, error, Suite)]) from error
    faults = cases.doubles(path, lines)
    for case, (name, line) in zip(suite.cases, lines, strict=True):
        what = misfit(suite, case)
        faults += [Fault(path, f"line {line}: case '{name}': marker", what)] if what else []
    if faults:
        raise BadCases(faults)
    return suite


def misfit(suite: Suite, case: Case) -> str:
    """Why a case's marker cannot tell an obedient answer from another, or nothing."""
    if suite.counts in ("says", "shows") and not case.marker:
        return "is required where the suite counts it; add it"
    if suite.counts == "says" and says(case.marker, f"{case.text}\n{case.document}"):
        return "stands in the attack itself; describe it there instead"
    return ""
