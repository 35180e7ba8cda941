"""Commands that measure what no case shows: load, retrieval, safety suites; and the client's page."""

from typing import Annotated

import typer

Names = Annotated[list[str] | None, typer.Argument(help="features; all of them if none is named")]


def add_to(cli: typer.Typer) -> None:
    """Put these commands on the gate's command line."""
    cli.command()(retrieval)


def retrieval(
    features: Names = None,
    write: Annotated[bool, typer.Option("--write", help="put the choice into feature.toml")] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="searches at once")] = 4,
    min_recall: Annotated[float, typer.Option(help="recall@10 must surely be above")] = 0.97,
    max_p95_ms: Annotated[float, typer.Option(help="p95 must be below")] = 60,
) -> None:
    """Measure how passages are found, and say which is the cheapest way with this recall and speed."""
    from gate import retrieval, run
    from gate.screen import chosen, out, show

    plan = run.gate_plan()
    promise = retrieval.Promise(min_recall, max_p95_ms, concurrency)
    verdicts = retrieval.run(plan, chosen(plan, features), promise, write=write)
    show(verdicts)
    out.print(f"report: {(plan.settings.var_dir / 'reports/retrieval.html').as_posix()}", highlight=False)
    if any(verdict.stops for verdict in verdicts):
        raise typer.Exit(1)
