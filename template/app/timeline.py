"""The timeline: incidents and the steps of rollouts and experiments on one page, without a script."""

from datetime import datetime
from html import escape
from pathlib import Path
from string import Template

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import alerts, db, incidents
from app.ledger import Incident, Trial, TrialEvent

PAGE = Path(__file__).with_suffix(".html")
NONE = "<li><p>Nothing has happened yet.</p></li>"


async def page(engine: AsyncEngine) -> str:
    """The whole page, the newest first."""
    found, now = await incidents.every(engine), db.now()
    async with AsyncSession(engine) as session:
        query = select(TrialEvent, Trial).join(Trial, Trial.id == TrialEvent.trial_id)
        steps = [(event, trial) for event, trial in await session.execute(query)]
    entries = [(db.aware(one.detected_at), broke(one, now)) for one in found]
    entries += [(db.aware(event.at), step(event, trial)) for event, trial in steps]
    entries.sort(key=lambda entry: entry[0], reverse=True)
    times = [incidents.told(time) if time else "-" for time in incidents.mean_times(found)]
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        at=clock(now), detect=times[0], restore=times[1], count=len(found),
        open=sum(one.restored_at is None for one in found), lanes=lanes(found, now),
        entries="\n".join(entry for _, entry in entries) or NONE,
    )  # fmt: skip


def clock(at: datetime) -> str:
    """A time for people and programs."""
    told = alerts.when(at)
    return f'<time datetime="{told}">{told[:10]} {told[11:19]}</time>'


def over(one: Incident, now: datetime) -> datetime:
    """When an incident was over: not before now while it is open."""
    return db.aware(one.restored_at) if one.restored_at else now


def lanes(found: list[Incident], now: datetime) -> str:
    """A row for each feature with its incidents over time."""
    if not found:
        return ""
    first = min(db.aware(one.began_at) for one in found)
    whole = (now - first).total_seconds() or 1.0
    rows = []
    for feature in sorted({one.feature for one in found}):
        bars = ""
        for one in (one for one in found if one.feature == feature):
            left = (db.aware(one.began_at) - first).total_seconds() / whole
            wide = (over(one, now) - db.aware(one.began_at)).total_seconds() / whole
            place = f"left: min({left:.2%}, 100% - .35rem); width: {wide:.2%}"
            bars += f'<a href="#{escape(one.id)}" style="{place}" title="{escape(one.said)}">{one.id}</a>'
        rows.append(f'<dt>{escape(feature)}</dt><dd class="lane">{bars}</dd>')
    ends = f'<p class="ends">{clock(first)}{clock(now)}</p>'
    return f"<section><h2>Over time</h2><dl>{''.join(rows)}</dl>{ends}</section>"


def broke(one: Incident, now: datetime) -> str:
    """An incident: its span as a bar, the part before it was seen lighter."""
    began = db.aware(one.began_at)
    whole = (over(one, now) - began).total_seconds() or 1.0
    unseen = min(1.0, (db.aware(one.detected_at) - began).total_seconds() / whole)
    ended = f"restored after {incidents.span(one)}" if one.restored_at else "<strong>open</strong>"
    return f"""<li class="incident" id="{escape(one.id)}">{clock(one.detected_at)}<div>
<h3>{escape(one.feature)}: incident</h3><p>{escape(one.said)}</p>
<div class="span" style="--unseen: {unseen:.2%}"></div>
<p class="dim">began {clock(one.began_at)}, detected after {incidents.detected_after(one)}, {ended};
{len(one.cases)} requests: <code>uv run ops incident show {escape(one.id)}</code></p></div></li>"""


def step(event: TrialEvent, trial: Trial) -> str:
    """A step of a rollout or an experiment."""
    what = f"{trial.feature}: {trial.kind} {event.what}"
    return f"""<li>{clock(event.at)}<div><h3>{escape(what)}</h3><p>{escape(event.said)}</p>
<p class="dim">by {escape(event.actor)}, {escape(trial.id)}</p></div></li>"""
