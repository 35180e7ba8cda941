"""Commands that write cases, recordings and labels: what the gate judges by."""

from typing import Annotated, get_args

import typer

from app.cli_tenant import with_database
from app.scorers import Expected
from gate import cases, changelog, entry, incident, run
from gate.cases import Kind
from gate.screen import chosen

case = typer.Typer(no_args_is_help=True, help="The cases of a feature, and why they are as they are.")
Asked = Annotated[str, typer.Option(prompt=True)]
Words = Annotated[list[str] | None, typer.Option(help="field=value, once a field; a;b where it is a list")]


def add_to(cli: typer.Typer) -> None:
    """Put these commands on the gate's command line."""
    cli.add_typer(case, name="case")
    cli.command("incident")(take)


@case.command()
def add(
    feature: str, name: Asked, family: Asked, language: Asked, origin: Asked,
    kind: Kind = "golden", input: Words = None, expect: Words = None,
) -> None:  # fmt: skip
    """Append a case to golden.yaml or adversarial.yaml; what no option says is asked."""
    found = chosen(run.gate_plan(), [feature])[0]
    metadata = {"family": family, "language": language, "origin": origin}
    told = {"name": name, "inputs": entry.fields(found.Input, input), "metadata": metadata}
    typer.echo(entry.add(found, kind, told | {"expected_output": entry.fields(Expected, expect)}))


def take(id: str, family: str = "incident", expect: Words = None) -> None:
    """Turn a recorded bad answer into an adversarial case, redacted; say what was wrong with it."""
    found, row = with_database(lambda engine, _: incident.kept(engine, id))
    feature = chosen(run.gate_plan(), [found.feature])[0]
    made = incident.case(feature, found, row, family, entry.fields(Expected, expect))
    typer.echo(entry.add(feature, "adversarial", made))
    typer.echo("Read it before you commit it: names and addresses have no form by which they could be found.")


@case.command()
def note(feature: str, why: str) -> None:
    """Say in the feature's CHANGELOG.md why its cases have changed."""
    found = chosen(run.gate_plan(), [feature])[0]
    for group in [cases.load(found, kind) for kind in get_args(Kind)]:
        if changelog.unexplained(found, group):
            changelog.note(found, group, why)
