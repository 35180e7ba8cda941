"""Commands that write cases, recordings and labels: what the gate judges by."""

import asyncio
from typing import Annotated

import typer

from gate import grader, replay, run, suites
from gate.cases import Kind
from gate.errors import GateError
from gate.replay import Tape
from gate.screen import chosen, out, tell

KINDS: list[Kind] = ["golden", "adversarial"]


def add_to(cli: typer.Typer) -> None:
    """Put these commands on the gate's command line."""
    cli.command()(record)
    cli.command()(judge)


def record(
    features: Annotated[list[str] | None, typer.Argument(help="all of them if none is named")] = None,
    again: Annotated[bool, typer.Option("--all", help="also what is recorded already")] = False,
    max_usd: Annotated[float, typer.Option(help="no call that could cost more than is left")] = 1.0,
    tier: Annotated[str, typer.Option(help="this tier of models alone")] = "",
) -> None:
    """Ask hosted models for the answers that no recording holds, and drop those that no case asks for."""
    plan = run.gate_plan()
    tape = Tape(plan, "record", max_usd)
    if again:
        tape.kept.clear()
    found = chosen(plan, features)
    for feature in found:
        for kind in (*KINDS, "safety"):
            tape.used[replay.place(feature, kind, tier)].clear()
    try:
        asyncio.run(grader.record(plan, found, tape))
        run.everything(found, KINDS, plan, tell, tier, tape)
        if not tier:
            suites.attack(found, plan, tape)
    finally:
        out.print(f"{tape.calls} calls, ${tape.spent_usd:.4f}", highlight=False)


def judge(feature: str) -> None:
    """Compare a feature's judge with a person's labels: the table, and Cohen's kappa with its interval."""
    plan = run.gate_plan()
    found = chosen(plan, [feature])[0]
    if not found.spec.gate.judge:
        raise GateError(f"{(found.folder / 'feature.toml').as_posix()}: has no [gate.judge]")
    counts, said = asyncio.run(grader.standing(plan, found, found.spec.gate.judge))
    out.print(said, highlight=False, markup=False, soft_wrap=True)
    out.print(f"the judge {'counts' if counts else 'does not count'} in the gate", highlight=False)
    raise typer.Exit(0 if counts else 1)
