"""uv run ops secrets ...: what the stages must know and the repository must not show."""

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ops import sealed, secrets
from ops.errors import NotReady

cli = typer.Typer(no_args_is_help=True, help="Secrets of each stage, encrypted with age and committed.")
out = Console(highlight=False)
Stage = Annotated[str, typer.Argument(help="staging, production, ...")]
Who = Annotated[str, typer.Option(help="whose key it is")]


@cli.command()
def init(who: Who = "") -> None:
    """Make your key where you have none, and let it read the secrets."""
    public = secrets.init(who or getpass.getuser())
    out.print(f"your public key: {public}", soft_wrap=True)
    out.print(f"your private key: {sealed.key_file()}; keep a copy, nobody can replace it", soft_wrap=True)


@cli.command("set")
def put(
    stage: Stage,
    name: str,
    generate: Annotated[bool, typer.Option("--generate", help="random: a pepper, a key of your own")] = False,
) -> None:
    """Set one value: it is asked for, or read from standard input, and never an argument."""
    if generate:
        secrets.generate(stage, name)
    else:
        asked = getpass.getpass(f"{name}: ") if sys.stdin.isatty() else sys.stdin.read()
        secrets.put(stage, name, asked.removesuffix("\n"))
    out.print(f"{secrets.path(stage).as_posix()} written; commit it")


@cli.command()
def edit(stage: Stage) -> None:
    """Edit a stage in $EDITOR."""
    secrets.edit(stage)
    out.print(f"{secrets.path(stage).as_posix()} written; commit it")


@cli.command("list")
def names(stage: Stage) -> None:
    """The names of a stage's values, and what is wrong with them."""
    for name, value in secrets.values(stage).items():
        said = secrets.fault(stage, name, value)
        out.print(f"{name}: {said}" if said else name, markup=False, soft_wrap=True)


@cli.command()
def rotate() -> None:
    """Encrypt all stages anew for the present recipients, and list what to change at its source."""
    told(secrets.rotate())


@cli.command()
def recipients(
    add: Annotated[str, typer.Option(help="a public key: age1... or ssh-ed25519 ...")] = "",
    remove: Annotated[str, typer.Option(help="a name or a public key")] = "",
    who: Who = "",
) -> None:
    """List who can read the secrets; add or remove somebody."""
    if add and not who:
        raise NotReady("say whose key it is: --who NAME")
    if add:
        secrets.add_recipient(add, who)
    if remove:
        told(secrets.remove_recipient(remove))
    for public, name in sealed.recipients().items():
        out.print(f"{name}  {public}", markup=False, soft_wrap=True)


def told(names: list[str]) -> None:
    """Say which values somebody may still know who cannot read the files any more."""
    out.print("encrypted anew. Whoever had a key has read these; change each at its source:")
    for name in names:
        out.print(f"  {name}", markup=False)


@cli.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(ctx: typer.Context, stage: Stage) -> None:
    """Run a command with a stage's values in its environment: ops secrets run staging -- COMMAND."""
    if not ctx.args:
        raise NotReady("say what to run: uv run ops secrets run STAGE -- COMMAND")
    raise typer.Exit(secrets.run(stage, ctx.args))


@cli.command()
def export(stage: Stage, folder: Path) -> None:
    """Write each value to a file that you alone can read, as /run/secrets has them."""
    out.print(f"{secrets.export(stage, folder)} files in {folder.as_posix()}")
