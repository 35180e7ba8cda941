"""uv run ops incident ...: what broke, since when, when it was seen and over."""

import typer
from rich import box
from rich.table import Table

from app.cli_tenant import out, with_database

cli = typer.Typer(no_args_is_help=True, help="What broke, how long, and the requests that show it.")


@cli.command("list")
def list_() -> None:
    """Every incident, the newest first, and the mean times to detect and to restore."""
    from app import incidents, trials

    found = with_database(lambda engine, _: incidents.every(engine))
    table = Table("incident", "seen (UTC)", "over after", "feature", "cases", "what", box=box.SIMPLE)
    for one in found:
        over = incidents.span(one)
        seen = f"{trials.since(one.detected_at):%Y-%m-%d %H:%M}"
        table.add_row(one.id, seen, over, one.feature, str(len(one.cases)), one.said)
    out.print(table if found else "no incidents")
    detect, restore = incidents.mean_times(found)
    if detect is not None:
        out.print(f"mean time to detect {incidents.told(detect)}, to restore {incidents.told(restore)}")


@cli.command()
def show(id: str) -> None:
    """One incident with its cases; `uv run gate incident` makes adversarial cases of them."""
    from app import incidents

    found = with_database(lambda engine, _: incidents.find(engine, id))
    out.print(f"{found.id}  {found.feature}  {found.said}", soft_wrap=True)
    for case in found.cases:
        out.print(f"  {case['id']}  {case['fault']}", markup=False, soft_wrap=True)
