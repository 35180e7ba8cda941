"""Rollouts and experiments: begun by a person, moved by a worker, a step and its flags in one transaction."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import alerts, db, flagedit, flagstore
from app.db import Json
from app.errors import Invalid, NotFound
from app.features import Feature
from app.files import Strict
from app.flags import SHADOW, Document
from app.ledger import Trial, TrialEvent
from app.services import Plan
from app.spec import Rollout, Shadow

CANDIDATE, STABLE = "-candidate", "-stable"
ALL = 100
# Who takes the steps that no person does.
CONTROLLER = "controller"


@dataclass(frozen=True)
class Step:
    """Where a trial goes: its state, the candidate's percent of the requests, and why."""

    state: str
    percent: int
    said: str
    seen: Sequence[str] = ()


def release(trial: Trial) -> str:
    """What the candidate of a rollout is: a prompt, a tier after a slash, or both."""
    return trial.arms[trial.id + CANDIDATE]


def rule(trial: Trial) -> Rollout:
    """The feature's [rollout] as it was when the trial began."""
    try:
        return Rollout.model_validate(trial.rule)
    except ValidationError:  # of an older version of the project: what this one does not know is gone
        shadow = known(Shadow, trial.rule.get("shadow", {}))
        return Rollout.model_validate({**known(Rollout, trial.rule), "shadow": shadow})


def known(model: type[Strict], told: Json) -> Json:
    """The keys that a model has."""
    return {key: value for key, value in told.items() if key in model.model_fields}


def is_open(trial: Trial) -> bool:
    """Whether it still moves."""
    return trial.ended_at is None


async def begin(engine: AsyncEngine, plan: Plan, feature: Feature, release: str, who: str) -> Trial:
    """Begin a rollout, in the shadow where there is one; raise Invalid where the feature has a trial."""
    name, rule = f"{feature.name}-{uuid.uuid4().hex[:6]}", feature.spec.rollout
    arms = {name + CANDIDATE: release, name + STABLE: ""}
    first = Step("shadow", 0, "asked beside stable") if rule.shadow.requests else canary(rule.steps[0])
    trial = Trial(
        id=name, kind="rollout", feature=feature.name, arms=arms, rule=rule.model_dump(mode="json"),
        state=first.state, percent=first.percent, said=first.said, actor=who,
    )  # fmt: skip
    began = Step(first.state, first.percent, f"began with {release}")
    return await opened(engine, plan, trial, began)


async def experiment(
    engine: AsyncEngine, plan: Plan, feature: Feature, releases: list[str], who: str
) -> Trial:
    """Begin an experiment: stable and each release get the same share of the requests."""
    name, rule = f"{feature.name}-{uuid.uuid4().hex[:6]}", feature.spec.rollout
    arms = {f"{name}-{n}": one for n, one in enumerate(releases, start=1)} | {name + STABLE: ""}
    trial = Trial(
        id=name, kind="experiment", feature=feature.name, arms=arms, rule=rule.model_dump(mode="json"),
        state="running", percent=ALL // len(arms), said="", actor=who,
    )  # fmt: skip
    began = Step("running", trial.percent, f"began: {', '.join(releases)}")
    return await opened(engine, plan, trial, began)


def canary(percent: int) -> Step:
    """A share of the requests for the candidate."""
    return Step("canary", percent, f"{percent} % of the requests")


def onward(trial: Trial, said: str, seen: Sequence[str] = ()) -> Step:
    """The next step of a rollout."""
    larger = [percent for percent in rule(trial).steps if percent > trial.percent]
    return Step("canary", larger[0], said, seen) if larger else Step("done", ALL, said, seen)


async def opened(engine: AsyncEngine, plan: Plan, trial: Trial, step: Step) -> Trial:
    """Write a new trial and its flags."""

    async def save(session: AsyncSession) -> Trial:
        session.add(trial)
        await session.flush()
        note(session, trial.id, trial.actor, step)
        await flagstore.add(session, trial.actor, f"{trial.id}: {step.said}", edit(trial), plan.check_flags)
        said = f"{trial.id} {step.said} ({trial.actor})"
        await session.execute(alerts.news(engine, trial.kind, trial.feature, said))
        return trial

    held = await current(engine, trial.feature)
    if held is None:
        try:
            async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
                await save(session)
            await flagstore.write(engine, plan.settings.flags_file)
            return trial
        except IntegrityError:
            held = await current(engine, trial.feature)
    open_ = held.id if held else "another change of the flags"
    raise Invalid(f"feature '{trial.feature}' has a trial already: {open_}; stop it first")


async def move(engine: AsyncEngine, plan: Plan, trial: Trial, step: Step, who: str) -> bool:
    """Take a step with its flags; False where somebody else moved the trial meanwhile.

    The step, its flags and the word to who listens are one transaction, and the file follows it: whoever
    dies between them, the next worker writes the file.
    """
    try:
        async with AsyncSession(engine) as session, session.begin():
            held = await session.get(Trial, trial.id, with_for_update=True)
            if held is None or (held.state, held.percent) != (trial.state, trial.percent):
                return False
            held.state, held.percent, held.said = step.state, step.percent, step.said
            held.stepped_at = db.now()
            if step.state in ("done", "rolled-back", "stopped"):
                held.ended_at = held.stepped_at
            note(session, held.id, who, step)
            await flagstore.add(session, who, f"{held.id}: {step.said}", edit(held), plan.check_flags)
            said = f"{trial.id} {step.state} {step.percent} %: {step.said} ({who})"
            await session.execute(alerts.news(engine, trial.kind, trial.feature, said))
    except IntegrityError:
        return False
    await flagstore.write(engine, plan.settings.flags_file)
    return True


async def not_later(engine: AsyncEngine, trial: Trial, now: datetime) -> None:
    """Begin a step anew that begins later than now: the clock was put back, nothing would count for it."""
    if db.aware(trial.stepped_at) <= now:
        return
    later = Trial.id == trial.id, Trial.stepped_at > now
    await db.execute(engine, update(Trial).where(*later).values(stepped_at=now))
    trial.stepped_at = now


async def say(engine: AsyncEngine, trial: Trial, said: str) -> None:
    """Keep the last word on a trial that waits, for `status`."""
    async with AsyncSession(engine) as session, session.begin():
        if (held := await session.get(Trial, trial.id)) and is_open(held):
            held.said = said


def note(session: AsyncSession, name: str, who: str, step: Step) -> None:
    """Add a step to the trial's record."""
    what = f"{step.state} {step.percent} %" if step.state == "canary" else step.state
    told = {"actor": who, "what": what, "said": step.said, "seen": [*step.seen]}
    session.add(TrialEvent(id=uuid.uuid4().hex, trial_id=name, **told))


def edit(trial: Trial) -> Callable[[Document], dict[str, Any]]:
    """What a trial in this state makes of the flags."""

    def apply(document: Document) -> dict[str, Any]:
        flag = f"{trial.feature}.{trial.kind}"
        made = flagedit.put(document, flag, shares(trial))
        if trial.state != "done":
            return made
        prompt, _, tier = release(trial).partition("/")
        for kind, value in (("prompt", prompt), ("tier", tier)):
            if value:
                name = f"{trial.feature}.{kind}"
                made = flagedit.put(made, name, flagedit.valued(document["flags"].get(name), value))
        return made

    return apply


def shares(trial: Trial) -> dict[str, Any] | None:
    """The trial's own flag; None once it has ended."""
    own = rule(trial)
    if trial.state == "shadow":
        percent = max(1, round(own.shadow.share * ALL))
        asked = {trial.id + SHADOW: (release(trial), percent), trial.id + STABLE: ("", ALL - percent)}
        return flagedit.trial(asked, "request")
    if trial.state == "canary":
        split = {trial.id + CANDIDATE: trial.percent, trial.id + STABLE: ALL - trial.percent}
        return flagedit.trial({arm: (trial.arms[arm], split[arm]) for arm in split}, own.unit)
    if trial.state == "running":
        rest = ALL - trial.percent * (len(trial.arms) - 1)
        parts = {arm: (one, trial.percent if one else rest) for arm, one in trial.arms.items()}
        return flagedit.trial(parts, own.unit)
    return None


async def every(engine: AsyncEngine, *, ended: bool) -> list[Trial]:
    """Trials, the newest first; the open ones alone, or all."""
    query = select(Trial).order_by(Trial.at.desc())
    return await db.rows(engine, query if ended else query.where(Trial.ended_at.is_(None)))


async def current(engine: AsyncEngine, feature: str) -> Trial | None:
    """The open trial of a feature."""
    found = await db.rows(engine, select(Trial).where(Trial.feature == feature, Trial.ended_at.is_(None)))
    return found[0] if found else None


async def find(engine: AsyncEngine, name: str) -> Trial:
    """A trial by its id, or the last one of a feature; raise NotFound where there is none."""
    query = select(Trial).where((Trial.id == name) | (Trial.feature == name)).order_by(Trial.at.desc())
    if found := await db.rows(engine, query.limit(1)):
        return found[0]
    raise NotFound(f"no rollout or experiment '{name[:40]}'")


async def events(engine: AsyncEngine, name: str) -> list[TrialEvent]:
    """The steps of a trial, the first one first."""
    query = select(TrialEvent).where(TrialEvent.trial_id == name)
    return await db.rows(engine, query.order_by(TrialEvent.at))
