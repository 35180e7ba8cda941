"""uv run ops ...: look after the repository and the machines it runs on."""

from typing import Annotated

import typer
from rich.console import Console

from ops import update as updates
from ops.errors import OpsError

cli = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
out, err = Console(), Console(stderr=True)


def main() -> None:
    """Entry point: what was not done ends in one message."""
    try:
        cli()
    except OpsError as error:
        err.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@cli.callback()
def ops() -> None:
    """Look after the repository and the machines it runs on."""


@cli.command()
def update(
    to: Annotated[str, typer.Option(help="a version of the template; the newest if empty")] = "",
) -> None:
    """Merge the template's news into this repository; your own folders are left alone."""
    updates.update(to, lambda said: out.print(said, highlight=False))
