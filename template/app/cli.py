"""uv run app ...: run the app, set it up, look after its tenants, add a feature."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.progress import Progress, TaskID
from rich.table import Table

from app import cli_experiment, cli_flags, cli_incident, cli_rollout, cli_tenant
from app.cli_tenant import err, out, with_database
from app.errors import AppError

cli = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
feature = typer.Typer(no_args_is_help=True, help="Feature folders.")
cli.add_typer(cli_tenant.cli, name="tenant")
cli.add_typer(feature, name="feature")
cli.add_typer(cli_flags.cli, name="flags")
cli.add_typer(cli_rollout.cli, name="rollout")
cli.add_typer(cli_experiment.cli, name="experiment")
cli.add_typer(cli_incident.cli, name="incident")


def main() -> None:
    """Entry point: a mistake ends in one message, never in a traceback."""
    try:
        cli()
    except AppError as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)
        raise SystemExit(2) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@cli.command()
def dev(port: int = 8000, reload: bool = True) -> None:
    """Set everything up and run the app on this machine, without keys."""
    from app import settings

    os.environ.setdefault("APP_AUTH", "open")
    os.environ.setdefault("APP_LOG_FORMAT", "console")
    setup()
    if settings.load().database_url.startswith("sqlite"):  # never into a client's server
        seed(remove=False)
    here = f"http://127.0.0.1:{port}"
    out.print(f"Page   {here}\nAPI    {here}/docs\nStop   Ctrl-C\n")
    with worker_beside(reload=reload):
        run("127.0.0.1", port, reload=reload)


@contextmanager
def worker_beside(*, reload: bool) -> Iterator[None]:
    """A worker process while the block runs."""
    words = ["worker", *(["--reload"] if reload else [])]
    program = "import sys; from app.cli import main; sys.argv[0] = 'app'; main()"
    # Its end is the end of its input, which comes however this process dies.
    with subprocess.Popen([sys.executable, "-c", program, *words, "--beside"], stdin=subprocess.PIPE):
        yield


@cli.command()
def serve(host: str = "127.0.0.1", port: int = 8000) -> None:
    """Run the app as in production: keys required, nothing made on the way."""
    run(host, port, reload=False)


def run(host: str, port: int, *, reload: bool) -> None:
    """Hand over to uvicorn; with `reload` a changed file restarts the app."""
    import uvicorn

    from app import server, services, settings, web

    # Open everything once: what is missing is said here, in one message, and not by the server.
    plan = services.plan(settings.load())
    asyncio.run(services.rehearse(plan))
    if reload:
        uvicorn.run(
            "app.main:create", factory=True, host=host, port=port, reload=True,
            reload_dirs=["app", "features", "config"], reload_includes=["*.py", "*.toml", "*.md", "*.json"],
            log_config=None, server_header=False,
        )  # fmt: skip
    else:
        server.run(web.create_app(plan), host, port, plan.settings.drain_s)


@cli.command()
def worker(
    reload: Annotated[bool, typer.Option(help="start again when a file changes")] = False,
    beside: Annotated[bool, typer.Option(help="stop when the standard input ends")] = False,
) -> None:
    """Answer what waits: requests asked for later, and those whose process died."""
    from app import worker

    worker.run(reload=reload, beside=beside)


@cli.command()
def prewarm(limit: Annotated[int, typer.Option(help="of each feature")] = 100) -> None:
    """Fill the cache with the questions that were asked most, so that a restart does not cost them again."""
    from app import prewarm, services, settings

    with err.status("asking"):
        counts = asyncio.run(prewarm.run(services.plan(settings.load()), limit))
    for name, (asked, cached) in counts.items():
        out.print(f"{name}: {asked} asked, {cached} were cached")


@cli.command()
def model(host: str = "127.0.0.1", port: int = 8001) -> None:
    """Serve the keyless model with an OpenAI-compatible API."""
    import uvicorn

    from app.keyless.server import create_server

    out.print(f'base_url = "http://127.0.0.1:{port}/v1"')
    uvicorn.run(create_server(), host=host, port=port, log_level="warning")


@cli.command()
def setup() -> None:
    """Create what the app needs: the tables, and the index of the pages."""
    from app import services, settings

    with err.status("tables and indexes"):
        asyncio.run(services.setup(services.plan(settings.load())))


@cli.command()
def index(tenant: Annotated[str, typer.Option(help="only the own pages of this tenant")] = "") -> None:
    """Index the pages that features search; passages that did not change cost nothing."""
    from app import services, settings, shelf

    found = services.plan(settings.load())
    with Progress(console=err, transient=True) as bar:
        tasks: dict[shelf.Source, TaskID] = {}

        def tick(source: shelf.Source, done: int, of: int) -> None:
            if source not in tasks:
                tasks[source] = bar.add_task(f"{source.folder}")
            bar.update(tasks[source], completed=done, total=of)

        built = asyncio.run(services.index(found, tenant, tick))
    if not built:
        out.print(f"no pages in {found.settings.var_dir / 'documents' / tenant}")
    for source, path in built.items():
        out.print(f"{source.folder}: {len(shelf.pages(source))} pages in {path}", soft_wrap=True)


@cli.command()
def seed(remove: Annotated[bool, typer.Option(help="take the sample traffic out again")] = False) -> None:
    """Create the sample tenants, and a day of sample traffic whose model is `sample`."""
    from app import seed

    if remove:
        count = with_database(lambda engine, _: seed.remove_traffic(engine))
        out.print(f"removed {count} rows of sample traffic")
        return
    names, count = with_database(lambda engine, _: seed.plant(engine))
    out.print(f"tenants: {', '.join(names) or 'none'}; {count} rows of sample traffic")


@cli.command("alerts")
def alerts_(resolved: Annotated[bool, typer.Option("--all", help="those that are over too")] = False) -> None:
    """List what is wrong now: promises that are broken, budgets that are nearly or wholly used."""
    from app import alerts

    table = Table("since", "until", "severity", "about", "alert", "what was seen")
    found = with_database(lambda engine, _: alerts.every(engine, resolved=resolved))
    for one in found:
        until = alerts.when(one.resolved_at) if one.resolved_at else "open"
        table.add_row(alerts.when(one.at), until, one.severity, one.subject, one.name, one.said)
    out.print(table if found else "no alerts")


@cli.command()
def check() -> None:
    """Check every feature folder and config file, and list all that is wrong."""
    from app import services, settings

    found = services.plan(settings.load())
    out.print(f"ok: {len(found.features)} features, {len(found.registry.models)} models")


@cli.command()
def doctor(port: int = 8000) -> None:
    """Say what this machine lacks, and the remedy."""
    from app import doctor as checks

    findings = asyncio.run(checks.examine(port))
    for item in findings:
        mark = "[green]ok  [/]" if item.ok else "[red]fail[/]"
        out.print(f"{mark} {item.what}", markup=True)
        if not item.ok:
            out.print(f"     {item.remedy}", markup=False, soft_wrap=True)
    if not all(item.ok for item in findings):
        raise typer.Exit(1)


@feature.command("new")
def feature_new(name: Annotated[str, typer.Argument(help="a-z, 0-9 and _, a letter first")]) -> None:
    """Write a new feature folder: five files, working at once."""
    from app import scaffold, settings

    for path in scaffold.write(settings.load().features_dir, name):
        out.print(path.as_posix())
    out.print(f"\nNext: edit prompts/v1.md and golden.yaml, then: uv run gate evals {name}")
