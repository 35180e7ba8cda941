"""The client's page: what was promised and what came of it, from what is stored and from nothing else."""

import asyncio
import json
import math
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from app import alerts, db, quality, seed, slo, watch
from app.db import Usage
from app.features import Feature
from app.row import SERVED
from app.services import Plan
from gate import history, paper, report


def write(plan: Plan, days: int, past: Path | None = None) -> Path:
    """Write handover.html on the last `days`; `past` is another history than the reports' own."""
    folder, now = plan.settings.var_dir / report.FOLDER, db.now()
    runs, unread = history.read(past or folder / history.NAME)
    content = {
        "title": plan.settings.title, "days": days, "at": alerts.when(now), "runs": runs, "unread": unread,
        "gate": report.measured(folder / report.NAME), "safety": report.measured(folder / "safety.json"),
        "promises": {name: slo.promises(feature) for name, feature in plan.features.items()},
        "accepted": {name: accepted(feature) for name, feature in plan.features.items()},
        "burn_rate": slo.burn_rate, "least": slo.LEAST, "when": alerts.when,
    }  # fmt: skip
    content |= asyncio.run(lived(plan, now, timedelta(days=days)))
    return paper.write(folder / "handover.html", content)


async def lived(plan: Plan, now: datetime, span: timedelta) -> dict[str, object]:
    """Traffic of the span and of the one before it, and the alerts of the span; or the database's fault."""
    engine, seconds, since = db.connect(plan.settings.database_url), int(span.total_seconds()), now - span
    try:
        if fault := await db.check(engine):
            return {"fault": fault}
        seen, before = [await watch.served(engine, plan.features, at, seconds) for at in (now, since)]
        p95_ms = {name: await slow(engine, name, since, int(seen[name]["served"])) for name in seen}
        told = await alerts.every(engine, resolved=True)
        return {"seen": seen, "before": before, "p95_ms": p95_ms, "alerts": told, "since": alerts.when(since)}
    finally:
        await engine.dispose()


async def slow(engine: AsyncEngine, feature: str, since: datetime, served: int) -> float | None:
    """The p95 of served requests in milliseconds, nearest rank."""
    query = select(Usage.latency_ms).order_by(Usage.latency_ms).offset(math.ceil(0.95 * served) - 1).limit(1)
    query = query.where(Usage.feature == feature, Usage.outcome.in_(SERVED), Usage.model != seed.MODEL)
    async with engine.connect() as connection:
        return await connection.scalar(query.where(Usage.at >= since)) if served else None


def accepted(feature: Feature) -> list[tuple[str, dict[str, object]]]:
    """Date and content of the first accepted result in git and of the last; none without git."""
    folder, name = feature.folder, quality.path(feature.folder).name
    try:
        commits = [line.split() for line in git(folder, "log", "--format=%h %cs", "--", name).splitlines()]
        ends = [commits[-1], commits[0]] if len(commits) > 1 else commits
        return [(date, json.loads(git(folder, "show", f"{commit}:./{name}"))) for commit, date in ends]
    except (OSError, ValueError):
        return []


def git(folder: Path, *words: str) -> str:
    """What git says in a folder; nothing where it refuses."""
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True).stdout
