"""uv run ops ...: look after the repository and the machines it runs on."""

from typing import Annotated

import typer
from rich.console import Console

from app.errors import AppError
from ops import cli_backup, cli_deploy, cli_release, cli_secrets
from ops import models as locks
from ops import update as updates
from ops.errors import OpsError

cli = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
models = typer.Typer(no_args_is_help=True, help="Pin the models, and check that they are what was pinned.")
cli.add_typer(cli_deploy.cli)
cli.add_typer(models, name="models")
cli.add_typer(cli_secrets.cli, name="secrets")
cli_backup.register(cli)
cli_release.register(cli)
out, err = Console(), Console(stderr=True)


def main() -> None:
    """Entry point: what was not done ends in one message."""
    try:
        cli()
    except (AppError, OpsError) as error:
        err.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(error.exit_code if isinstance(error, OpsError) else 2) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@cli.callback()
def ops() -> None:
    """Look after the repository and the machines it runs on."""


@cli.command()
def update(to: Annotated[str, typer.Option(help="a version; the newest if it is empty")] = "") -> None:
    """Merge the template's news into this repository; your own folders are left alone."""
    updates.update(to, lambda said: out.print(said, highlight=False))


@models.command("lock")
def lock_models() -> None:
    """Hash local weights and write what each model is to config/models.lock."""
    with err.status("hashing"):
        path = locks.lock()
    out.print(f"{path.as_posix()} written; commit it", highlight=False)


@models.command("verify")
def verify_models(
    live: Annotated[bool, typer.Option("--live", help="also ask each server for its model")] = False,
) -> None:
    """Compare the models with config/models.lock; exit code 1 where one differs."""
    with err.status("hashing"):
        faults = locks.verify(live=live)
    for fault in faults:
        err.print(str(fault), style="red", markup=False, highlight=False, soft_wrap=True)
    if faults:
        raise typer.Exit(1)
    out.print("ok: the models are those of config/models.lock", highlight=False)
