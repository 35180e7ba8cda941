"""Commands that measure what no case shows: load, retrieval, safety suites; and the client's page."""

from pathlib import Path
from typing import Annotated

import typer

from app import services, settings
from gate import handover
from gate.screen import out

Days = Annotated[int, typer.Option(min=1, help="how many days it looks back")]
History = Annotated[Path | None, typer.Option(exists=True, help="var/reports/history.jsonl without it")]


def add_to(cli: typer.Typer) -> None:
    """Put these commands on the gate's command line."""
    cli.command("handover")(hand_over)


def hand_over(days: Days = 28, history: History = None) -> None:
    """Write the client's page: scores, speed, cost, incidents and what became better, in plain words."""
    place = handover.write(services.plan(settings.load()), days, history)
    out.print(f"for the client: {place.as_posix()}", highlight=False, soft_wrap=True)
