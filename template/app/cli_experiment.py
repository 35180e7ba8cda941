"""uv run ops experiment ...: compare variants on real requests; looking often does not spoil the result."""

from typing import Annotated

import typer
from rich import box
from rich.table import Table

from app.cli_flags import who
from app.cli_rollout import find
from app.cli_tenant import out, with_database

cli = typer.Typer(no_args_is_help=True, help="Compare variants of a prompt or a tier on real requests.")
Which = Annotated[str, typer.Argument(help="the feature, or an experiment's id")]


@cli.command()
def start(
    feature: str,
    variant: Annotated[list[str], typer.Option(help="PROMPT, PROMPT/TIER or /TIER; once for each")],
) -> None:
    """Begin: stable and each variant get the same share of the requests."""
    from app import experiments, services, settings

    plan = services.plan(settings.load())
    found = with_database(lambda engine, _: experiments.begin(engine, plan, feature, variant, who()))
    out.print(f"{found.id}: {found.percent} % for each of {', '.join(variant)}")
    out.print(f"look: uv run ops experiment status {feature}")


@cli.command()
def status(which: Which) -> None:
    """Each variant beside stable: quality, cost, time and errors, with intervals, and what is certain."""
    from app import alerts, candidate, experiments

    trial = find(which, "experiment")
    found = with_database(lambda engine, _: experiments.variants(engine, trial))
    out.print(f"{trial.id}: {trial.state}, begun {alerts.when(trial.at)} by {trial.actor}")
    if trial.said:
        out.print(trial.said, style="dim", soft_wrap=True)
    table = Table("variant", "units", "requests", "is", box=box.SIMPLE)
    for one in found:
        table.add_row(one.release, str(one.units), str(one.requests), one.word if one.findings else "-")
    out.print(table)
    for one in found:
        for part in (*one.breaches, *one.findings):
            out.print(f"  {one.release}: {part}", soft_wrap=True)
        if told := experiments.least(one):
            out.print(f"  {one.release}: {told}")
    if best := experiments.winner(found):
        out.print(f"{best.release} is better: uv run ops experiment stop {trial.feature}")
        words = candidate.options(best.release)
        out.print(f"then bring it to all: uv run ops rollout start {trial.feature} {words}")
    else:
        out.print("nothing is certain yet, or nothing is better")


@cli.command()
def stop(which: Which, reason: Annotated[str, typer.Option(help="why; kept")] = "stopped by hand") -> None:
    """End it: all requests go to the stable version again."""
    from app import experiments, services, settings

    plan, name = services.plan(settings.load()), find(which, "experiment").id
    trial = with_database(lambda engine, _: experiments.stop(engine, plan, name, reason, who()))
    out.print(f"{trial.id} is stopped")
