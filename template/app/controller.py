"""Move rollouts on: a worker looks at each open one every second, and takes the step its numbers call for."""

import asyncio
import logging
import time
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app import (
    alerts,
    candidate,
    db,
    evidence,
    experiments,
    flagstore,
    incidents,
    rollout,
    shadow,
    slots,
    trials,
)
from app.compare import Arm
from app.errors import AppError
from app.ledger import Shadow, Trial
from app.rollout import Evidence, Verdict
from app.services import Services
from app.trials import ALL, Step

log = logging.getLogger(__name__)
TICK_S = 1
# After so long with too few requests the golden cases are asked, once a trial.
REPLAY_AFTER = timedelta(minutes=10)
GOLDEN = "golden"


class Clock:
    """How long a step has lasted: since this process saw it first, a clock that is set changes nothing."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[datetime, timedelta]] = {}

    def now(self, trial: Trial) -> datetime:
        """The time as if the clock had never been set since then."""
        running = timedelta(seconds=time.monotonic())
        at, ahead = self.seen.get(trial.id, (None, timedelta()))
        if at != trial.stepped_at:
            ahead = db.now() - db.aware(trial.stepped_at) - running
            self.seen[trial.id] = trial.stepped_at, ahead
        return db.aware(trial.stepped_at) + running + ahead


async def run(services: Services) -> None:
    """Keep the file of flags and move the trials, for ever; of several workers one moves them."""
    engine, config, clock = services.engine, services.plan.settings, Clock()
    while True:
        try:
            await mend(engine, services)
            async with slots.alone(engine, config.var_dir, "rollouts") as mine:
                if mine:
                    await tick(services, clock)
        except Exception as error:  # the loop must outlive a database that restarts
            log.warning("rollouts wait", extra={"fault": type(error).__name__})
        await asyncio.sleep(TICK_S)


async def tick(services: Services, clock: Clock) -> None:
    """Look at each open trial, and write down those that went back."""
    for trial in await trials.every(services.engine, ended=False):
        try:
            await trials.not_later(services.engine, trial, db.now())
            if trial.kind == "rollout":
                await look(services, trial, clock.now(trial))
            else:
                await experiments.look(services, trial)
        except Exception as error:  # one that cannot be judged must not keep another from going back
            told = f"{type(error).__name__}: {error}"
            log.warning("a trial cannot be judged", extra={"id": trial.id, "fault": told})
    await incidents.of_rollbacks(services.engine, db.now())


async def mend(engine: AsyncEngine, services: Services) -> None:
    """Bring this machine's file of flags to what holds; say who else wrote it, and what is faulty."""
    place = services.plan.settings.flags_file
    await flagstore.mend(engine, place)
    services.flags.look()
    if said := services.flags.fault:
        once = f"{db.now():%F} {said}"  # told once a day as long as it lasts
        await db.execute(engine, alerts.news(engine, "flags", place.name, said, once))


async def look(services: Services, trial: Trial, now: datetime) -> Verdict:
    """Judge a rollout, and take the step that follows."""
    engine = services.engine
    verdict = await judged(engine, trial)
    step = disowned(services, trial) or following(trial, verdict, now)
    if step is None:
        if verdict.said != trial.said:
            await trials.say(engine, trial, verdict.said)
        if now - db.aware(trial.stepped_at) > REPLAY_AFTER:
            await replay(services, trial)
        return verdict
    await trials.move(engine, services.plan, trial, step, trials.CONTROLLER)
    return verdict


def disowned(services: Services, trial: Trial) -> Step | None:
    """The end of a rollout whose candidate is not, in what is deployed now, what the gate judged."""
    feature = services.plan.features.get(trial.feature)
    try:
        if feature:
            candidate.load(services.plan, feature, trials.release(trial))
            return None
        said = f"no feature '{trial.feature}'"
    except AppError as error:
        said = str(error)
    return Step("stopped", 0, f"another version of the project is deployed: {said}")


def following(trial: Trial, verdict: Verdict, now: datetime) -> Step | None:
    """The step after this verdict; none while it waits. A clock put back only makes it wait longer."""
    rule, seen = trials.rule(trial), [str(one) for one in verdict.findings]
    since = now - db.aware(trial.stepped_at)
    if verdict.word == "fail":
        return Step("rolled-back", 0, verdict.said, seen)
    if verdict.word == "wait" and since >= timedelta(hours=rule.quiet_hours) and rule.on_quiet == "rollback":
        return Step("rolled-back", 0, f"no verdict in {rule.quiet_hours:g} hours; {verdict.said}", seen)
    if verdict.word == "wait" or since < timedelta(minutes=rule.min_minutes):
        return None
    return trials.onward(trial, verdict.said, seen)


async def judged(engine: AsyncEngine, trial: Trial) -> Verdict:
    """The word on a rollout as it stands; what golden cases say can end it, and never moves it on."""
    rule = trials.rule(trial)
    if trial.state == "shadow":
        enough = rule.model_copy(update={"min_requests": rule.shadow.requests})
        verdict = rollout.judge(await compared(engine, trial, golden=False), enough, rule.steps[0])
        spent = await shadow.spent(engine, trial.id, db.now())
        if verdict.word == "wait" and spent >= rule.shadow.daily_tokens:
            more = f"{spent:,} tokens are used, all of today ([rollout.shadow] daily_tokens)"
            return replace(verdict, said=f"{verdict.said}; {more}")
    else:
        verdict = rollout.judge(await served(engine, trial), rule, trial.percent)
    if verdict.word == "wait":
        golden = rollout.judge(await compared(engine, trial, golden=True), rule, ALL)
        if golden.word == "fail":
            return Verdict("fail", f"golden cases, beside stable: {golden.said}", golden.findings)
    return verdict


async def served(engine: AsyncEngine, trial: Trial) -> Evidence:
    """What the arms showed in front of callers in this step: at another share the hours were others."""
    rule, names = trials.rule(trial), [trial.id + trials.CANDIDATE, trial.id + trials.STABLE]
    sums = await evidence.arms(engine, names, rule.unit, names[1], db.aware(trial.stepped_at))
    new, old = sums.get(names[0], {}), sums.get(names[1], {})
    found = evidence.breaches(new.get("flagged", Arm()), old.get("flagged", Arm()))
    return Evidence(new, old, int(new["errors"].n if new else 0), found)


async def compared(engine: AsyncEngine, trial: Trial, *, golden: bool) -> Evidence:
    """What the shadow showed, answer by answer."""
    query = select(Shadow).where(Shadow.trial_id == trial.id, Shadow.state == "done")
    is_golden = Shadow.user_id == GOLDEN
    found = await db.rows(engine, query.where(is_golden if golden else ~is_golden))
    seen = evidence.paired([(one.candidate or {}, one.stable) for one in found])
    return replace(seen, breaches=evidence.breaches(seen.candidate["flagged"], seen.stable["flagged"]))


async def replay(services: Services, trial: Trial) -> None:
    """Have both versions asked the golden cases of the gate's record, once; nobody else asks them enough."""
    engine, feature = services.engine, services.plan.features.get(trial.feature)
    async with engine.connect() as connection:
        query = select(func.count()).where(Shadow.trial_id == trial.id, Shadow.user_id == GOLDEN)
        asked = await connection.scalar(query.select_from(Shadow))
    if asked or feature is None:
        return
    inputs = candidate.load(services.plan, feature, trials.release(trial)).replay
    rows = [
        {
            "id": f"{trial.id}-{number}", "trial_id": trial.id, "state": "waiting", "tokens": 0,
            "tenant_id": "", "user_id": GOLDEN, "given": given, "stable": {},
        }
        for number, given in enumerate(inputs)
    ]  # fmt: skip
    if rows:
        await db.execute(engine, insert(Shadow).values(rows))
