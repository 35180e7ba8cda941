"""uv run ops backup, restore and drill: what a stage holds, saved and brought back."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ops import backups, build, host, lock, stages
from ops.errors import NotReady
from ops.host import Host
from ops.stages import Backup

out, err = (Console(highlight=False, markup=False, soft_wrap=True, stderr=stderr) for stderr in (False, True))
Name = Annotated[str, typer.Argument(metavar="STAGE", help="staging, production, ...")]
Unsaved = Annotated[bool, typer.Option("--unsaved", help="the present is damaged: give it up")]
At = Annotated[str, typer.Option(help="a tag like pre-<version>, an id, or latest")]


def register(cli: typer.Typer) -> None:
    """Add the commands to `ops`."""
    for command in (backup, restore, drill):
        cli.command()(command)


def backup(
    stage: Name,
    tag: Annotated[str, typer.Option(help="its name; else manual-<time>")] = "",
    listed: Annotated[bool, typer.Option("--list", help="list what is saved, and save nothing")] = False,
) -> None:
    """Save the database and files of a stage while it runs."""
    with opened(stage) as (machine, rules):
        if listed:
            return show(machine, rules)
        with err.status("saving"):
            saved = backups.snapshot(machine, rules, tag or f"manual-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    said = f"{saved['bytes'] / 1e6:.1f} MB, {saved['rows']} rows in {saved['tables']} tables"
    out.print(f"saved {saved['id']} {saved['tags'][-1]}: {said}, {saved['seconds']} s")
    return None


def restore(
    stage: Name,
    at: At,
    confirm: Annotated[str, typer.Option(help="the stage's name; else it is asked for")] = "",
    unsaved: Unsaved = False,
) -> None:
    """Put a snapshot in the place of what a stage holds; the app stops meanwhile, the present is saved."""
    with opened(stage) as (machine, rules):
        found = backups.find(machine, rules, at)
        tags = ", ".join(found["tags"])
        out.print(f"{found['id']} of {found['time'][:19]} UTC ({tags}) replaces what {stage} holds")
        if (confirm or typer.prompt("The stage's name, to confirm")) != stage:
            raise NotReady(f"that is not '{stage}'; nothing was changed")
        with ExitStack() as held:
            held.enter_context(lock.hold(machine, f"restore {found['id']}"))
            for target in stages.load(stage).hosts[1:]:  # they write to the same database
                other = held.enter_context(host.connect(target, machine.name))
                held.enter_context(lock.hold(replace(other, tools=machine.tools), f"restore {found['id']}"))
                held.enter_context(backups.stopped(other, out.print))
            done = backups.restore(machine, rules, found["id"], out.print, save=not unsaved)
    saved = f"; undo: uv run ops restore {stage} --at {done['saved']}" if done["saved"] else ""
    out.print(f"restored {done['id']} and {done['files']} files in {done['seconds']} s{saved}")
    out.print(f"Code is as it was: uv run ops rollback {stage} if the snapshot is from before its migration")


def drill(stage: Name, at: At = "latest") -> None:
    """Restore a snapshot aside and compare each table with what was saved; exit code 1 where they differ."""
    with opened(stage) as (machine, rules), err.status("restoring aside"):
        done = backups.drill(machine, rules, at)
    for said in done["differences"]:
        err.print(said, style="red")
    if done["differences"]:
        raise typer.Exit(1)
    said = f"{done['rows']} rows in {done['tables']} tables are as they were saved"
    out.print(f"ok: {done['id']} of {done['saved_at'][:19]} UTC: {said}, {done['seconds']} s")


def show(machine: Host, rules: Backup) -> None:
    """Print the snapshots, the newest first, and how the last night went."""
    table = Table("id", "time (UTC)", "tags", box=None)
    for one in reversed(backups.every(machine, rules)):
        table.add_row(one["id"], one["time"][:19].replace("T", " "), ", ".join(one["tags"]))
    out.print(table)
    out.print(night(backups.status(machine)))


def night(status: dict[str, Any] | None) -> str:
    """How the last night went, in one line."""
    if not status:
        return "no night has passed yet"
    return f"last night: {status['at'][:19]} UTC, {'ok' if status['ok'] else 'FAILED: ' + status['said']}"


@contextmanager
def opened(stage: str) -> Iterator[tuple[Host, Backup]]:
    """The first machine of a stage, where its volumes are, and its rules for backups."""
    rules = stages.load(stage)
    slug = build.project()
    with host.connect(rules.hosts[0], build.prefix(stage)) as machine:
        images = machine.docker.images.list(f"{slug}-server")
        if not images:
            raise NotReady(f"{stage}: the server's tools are not on the machine: uv run ops deploy {stage}")
        newest = max(images, key=lambda image: str(image.attrs["Created"]))
        yield replace(machine, tools=newest.tags[0]), rules.backup
