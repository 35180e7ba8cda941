"""uv run ops deploy, rollback, status, logs, ...: what runs on the stages' machines.

What takes seconds to import is imported by the commands that need it.
"""

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from ops import screen, stages
from ops.errors import NotReady
from ops.screen import Lines, Terminal

if TYPE_CHECKING:
    from ops.deploy import Done

cli = typer.Typer()
out = Console(highlight=False)
Name = Annotated[str, typer.Argument(help="a stage of config/deploy.toml: staging, production, ...")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object a line, for CI")]


@cli.command()
def deploy(stage: Name, as_json: Json = False) -> None:
    """Build this commit and bring it into service, with a canary that takes itself back."""
    from ops import deploy as deploys

    began = time.monotonic()
    done = deploys.deploy(stage, Lines() if as_json else Terminal(out))
    told(done, stage, time.monotonic() - began, as_json=as_json)


@cli.command()
def rollback(
    stage: Name,
    version: Annotated[str, typer.Argument(help="empty: the one before")] = "",
    as_json: Json = False,
) -> None:
    """Serve an earlier version again, at once. Data is not rolled back: see `ops restore`."""
    from ops import deploy as deploys

    began = time.monotonic()
    done = deploys.rollback(stage, version, Lines() if as_json else Terminal(out))
    told(done, stage, time.monotonic() - began, as_json=as_json)


def told(done: "Done", stage: str, seconds: float, *, as_json: bool) -> None:
    """Where it serves, what it is, how long it took, and what comes next."""
    if as_json:
        screen.emit(
            state="done",
            version=done.version,
            url=done.url,
            past=done.past,
            seconds=round(seconds, 1),
            unreached=done.unreached,
        )
        return
    out.print(f"\n{done.url}  {done.version}  {seconds:.0f} s")
    if done.unreached:
        said = (
            f"it serves, but does not answer from here ({done.unreached}): see DNS, firewall and certificate"
        )
        out.print(f"{said}: uv run ops logs {stage} --part edge", style="yellow", soft_wrap=True)
    out.print(f"look:  uv run ops status {stage}    uv run ops logs -f {stage}")
    if done.past and not done.is_back:
        out.print(f"back:  uv run ops rollback {stage}    (to {done.past[0]})")


@cli.command()
def doctor(stage: Name) -> None:
    """Check that a stage can be deployed; changes nothing. Exit code 2 where it cannot."""
    from ops import doctor as doctors

    bad = 0
    for one in doctors.examine(stage):
        bad += not one.ok
        out.print(f"[green]✓[/] {one.what}" if one.ok else f"[red]✗[/] {one.what}")
        if not one.ok:
            out.print(f"  {one.remedy}", markup=False, soft_wrap=True)
    if bad:
        raise typer.Exit(2)


@cli.command()
def status(stage: Name, as_json: Json = False) -> None:
    """What serves on each machine, with which share, and the last lines of the audit."""
    from ops import deploy as deploys
    from ops import proxy
    from ops import state as states

    for target in stages.load(stage).hosts:
        with deploys.looked_at(stage, target) as (_, shell):
            state, audit = states.read(shell), shell.read(states.AUDIT)
            seen = proxy.seen(shell)
        lines, broken = list(map(states.read_note, audit.splitlines()[-6:])), states.broken(audit)
        if as_json:
            slots = {slot: {**vars(one), "version": state.slots[slot]} for slot, one in seen.items()}  # type: ignore[index]
            told = state.model_dump(exclude={"slot_key", "secrets", "slots"})
            screen.emit(host=target, **told, slots=slots, audit=lines, broken=broken)
            continue
        table = Table("slot", "version", "proxy", "open", "requests", "failed", box=None, header_style="dim")
        for slot, one in seen.items():
            version = state.slots[slot] or "-"  # type: ignore[index]
            table.add_row(slot, version, one.state, str(one.open), f"{one.requests:,}", f"{one.failed:,}")
        out.print(
            f"{target}: {state.stable or 'nothing'} is stable, {state.phase}; "
            f"kept: {', '.join(state.past) or 'none'}"
        )
        out.print(table)
        for line in lines:
            said = line["said"].partition("\n")[0]
            out.print(
                f"{line['at']}  {line['who']}  {said}",
                markup=False,
                style="dim",
                soft_wrap=True,
            )
        if broken:
            out.print(
                f"the audit was changed: line {broken} does not follow from the one before it", style="red"
            )


@cli.command()
def logs(
    stage: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until Ctrl-C")] = False,
    part: Annotated[str, typer.Option(help="web, worker, lb, edge or backup")] = "web",
    lines: Annotated[int, typer.Option("--lines", "-n")] = 100,
) -> None:
    """What the app's containers wrote; of the version that started last."""
    from ops import deploy as deploys

    target = stages.load(stage).hosts[0]
    with deploys.looked_at(stage, target) as (host, _):
        found = sorted(host.containers(part), key=lambda held: held.attrs["Created"])
        if not found:
            raise NotReady(f"{target}: no container '{part}' (known: web, worker, lb, edge, backup)")
        if not follow:
            typer.echo(found[-1].logs(tail=lines).decode(errors="replace"), nl=False)
            return
        for piece in found[-1].logs(tail=lines, stream=True, follow=True):
            typer.echo(piece.decode(errors="replace"), nl=False)


@cli.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def app(ctx: typer.Context, stage: Name) -> None:
    """Run a command of `app` where the stage serves: ops app production tenant list."""
    from ops import deploy as deploys

    with deploys.looked_at(stage, stages.load(stage).hosts[0]) as (host, shell):
        code, said = deploys.ask_app(host, shell, ctx.args)
    typer.echo(said, nl=False)
    raise typer.Exit(code)


@cli.command()
def unlock(stage: Name) -> None:
    """Break a lock whose owner hangs; that deploy can then change nothing more."""
    from ops import deploy as deploys

    broken = deploys.unlock(stage)
    out.print(f"unlocked: {', '.join(broken)}" if broken else "it was not locked")


@cli.command("proxy-upgrade")
def proxy_upgrade(stage: Name) -> None:
    """Start the proxies anew, after a change of infra/server or of the domain; in a quiet hour."""
    from ops import deploy as deploys

    deploys.proxy_upgrade(stage, Terminal(out))


@cli.command()
def destroy(
    stage: Name,
    confirm: Annotated[str, typer.Option(help="the stage's name, for scripts")] = "",
    data: Annotated[bool, typer.Option("--data", help="its database and backups on the machine too")] = False,
) -> None:
    """Remove a stage from its machines; you confirm by its name."""
    from ops import deploy as deploys

    stages.load(stage)
    what = "all of it, its data and its backups there" if data else "all but its data and backups"
    if (confirm or typer.prompt(f"This removes {what}. Type '{stage}' to go on")) != stage:
        raise NotReady("not confirmed; nothing was removed")
    for name in deploys.destroy(stage, data=data):
        out.print(f"removed {name}")
