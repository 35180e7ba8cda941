"""uv run ops flags ...: switch features, prompts and tiers while the app runs; a record is kept."""

import getpass
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from app.cli_tenant import err, out, with_database

cli = typer.Typer(no_args_is_help=True, help="Flags: switch features, prompts and tiers while the app runs.")
Name = Annotated[str, typer.Argument(help="FEATURE.enabled, FEATURE.prompt or FEATURE.tier")]
File = Annotated[Path, typer.Argument(exists=True, dir_okay=False)]
Reason = Annotated[str, typer.Option(help="why; kept with the change")]


def who() -> str:
    """Who gives the command: OPS_ACTOR where it comes from another machine."""
    return os.environ.get("OPS_ACTOR") or getpass.getuser()


@cli.command("list")
def list_() -> None:
    """Every flag with its value, and the tenants that have another."""
    from app import flagfile, flags, services, settings

    plan = services.plan(settings.load())
    place = plan.settings.flags_file
    changed = flags.read(place) if place.exists() else flags.NONE
    content = flagfile.merged(plan.flags, changed)
    faulty = plan.faulty(content)
    table = Table("flag", "value", "for single tenants", "from", box=box.SIMPLE)
    for name, flag in sorted(content["flags"].items()):
        told = ("faulty", "; ".join(map(str, faulty[name]))) if name in faulty else shown(flag)
        source = "a command" if name in changed["flags"] else "config/flags.json"
        table.add_row(name, *told, source)
    out.print(table)


def shown(flag: dict[str, Any]) -> tuple[str, str]:
    """The usual value of a flag, and those of single tenants."""
    from app import flagedit
    from app.errors import Invalid

    try:
        own = ", ".join(f"{tenant}: {value}" for tenant, value in flagedit.overrides(flag).items())
    except Invalid:
        own = "by a rule: " + ", ".join(map(str, flag["variants"].values()))
    usual = flag["variants"][flag["defaultVariant"]] or "stable"
    return ("disabled", "") if flag["state"] == "DISABLED" else (usual, own)


@cli.command("set")
def set_(
    name: Name,
    value: str,
    tenant: Annotated[str, typer.Option(help="for this tenant alone")] = "",
    reason: Reason = "",
) -> None:
    """Give a flag a value; running processes have it within a second."""
    from app import flagedit, flagfile, services, settings
    from app.errors import Invalid
    from app.flags import Document

    plan = services.plan(settings.load())
    feature, _, kind = name.rpartition(".")
    if feature not in plan.features:
        raise Invalid(f"{name[:80]}: no feature '{feature[:40]}' (known: {', '.join(plan.features)})")
    if kind in ("rollout", "experiment"):
        raise Invalid(f"{name}: use uv run ops {kind}, which judges it")

    def edit(document: Document) -> dict[str, object]:
        flag = flagfile.merged(plan.flags, document)["flags"].get(name)
        if kind == "enabled" and not flag:
            flag = flagedit.valued(None, "on")
        return flagedit.put(document, name, flagedit.valued(flag, value, tenant))

    changed(f"{name}: {value}" + (f" for {tenant}" if tenant else ""), reason, edit)


@cli.command()
def reset(name: Name, reason: Reason = "") -> None:
    """Forget what was changed of a flag: config/flags.json says again what it is."""
    from app import flagedit
    from app.flags import Document

    def edit(document: Document) -> dict[str, object]:
        return flagedit.put(document, name, None)

    changed(f"{name}: as in config/flags.json", reason, edit)


@cli.command()
def apply(file: File, reason: Reason = "") -> None:
    """Put the flags of a file in the place of what was changed so far."""
    from app import flags

    content = flags.read(file)
    changed(f"flags of {file.name}", reason, lambda _: {"flags": content["flags"]})


@cli.command()
def history(limit: int = 20) -> None:
    """Who changed the flags, when and why."""
    from app import alerts, flagstore

    table = Table("revision", "time (UTC)", "who", "what", box=box.SIMPLE)
    for one in with_database(lambda engine, _: flagstore.every(engine, limit)):
        told = str(one.number), alerts.when(one.at)[:19], one.actor, one.reason
        table.add_row(*told)
    out.print(table)


@cli.command()
def lint(
    file: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, help="config/flags.json without it")
    ] = None,
) -> None:
    """Check a flag file: its form, and that all it names is there. Exit code 2 where it is not."""
    from app import flags, services, settings
    from app.errors import ConfigError

    plan = services.plan(settings.load())
    place = file or plan.settings.config_dir / flags.NAME
    content = flags.read(file) if file else plan.flags
    if faulty := plan.faulty(content, place):
        raise ConfigError([fault for found in faulty.values() for fault in found])
    out.print(f"ok: {len(content['flags'])} flags in {place.as_posix()}", markup=False)


def changed(what: str, reason: str, edit: object) -> None:
    """Change the flags, and say the revision."""
    from app import flagstore, services, settings

    plan, said = services.plan(settings.load()), f"{what}; {reason}" if reason else what
    place = plan.settings.flags_file
    number = with_database(
        lambda engine, _: flagstore.change(engine, place, who(), said, edit, plan.check_flags)  # type: ignore[arg-type]
    )
    out.print(f"{what} (revision {number})", markup=False)
    if not reason:
        err.print("no reason was given: say it with --reason", style="yellow")
