"""What a person at a terminal sees of the gate: verdicts, what runs now, and the exit code they mean."""

import typer
from rich.console import Console

from app.features import Feature
from app.services import Plan
from gate import report
from gate.errors import UnknownFeature
from gate.judge import Verdict

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
        out.print(
            f"{verdict.feature:<12} {verdict.part:<11} {word}  {verdict.said}",
            highlight=False,
            soft_wrap=True,
        )
        if verdict.word != "PASS":
            for line in verdict.lines[:10]:
                out.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)


def finish(plan: Plan, verdicts: list[Verdict], failed: list[str] | None = None) -> None:
    """Print the verdicts and end with the exit code that they mean."""
    show(verdicts)
    folder = plan.settings.var_dir / report.FOLDER
    if verdicts:
        out.print(f"report: {(folder / 'report.html').as_posix()}", highlight=False)
    stopped = [*(failed or []), *(f"{v.feature} {v.part}" for v in verdicts if v.stops)]
    if any(verdict.word == "INCONCLUSIVE" for verdict in verdicts):
        out.print("inconclusive: if the change is right, say so: uv run gate accept FEATURE --reason '...'")
    if stopped:
        out.print(f"[red]gate: no[/] ({', '.join(stopped)})", highlight=False)
        raise typer.Exit(1)
    out.print("[green]gate: yes[/]", highlight=False)
