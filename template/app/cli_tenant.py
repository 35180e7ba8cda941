"""uv run app tenant ...: tenants, their limits and their API keys."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import typer
from rich import box
from rich.console import Console
from rich.table import Table

cli = typer.Typer(no_args_is_help=True, help="Tenants, their limits and their API keys.")
out, err = Console(highlight=False, markup=False), Console(stderr=True, highlight=False, markup=False)
WITHOUT = ("unlimited", "default")


@cli.command()
def add(name: str, title: str = "", budget_usd: float | None = None) -> None:
    """Create a tenant; the budget is in dollars a month, without one it is unlimited."""
    from app import tenants

    budget = None if budget_usd is None else Decimal(str(budget_usd))
    with_database(lambda engine, _: tenants.add(engine, name, title or name, budget))
    out.print(f"tenant {name}; next: uv run app tenant key {name}")


@cli.command("list")
def list_() -> None:
    """List the tenants with what they spent this month."""
    from app import tenants

    table = Table("tenant", "name", "USD", "of", "tokens", "of", "rate", "state", box=box.SIMPLE)
    table.caption = "USD and tokens of this month; rate: requests a minute; -: no limit"
    spent = with_database(lambda engine, _: tenants.spent(engine))
    for item in with_database(lambda engine, _: tenants.every(engine)):
        used = spent.get(item.id)
        usd, tokens = (used.usd, used.tokens) if used else (0, 0)
        state = "paused" if item.paused else "active"
        budgets = shown(item.budget_usd, ",.2f"), f"{tokens:,}", shown(item.budget_tokens, ",")
        rate = shown(item.rate_per_minute, ",", "default")
        table.add_row(item.id, item.name, f"{usd:.4f}", *budgets, rate, state)
    out.print(table)


def shown(limit: Decimal | int | None, form: str, without: str = "-") -> str:
    """A limit as a person reads it."""
    return without if limit is None else format(limit, form)


@cli.command()
def pause(name: str) -> None:
    """Refuse the tenant's requests with 403 until it is resumed."""
    from app import tenants

    with_database(lambda engine, _: tenants.change(engine, name, paused=True))
    out.print(f"{name} is paused; running processes know it within two seconds")


@cli.command()
def resume(name: str) -> None:
    """Serve a paused tenant again."""
    from app import tenants

    with_database(lambda engine, _: tenants.change(engine, name, paused=False))
    out.print(f"{name} is active")


@cli.command()
def budget(name: str, usd: Annotated[str, typer.Argument(help="dollars, or: unlimited")]) -> None:
    """Set what the tenant may spend in a month; above it requests are refused with 402."""
    limit(name, "budget_usd", usd, Decimal)


@cli.command()
def tokens(name: str, count: Annotated[str, typer.Argument(help="tokens, or: unlimited")]) -> None:
    """Set the tokens, in and out, that the tenant may use in a month; above it 402."""
    limit(name, "budget_tokens", count, int)


@cli.command()
def rate(name: str, per_minute: Annotated[str, typer.Argument(help="requests, or: default")]) -> None:
    """Set the requests that the tenant may send in a minute; above it 429. The default is rate_per_minute."""
    limit(name, "rate_per_minute", per_minute, int)


def limit(name: str, which: str, given: str, read: Callable[[str], Decimal | int]) -> None:
    """Set one limit, or take it away; ends with a message where the words are no number."""
    from app import tenants

    try:
        value = None if given in WITHOUT else read(given)
    except (ArithmeticError, ValueError):
        raise typer.BadParameter(f"'{given}' is no number; or say: {' or '.join(WITHOUT)}") from None
    with_database(lambda engine, _: tenants.change(engine, name, **{which: value}))
    out.print(f"{name}: {tenants.LIMITS[which][2]}: {given}")


@cli.command()
def shadow(name: str, to: Annotated[Literal["on", "off"], typer.Argument()]) -> None:
    """Whether a new prompt or model may be asked what this tenant asks, unseen: docs/releases.md."""
    from app import tenants

    with_database(lambda engine, _: tenants.change(engine, name, shadow=to == "on"))
    out.print(f"{name}: shadow {to}")


@cli.command()
def key(name: str) -> None:
    """Create an API key and show it, this once."""
    from app import tenants

    show(with_database(lambda engine, config: tenants.create_key(engine, config, name)))


@cli.command()
def rotate(name: str, overlap_hours: float = 24) -> None:
    """Create a key and show it; the older ones work until the overlap ends."""
    from app import tenants

    overlap = timedelta(hours=max(0.0, overlap_hours))
    made = with_database(lambda engine, config: tenants.rotate_key(engine, config, name, overlap))
    err.print(f"The older keys of {name} end in {overlap_hours:g} hours.")
    show(made)


def show(made: str) -> None:
    """Print a key where a script can read it."""
    err.print("Keep it now: it is not shown again.")
    print(made)


@cli.command()
def keys(name: str) -> None:
    """List the tenant's keys by their last four characters."""
    from app import tenants

    table = Table("key ends in", "created", "expires", "revoked")
    for item in with_database(lambda engine, _: tenants.keys(engine, name)):
        table.add_row(item.hint, *map(day, (item.created_at, item.expires_at, item.revoked_at)))
    out.print(table)


def day(at: datetime | None) -> str:
    """A time as a person reads it, in UTC."""
    return f"{at:%Y-%m-%d %H:%M}" if at else "-"


@cli.command()
def revoke(name: str, ends_in: str = "") -> None:
    """Revoke all keys of a tenant, or the one that ends in these four characters."""
    from app import tenants

    count = with_database(lambda engine, _: tenants.revoke_keys(engine, name, ends_in))
    out.print(f"revoked {count} keys of {name}")


def with_database(work: Any) -> Any:
    """Run one piece of work on the open database; raise ConfigError if it is not set up."""
    from app import db, settings

    async def opened() -> Any:
        config = settings.load()
        engine = db.connect(config.database_url)
        try:
            await db.require(engine)
            return await work(engine, config)
        finally:
            await engine.dispose()

    return asyncio.run(opened())
