"""The runs before this one: a line each in history.jsonl, which CI keeps from run to run."""

from contextlib import suppress
from pathlib import Path

from pydantic import Field, ValidationError

from app import files

NAME, KEPT = "history.jsonl", 500
Number = Field(default=None, allow_inf_nan=False)


class Point(files.Strict):
    """One feature in one run: mean score, medians of tokens and dollars, p95 of latency, what it ran with."""

    score: float | None = Number
    tokens: float | None = Number
    usd: float | None = Number
    p95_ms: float | None = Number
    pins: str = ""


class Run(files.Strict):
    """One run; `at` is ISO 8601 in UTC."""

    at: str
    passed: bool
    features: dict[str, Point]


def read(place: Path) -> tuple[list[Run], int]:
    """Every run that the file holds, the oldest first, and how many lines are no run and left out."""
    runs, lines = [], [line for line in text(place).splitlines() if line.strip()]
    for line in lines:
        with suppress(ValidationError):
            runs.append(Run.model_validate_json(line))
    return runs, len(lines) - len(runs)


def add(place: Path, run: Run) -> None:
    """Put a run at the end, and keep the last of them."""
    lines = [*text(place).splitlines(), run.model_dump_json()]
    files.write_atomic(place, "\n".join(lines[-KEPT:]) + "\n")


def text(place: Path) -> str:
    """The file as text, whatever happened to it; nothing without one."""
    return place.read_text(encoding="utf-8", errors="replace") if place.exists() else ""
