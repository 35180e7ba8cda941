"""uv run ops rollout ...: bring a prompt or a tier to all requests, by steps that its numbers decide."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.progress_bar import ProgressBar
from rich.table import Table

from app.cli_flags import who
from app.cli_tenant import out, with_database

if TYPE_CHECKING:
    from app.ledger import Trial

cli = typer.Typer(no_args_is_help=True, help="Bring a prompt or a tier to all requests, by steps.")
Which = Annotated[str, typer.Argument(help="the feature, or a rollout's id")]
Reason = Annotated[str, typer.Option(help="why; kept with the step")]


@cli.command()
def start(
    feature: str,
    prompt: Annotated[str, typer.Option(help="a version in prompts/")] = "",
    tier: Annotated[str, typer.Option(help="a tier of config/models.toml")] = "",
) -> None:
    """Begin: gate, shadow, 5, 25, 50, 100 %. A worker takes the steps, and takes the candidate back."""
    from app import releases, services, settings

    plan = services.plan(settings.load())
    release = f"{prompt}/{tier}" if tier else prompt
    found, notes = with_database(lambda engine, _: releases.begin(engine, plan, feature, release, who()))
    out.print(f"{found.id}: {found.state}, {release}")
    for note in notes:
        out.print(note, style="yellow", soft_wrap=True)
    out.print(f"look: uv run ops rollout status {feature}    stop: uv run ops rollout stop {feature}")


@cli.command()
def status(which: Annotated[str, typer.Argument(help="a feature or an id; else all open")] = "") -> None:
    """Where rollouts are, the numbers so far, and the reason in words."""
    from app import alerts, releases, trials

    open_ = [] if which else with_database(lambda engine, _: trials.every(engine, ended=False))
    listed = [find(which, "rollout")] if which else [one for one in open_ if one.kind == "rollout"]
    for trial in listed:
        show(trial)
        for line in with_database(lambda engine, _, trial=trial: releases.findings(engine, trial)):
            out.print(f"  {line}", soft_wrap=True)
        table = Table("time (UTC)", "who", "step", "why", box=box.SIMPLE)
        for event in with_database(lambda engine, _, trial=trial: trials.events(engine, trial.id)):
            table.add_row(alerts.when(event.at)[:19], event.actor, event.what, event.said)
        out.print(table)
    if not listed:
        out.print("no rollout is open; begin one: uv run ops rollout start FEATURE --prompt VERSION")
    for one in open_:
        if one.kind != "rollout":
            out.print(f"{one.id} is an {one.kind}: uv run ops {one.kind} status {one.feature}")


def find(which: str, kind: str) -> "Trial":
    """The last trial of a feature, or one by its id; raise Invalid where it is of the other kind."""
    from app import trials
    from app.errors import Invalid

    found: Trial = with_database(lambda engine, _: trials.find(engine, which))
    if found.kind != kind:
        raise Invalid(f"{found.id} is no {kind}; look: uv run ops {found.kind} status {found.id}")
    return found


def show(trial: "Trial") -> None:
    """One rollout in a line, with a bar, and the reason below it."""
    from app import trials

    row = Table.grid(padding=(0, 2))
    row.add_row(
        f"{trial.feature} -> {trials.release(trial)}", trial.state, f"{trial.percent} %",
        ProgressBar(total=100, completed=trial.percent, width=30), trial.id,
    )  # fmt: skip
    out.print(row)
    out.print(trial.said, style="dim", soft_wrap=True)


@cli.command()
def stop(which: Which, reason: Reason = "stopped by hand") -> None:
    """Take the candidate back at once: all requests go to the stable version."""
    moved(which, "stopped", reason)


@cli.command()
def promote(which: Which, reason: Annotated[str, typer.Option(help="why, before the numbers")]) -> None:
    """Take the next step on a person's word, where the traffic is too little for numbers."""
    moved(which, "next", reason)


def moved(which: str, state: str, reason: str) -> None:
    """Take one step by hand."""
    from app import releases, services, settings

    plan, name = services.plan(settings.load()), find(which, "rollout").id
    trial, step = with_database(lambda engine, _: releases.by_hand(engine, plan, name, state, reason, who()))
    out.print(f"{trial.id}: {step.state}, {step.percent} %")
    for line in releases.advice(trial, step):
        out.print(line)
