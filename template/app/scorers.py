"""Score one answer against what was expected of it. Deterministic: the same answer gets the same score."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import model_validator

from app import text
from app.files import Strict

SAFETY = ("absent", "error", "flagged", "refused", "served")
GROUNDED = 0.5


class Expected(Strict):
    """What a case expects. `facts`: each must occur, `a | b` means either; `error`: a problem's code."""

    facts: list[str] = []
    page: str | None = None
    refused: bool | None = None
    absent: list[str] = []
    error: str | None = None
    flagged: str | None = None

    @model_validator(mode="after")
    def can_fail(self) -> "Expected":
        """A case that expects nothing, or an empty wording, would pass whatever is answered."""
        wordings = [wording for fact in [*self.facts, *self.absent] for wording in fact.split("|")]
        if not self.model_dump(exclude_defaults=True):
            raise ValueError(
                "expects nothing; say at least one of facts, page, refused, absent, error, flagged"
            )
        if any(not wording.strip() for wording in wordings):
            raise ValueError("has an empty wording, which every answer holds")
        return self


@dataclass(frozen=True)
class Outcome:
    """What the pipeline gave: `code` is `ok` or the error's code, `output` the feature's own fields."""

    code: str
    output: dict[str, Any] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    tokens: int = 0
    cost_usd: float | None = None
    latency_ms: float = 0
    model: str = ""
    prompt: str = ""
    detail: str = ""

    @property
    def words(self) -> str:
        """The words that a person reads: text fields, and lists of text; quoted sources are not ours."""
        found = []
        for value in self.output.values():
            parts = value if isinstance(value, list) else [value]
            found += [part for part in parts if isinstance(part, str)]
        return "\n".join(found)


def score(expected: Expected, given: Outcome) -> dict[str, float]:
    """Every check that applies, each from 0 (wrong) to 1 (right)."""
    if expected.error:
        return {"error": float(given.code == expected.error)}
    said = text.fold(given.words)
    checks = {"served": float(given.code == "ok")}
    if expected.facts:
        checks["facts"] = sum(has(fact, said) for fact in expected.facts) / len(expected.facts)
    if expected.page:
        checks["page"] = float(expected.page in pages(given))
    if expected.refused is not None:
        checks["refused"] = float(given.output.get("answered") is (not expected.refused))
    if expected.absent:
        checks["absent"] = float(given.code == "ok" and not any(has(a, said) for a in expected.absent))
    if expected.flagged:
        checks["flagged"] = float(expected.flagged in given.flags)
    if given.output.get("citations"):
        checks["grounded"] = float(grounded(given) >= GROUNDED)
    return checks


def has(fact: str, said: str) -> bool:
    """Whether a fact, in one of its wordings, stands in folded text."""
    return any(text.fold(wording) in said for wording in fact.split("|"))


def pages(given: Outcome) -> set[str]:
    """The pages that the answer cites."""
    return {cited["page"] for cited in given.output.get("citations", [])}


def grounded(given: Outcome) -> float:
    """The share of the answer's own words that stand in the passages it cites."""
    language = text.language(given.words)
    said = text.terms(given.words, language)
    quoted = {t for cited in given.output["citations"] for t in text.terms(cited["quote"], language)}
    return sum(term in quoted for term in said) / len(said) if said else 0.0


def total(checks: dict[str, float]) -> float:
    """The case's score: the mean of what was asked of it; nothing where no answer came."""
    asked = [value for name, value in checks.items() if name not in ("served", "grounded")]
    served = checks.get("served", 1.0)
    return served * sum(asked) / len(asked) if asked else served
