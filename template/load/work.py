"""What a load program is told to ask, and what it saw: the two files that it reads and writes."""

import os
import random
import string
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter

from app.files import Strict

HERE = Path(__file__).parent
WORK = Path("var/load/work.json")


class Route(Strict):
    """A feature to be asked. `text` is the field whose text gets a mark, so that no cache knows it."""

    feature: str
    inputs: list[dict[str, Any]] = Field(min_length=1)
    text: str
    slow_ms: int
    error_rate: float
    searches: bool


class Work(Strict):
    """Everything that a program is told. `repeat` is the share of questions that get no mark; no `url` is our own app."""

    seconds: int
    users: int
    repeat: float = 0
    url: str = ""
    routes: list[Route] = []


class Seen(Strict):
    """What was seen of one route asked in one way: whole, as a stream, or its search alone.

    Times in ms, of requests that were served or failed by the app's fault; `by_second` holds the p95 of each second.
    """

    feature: str
    way: str
    requests: int = Field(ge=0)
    errors: int = Field(ge=0)
    slow: int = Field(ge=0)
    refused: int = Field(ge=0)
    cached: int = Field(ge=0)
    per_s: float = Field(ge=0)
    p50_ms: float
    p95_ms: float
    p99_ms: float
    first_p50_ms: float | None = None
    first_p95_ms: float | None = None
    said: dict[str, int] = {}
    by_second: list[float | None] = []


SEEN = TypeAdapter(list[Seen])


def given(one: Route, repeat: float) -> dict[str, Any]:
    """An input, most often with a mark of letters behind its text that no other has."""
    chosen = random.choice(one.inputs)  # noqa: S311  # no secret
    if not one.text or random.random() < repeat:  # noqa: S311
        return chosen
    mark = "".join(random.choices(string.ascii_lowercase, k=10))  # noqa: S311
    return {**chosen, one.text: f"{chosen.get(one.text, '')} ({mark})"}


def read() -> Work:
    """What to ask; by hand it is what `gate load` wrote last."""
    path = Path(os.environ.get("LOAD_WORK", WORK))
    if not path.exists():
        raise SystemExit(f"{path}: is missing; run this first: uv run gate load")
    return Work.model_validate_json(path.read_text(encoding="utf-8"))
