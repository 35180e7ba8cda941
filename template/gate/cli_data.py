"""Commands that write cases, recordings and labels: what the gate judges by."""

import asyncio
from itertools import product
from typing import Annotated, Literal, get_args

import typer

from app.cli_tenant import with_database
from app.features import Feature
from app.scorers import Expected
from gate import cases, changelog, entry, grader, replay, run, suites
from gate.errors import GateError, NoIncident
from gate.screen import Names, chosen, out, taped, tell

case = typer.Typer(no_args_is_help=True, help="The cases of a feature, and why they are as they are.")
Asked = Annotated[str, typer.Option(prompt=True)]
Again = Annotated[bool, typer.Option("--all", help="also what is recorded already")]
Left = Annotated[float, typer.Option(help="no call that could cost more than is left")]
Tier = Annotated[str, typer.Option(help="this tier of models alone")]
Words = Annotated[list[str] | None, typer.Option(help="field=value, once a field; a;b where it is a list")]


def add_to(cli: typer.Typer) -> None:
    """Put these commands on the gate's command line."""
    cli.add_typer(case, name="case")
    cli.command("incident")(take)
    cli.command()(record)
    cli.command()(judge)


@case.command()
def add(
    feature: str, name: Asked, family: Asked, language: Asked, origin: Asked,
    kind: Literal["golden", "adversarial"] = "golden", input: Words = None, expect: Words = None,
) -> None:  # fmt: skip
    """Append a case to golden.yaml or adversarial.yaml; what no option says is asked."""
    found = chosen(run.gate_plan(), [feature])[0]
    metadata = {"family": family, "language": language, "origin": origin}
    told = {"name": name, "inputs": entry.fields(found.Input, input), "metadata": metadata}
    typer.echo(entry.add(found, kind, told | {"expected_output": entry.fields(Expected, expect)}))


def take(id: str, family: str = "incident", expect: Words = None) -> None:
    """Turn a recorded bad answer, or all of an incident, into adversarial cases; say what was wrong."""
    from gate import incident

    found = with_database(lambda engine, _: incident.recorded(engine, id))
    feature, wanted = chosen(run.gate_plan(), [found[0][0].feature])[0], entry.fields(Expected, expect)
    faults = []
    for result, row in found:
        try:
            made = incident.case(feature, result, row, family, wanted)
            typer.echo(entry.add(feature, "adversarial", made))
        except NoIncident as error:  # of an incident's requests some may not show what was wrong
            faults.append(error)
    if len(faults) == len(found):
        raise faults[0]
    typer.echo("Read it before you commit it: names and addresses have no form by which they could be found.")


@case.command()
def note(feature: str, why: str) -> None:
    """Say in the feature's CHANGELOG.md why its cases have changed."""
    found = chosen(run.gate_plan(), [feature])[0]
    for group in [cases.load(found, kind) for kind in cases.KINDS]:
        if changelog.unexplained(found, group):
            changelog.add(found, group.kind, group.digest, why)


def record(features: Names = None, again: Again = False, max_usd: Left = 1.0, tier: Tier = "") -> None:
    """Ask hosted models for the answers that no recording holds, and drop those that no case asks for."""
    plan = run.gate_plan()
    found = chosen(plan, features)
    read(found)
    with taped(plan, "record", max_usd) as tape:
        tape.again = again
        asyncio.run(grader.record(plan, found, tape))
        run.everything(found, cases.KINDS, plan, tell, tier, tape)
        if not tier:
            suites.attack(found, plan, tape)
        sets = [*product(get_args(cases.Kind), [tier]), ("labels", "")]
        tape.drop(replay.place(one, *group) for one in found for group in sets)


def read(wanted: list[Feature]) -> None:
    """Read all cases and suites before any of them costs anything; raise BadCases."""
    for feature, kind in product(wanted, cases.KINDS):
        cases.load(feature, kind)
    suites.read()


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
