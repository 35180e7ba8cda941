"""uv run ops flags, rollout, experiment, incident: the app's commands, here or where a stage serves."""

from collections.abc import Callable
from typing import Annotated

import typer

from ops import stages

COMMANDS = {
    "flags": "Switch features, prompts and tiers while the app runs.",
    "rollout": "Bring a prompt or a tier to all requests, by steps that its numbers decide.",
    "experiment": "Compare variants of a prompt or a tier, with a result that holds however often one looks.",
    "incident": "What broke, how long, and the requests that show it.",
}
On = Annotated[str, typer.Option("--on", help="a stage of config/deploy.toml; without it this machine")]
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def register(cli: typer.Typer) -> None:
    """Put these commands on the command line of ops."""
    for name, what in COMMANDS.items():
        cli.command(name, help=what, context_settings=PASSED_ON)(door(name))


def door(name: str) -> Callable[[typer.Context, str], None]:
    """A command that hands its words on to the app."""

    def run(ctx: typer.Context, on: On = "") -> None:
        from app.cli import cli as app

        if on:
            raise typer.Exit(there(on, [name, *ctx.args]))
        app([name, *ctx.args], prog_name="uv run ops")

    return run


def there(stage: str, words: list[str]) -> int:
    """Run a command of the app where a stage serves; gives its exit code."""
    from ops import deploy

    with deploy.looked_at(stage, stages.load(stage).hosts[0]) as (host, shell):
        code, said = deploy.ask_app(host, shell, words)
    typer.echo(said, nl=False)
    return code
