"""Commands that measure what no case shows: load, retrieval, safety suites; and the client's page."""

from typing import Annotated, Literal

import typer

Names = Annotated[list[str] | None, typer.Argument(help="features; all of them if none is named")]


def add_to(cli: typer.Typer) -> None:
    """Put these commands on the gate's command line."""
    cli.command()(load)


def load(
    features: Names = None,
    seconds: Annotated[int, typer.Option(min=1, max=3600, help="how long to ask")] = 30,
    users: Annotated[int, typer.Option(min=1, max=1000, help="clients at once")] = 16,
    url: Annotated[
        str, typer.Option(help="ask this app, with LOAD_KEY, instead of one on this machine")
    ] = "",
    repeat: Annotated[float, typer.Option(min=0, max=1, help="share of questions that a cache may know")] = 0,
    tool: Annotated[Literal["locust", "k6"], typer.Option(help="what asks")] = "locust",
) -> None:
    """Ask the app as many clients at once do, and hold speed and errors against the SLOs of feature.toml."""
    from gate import load, run
    from gate.screen import chosen, err, out, show
    from load import page, seen
    from load.work import Work

    plan = run.gate_plan()
    told = Work(seconds=seconds, users=users, url=url.rstrip("/"), repeat=repeat)
    with err.status(f"{users} clients ask for {seconds} s"):
        rows = load.run(plan, chosen(plan, features), told, tool)
    out.print(seen.table(one for one, _ in rows))
    show([verdict for _, verdict in rows])
    out.print(f"report: {page.write(plan.settings.var_dir, rows, told, tool).as_posix()}", highlight=False)
    if any(verdict.stops for _, verdict in rows):
        out.print("[red]gate: no[/]")
        raise typer.Exit(1)
    out.print("[green]gate: yes[/]")
