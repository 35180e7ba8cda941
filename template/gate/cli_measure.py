"""Commands that measure what no case shows: load, retrieval, safety suites; and the client's page."""

import typer


def add_to(cli: typer.Typer) -> None:
    """Put these commands on the gate's command line."""
