"""What this machine lacks to run the app, and the remedy for each."""

import importlib.util
import os
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from app import clients, db, embed, services, settings
from app.errors import AppError, ConfigError
from app.services import Plan


@dataclass(frozen=True)
class Finding:
    """One check: `remedy` says what to do where it is not ok."""

    ok: bool
    what: str
    remedy: str = ""


async def examine(port: int) -> list[Finding]:
    """Check Python, tools, settings, files, database, index, keys and the port."""
    found = machine()
    try:
        plan = services.plan(settings.load())
    except ConfigError as error:
        return [*found, Finding(False, "features and config are right", str(error))]
    return [*found, *files_and_keys(plan), *await data(plan), port_is_free(port)]


def machine() -> list[Finding]:
    """Python, git, the lock file, and variables that nothing reads."""
    unread = ", ".join(settings.unread_variables())
    supported, python = (3, 11) <= sys.version_info[:2] <= (3, 13), f"Python {sys.version.split()[0]}"
    start = "git init && git add -A && git commit -m 'Start'"
    return [
        Finding(supported, python, "use Python 3.11, 3.12 or 3.13: uv python install 3.13"),
        Finding(bool(shutil.which("git")), "git is installed", "install git: the template's updates need it"),
        Finding(Path(".git").exists(), "the project is a git repository", start),
        Finding(Path("uv.lock").exists(), "uv.lock is there", "run 'uv lock' and commit uv.lock"),
        Finding(not unread, "every APP_ variable is a setting", f"not read: {unread}; see config/app.toml"),
    ]


def files_and_keys(plan: Plan) -> list[Finding]:
    """The plan, provider keys, and who may read .env."""
    config, models = plan.settings, plan.registry.models
    missing = [clients.no_key(m.key) for m in models.values() if m.key and m.key not in config.keys]
    pepper = len(config.pepper.get_secret_value()) >= 32 or config.auth == "open"
    pepper_line = 'echo "APP_PEPPER=$(openssl rand -hex 32)" >> .env'
    mail = bool(config.alert_email) == bool(config.smtp_url.get_secret_value())
    other = "set the other one too: without both no alert is sent by e-mail"
    env = Path(".env")
    private = os.name != "posix" or not env.exists() or not env.stat().st_mode & 0o077
    driver = "psycopg" if config.database_url.startswith("postgresql") else "aiosqlite"
    installed = bool(importlib.util.find_spec(driver))
    return [
        Finding(True, f"{len(plan.features)} features and config are right"),
        Finding(not missing, "every model has its key", "; ".join(missing)),
        Finding(pepper, "the pepper for API keys is set (`app serve` needs it)", pepper_line),
        Finding(mail, "alert_email and APP_SMTP_URL are set together, or neither", other),
        Finding(private, ".env is readable by you alone", "chmod 600 .env"),
        Finding(installed, f"the database driver {driver} is installed", "uv sync --extra postgres"),
    ]


async def data(plan: Plan) -> list[Finding]:
    """The database and the indexes."""
    try:
        engine = db.connect(plan.settings.database_url)
    except ConfigError as error:
        return [Finding(False, "the database URL is right", str(error))]
    try:
        fault = await db.check(engine)
    finally:
        await engine.dispose()
    found = [Finding(not fault, "the database answers and is migrated", fault)]
    try:
        stale = {fault.path: str(fault) for fault in services.unindexed(plan)}
    except AppError as error:  # of the PostgreSQL that holds the indexes
        stale = {source.corpus: str(error) for source in plan.sources()}
    for corpus in dict.fromkeys(source.corpus for source in plan.sources()):
        fresh = f"the index of {corpus.as_posix()} is fresh"
        found.append(Finding(corpus not in stale, fresh, stale.get(corpus, "")))
    for name in sorted({source.encoder for source in plan.sources()} - {""}):
        lacks = embed.lacking(plan.registry.models[name])
        found.append(Finding(not lacks, f"the encoder '{name}' has what it needs", lacks))
    return found


def port_is_free(port: int) -> Finding:
    """Whether the app can listen on its port."""
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    remedy = f"stop what listens there, or: uv run app dev --port {port + 1}"
    return Finding(not taken, f"port {port} is free", remedy)
