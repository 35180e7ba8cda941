"""What a load program is told to ask: the file that it reads, and the questions in it."""

import os
import random
import string
from pathlib import Path
from typing import Any

from pydantic import Field

from app.files import Strict

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
    """All that a program is told. `repeat`: the share of questions without a mark; no `url`: our own app."""

    seconds: int
    users: int
    repeat: float = 0
    url: str = ""
    routes: list[Route] = []


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
