"""uv run ops incident ...: what broke, since when, when it was seen and over."""

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from app.cli_tenant import out, with_database

cli = typer.Typer(no_args_is_help=True, help="What broke, how long, and the requests that show it.")


@cli.command("list")
def list_() -> None:
    """Every incident, the newest first, and the mean times to detect and to restore."""
    from app import alerts, incidents

    found = with_database(lambda engine, _: incidents.every(engine))
    table = Table("incident", "seen (UTC)", "over after", "feature", "cases", "what", box=box.SIMPLE)
    for one in found:
        seen, over = alerts.when(one.detected_at)[:19], incidents.span(one)
        table.add_row(one.id, seen, over, one.feature, str(len(one.cases)), one.said)
    out.print(table if found else "no incidents")
    detect, restore = incidents.mean_times(found)
    if detect is not None:
        out.print(f"mean time to detect {incidents.told(detect)}, to restore {incidents.told(restore)}")


@cli.command()
def show(id: str) -> None:
    """One incident with its times and cases; `uv run gate incident` makes adversarial cases of them."""
    from app import alerts, incidents

    one = with_database(lambda engine, _: incidents.find(engine, id))
    out.print(f"{one.id}  {one.feature}  {one.said}", soft_wrap=True)
    out.print(f"  began     {alerts.when(one.began_at)}")
    out.print(f"  detected  {alerts.when(one.detected_at)}  after {incidents.detected_after(one)}")
    over = f"{alerts.when(one.restored_at)}  after {incidents.span(one)}" if one.restored_at else "open"
    out.print(f"  restored  {over}")
    for case in one.cases:
        out.print(f"  {case['id']}  {case['fault']}", soft_wrap=True)


@cli.command()
def timeline(file: Annotated[Path, typer.Option("--out", help="the page; - prints it")]) -> None:
    """Write incidents and the steps between them as one HTML page, the newest first."""
    from app import files, timeline

    page = with_database(lambda engine, _: timeline.page(engine))
    if file == Path("-"):
        typer.echo(page, nl=False)
        return
    files.write_atomic(file, page)
    out.print(f"{file.as_posix()} written")
