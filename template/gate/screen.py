"""What a person at a terminal sees of the gate: verdicts, what runs now, and the exit code they mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from app.features import Feature
from app.services import Plan
from gate import report
from gate.errors import UnknownFeature
from gate.judge import PROJECT, Verdict
from gate.replay import Mode, Tape

Names = Annotated[list[str] | None, typer.Argument(help="features; all of them if none is named")]
out, err = Console(), Console(stderr=True)
STYLES = {"PASS": "green", "BLOCK": "red", "INCONCLUSIVE": "yellow", "NO BASELINE": "yellow"}


def chosen(plan: Plan, names: list[str] | None) -> list[Feature]:
    """The features that were named; raise UnknownFeature with the known ones."""
    for name in names or []:
        if name not in plan.features:
            known = ", ".join(plan.features) or "none"
            raise UnknownFeature(f"no feature '{name}' (known: {known})")
    return [f for f in plan.features.values() if not names or f.name in names]


def tell(what: str) -> None:
    """Say what runs now."""
    err.print(what, highlight=False, style="dim")


def show(verdicts: list[Verdict]) -> None:
    """Print verdicts, and the lines of those that need a look."""
    for verdict in verdicts:
        word = f"[{STYLES[verdict.word]}]{verdict.word}[/]"
        said = f"{verdict.feature:<12} {verdict.part:<11} {word}  {verdict.said}"
        out.print(said, highlight=False, soft_wrap=True)
        if verdict.word != "PASS":
            for line in verdict.lines[:10]:
                out.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def taped(plan: Plan, mode: Mode, max_usd: float) -> Iterator[Tape]:
    """The tape of a run; where hosted models are asked, says in the end what they cost."""
    tape = Tape(plan, mode, max_usd)
    try:
        yield tape
    finally:
        if mode != "replay":
            out.print(f"{tape.calls} calls, ${tape.spent_usd:.4f}", highlight=False)


def finish(plan: Plan, verdicts: list[Verdict], page: str = "report.html") -> None:
    """Print the verdicts and where more can be seen, and end with the exit code that they mean."""
    show([v for v in verdicts if v.feature != PROJECT])  # a step of the project was shown when it ended
    place = plan.settings.var_dir / report.FOLDER / page
    if place.exists():
        out.print(f"report: {place.as_posix()}", highlight=False)
    stopped = [f"{v.feature} {v.part}".removeprefix(f"{PROJECT} ") for v in verdicts if v.stops]
    if any(v.word == "INCONCLUSIVE" and v.part not in report.MEASURED for v in verdicts):
        out.print("inconclusive: if the change is right, say so: uv run gate accept FEATURE --reason '...'")
    if stopped:
        out.print(f"[red]gate: no[/] ({', '.join(stopped)})", highlight=False)
        raise typer.Exit(1)
    out.print("[green]gate: yes[/]", highlight=False)
