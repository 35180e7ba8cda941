"""Commands that write cases, recordings and labels: what the gate judges by."""

import typer


def add_to(cli: typer.Typer) -> None:
    """Put these commands on the gate's command line."""
