"""Commands that measure what no case shows: load and retrieval; and the client's page."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from app import services, settings
from gate import handover, run
from gate.screen import Names, chosen, err, finish, out

Days = Annotated[int, typer.Option(min=1, help="how many days it looks back")]
History = Annotated[Path | None, typer.Option(exists=True, help="var/reports/history.jsonl without it")]
Seconds = Annotated[int, typer.Option(min=1, max=3600, help="how long to ask")]
Users = Annotated[int, typer.Option(min=1, max=1000, help="clients at once")]
Url = Annotated[str, typer.Option(help="ask this app, with LOAD_KEY, instead of one on this machine")]
Repeat = Annotated[float, typer.Option(min=0, max=1, help="share of questions that a cache may know")]
Promised = Annotated[float, typer.Option(help="recall@10 must surely be above")]
Tool = Annotated[Literal["locust", "k6"], typer.Option(help="what asks")]


def add_to(cli: typer.Typer) -> None:
    """Put these commands on the gate's command line."""
    cli.command()(load)
    cli.command()(retrieval)
    cli.command("handover")(hand_over)


def load(
    features: Names = None, seconds: Seconds = 30, users: Users = 16,
    url: Url = "", repeat: Repeat = 0, tool: Tool = "locust",
) -> None:  # fmt: skip
    """Ask the app as many clients at once do, and hold speed and errors against the SLOs of feature.toml."""
    from gate import load
    from load import page, seen
    from load.work import Work

    plan = run.gate_plan()
    told = Work(seconds=seconds, users=users, url=url.rstrip("/"), repeat=repeat)
    with err.status(f"{users} clients ask for {seconds} s"):
        rows = load.run(plan, chosen(plan, features), told, tool)
    out.print(seen.table(one for one, _ in rows))
    page.write(plan.settings.var_dir, rows, told, tool)
    finish(plan, [verdict for _, verdict in rows], "load.html")


def retrieval(
    features: Names = None,
    write: Annotated[bool, typer.Option("--write", help="put the choice into feature.toml")] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="searches at once")] = 4,
    min_recall: Promised = 0.97,
    max_p95_ms: Annotated[float, typer.Option(help="p95 must be below")] = 60,
) -> None:
    """Measure how passages are found, and say which is the cheapest way with this recall and speed."""
    from gate import retrieval

    plan = run.gate_plan()
    promise = retrieval.Promise(min_recall, max_p95_ms, concurrency)
    finish(plan, retrieval.run(plan, chosen(plan, features), promise, write=write), "retrieval.html")


def hand_over(days: Days = 28, history: History = None) -> None:
    """Write the client's page: scores, speed, cost, incidents and what became better, in plain words."""
    place = handover.write(services.plan(settings.load()), days, history)
    out.print(f"for the client: {place.as_posix()}", highlight=False, soft_wrap=True)
