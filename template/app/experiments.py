"""Experiments: what each variant showed beside the stable one, in words that hold however often one looks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from app import compare, db, evidence, rollout, trials
from app.compare import Arm
from app.errors import Invalid
from app.ledger import Trial
from app.rollout import Finding, Part
from app.services import Plan, Services
from app.trials import Step

# What an experiment is for; the others guard it.
GOALS: tuple[Part, ...] = ("quality", "cost", "slow")
STABLE = "stable"


@dataclass(frozen=True)
class Variant:
    """One arm: its release, its units and requests, and how each part differs from stable; none of stable.

    `breaches` are answers that a person must never have seen.
    """

    arm: str
    release: str
    units: int
    requests: int
    findings: tuple[Finding, ...] = ()
    breaches: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """`worse`, `better` or `open`: what is certain of it by now."""
        if self.harm:
            return "worse"
        is_safe = all(one.word == "pass" for one in self.findings)
        gains = any(one.part in GOALS and one.change.high < 0 for one in self.findings)
        return "better" if is_safe and gains else "open"

    @property
    def harm(self) -> str:
        """Why it must go, in words; nothing where it may stay."""
        failed = [f"worse than stable: {one}" for one in self.findings if one.word == "fail"]
        return next(iter([f"safety: {one}" for one in self.breaches] + failed), "")


async def look(services: Services, trial: Trial) -> None:
    """End an experiment with a variant that is worse for certain, or unsafe."""
    engine = services.engine
    for one in await variants(engine, trial):
        if one.harm:
            said = f"{one.release}: {one.harm}"
            step = Step("rolled-back", 0, said, [str(part) for part in one.findings])
            await trials.move(engine, services.plan, trial, step, trials.CONTROLLER)
            return


async def variants(engine: AsyncEngine, trial: Trial) -> list[Variant]:
    """Every arm with its numbers, the stable one last."""
    rule, names = trials.rule(trial), list(trial.arms)
    stable = trial.id + trials.STABLE
    sums = await evidence.arms(engine, names, rule.unit, stable, db.aware(trial.stepped_at))
    old = sums.get(stable, {})
    found = []
    for arm, release in trial.arms.items():
        new = sums.get(arm, {})
        count = new.get("errors", Arm())
        parts = findings(new, old, trial, len(names) - 1) if release else ()
        harm = evidence.breaches(new.get("flagged", Arm()), old.get("flagged", Arm())) if release else ()
        found.append(Variant(arm, release or STABLE, count.units, int(count.n), parts, harm))
    return found


def findings(
    new: Mapping[Part, Arm], old: Mapping[Part, Arm], trial: Trial, variants: int
) -> tuple[Finding, ...]:
    """Each part of a variant beside stable; nothing below the smallest sample."""
    rule = trials.rule(trial)
    seen = rollout.Evidence(new, old)
    enough = new.get("errors", Arm()).n >= rule.min_requests
    return tuple(rollout.finding(part, seen, rule, 100, variants) for part in rollout.SAID) if enough else ()


def winner(variants: list[Variant]) -> Variant | None:
    """The variant that is certainly better than stable and worse in nothing; of several the best."""
    better = [one for one in variants if one.word == "better"]
    return min(better, key=lambda one: quality(one), default=None)


def quality(variant: Variant) -> float:
    """The quality that a variant loses; a negative number is a gain."""
    return next((one.change.found for one in variant.findings if one.part == "quality"), math.inf)


async def begin(engine: AsyncEngine, plan: Plan, name: str, given: list[str], who: str) -> Trial:
    """Begin an experiment with releases that policy and the gate allow; raise Invalid otherwise."""
    from app import candidate, releases

    if not given or len(set(given)) != len(given) or len(given) > 5:
        raise Invalid("name one to five different variants: --variant v2 --variant v2/small")
    for release in given:
        candidate.load(plan, releases.known(plan, name, release), release)
    return await trials.experiment(engine, plan, plan.features[name], given, who)


async def stop(engine: AsyncEngine, plan: Plan, which: str, reason: str, who: str) -> Trial:
    """End an experiment: all requests go to the stable version again."""
    trial = await trials.find(engine, which)
    if trial.kind != "experiment" or not trials.is_open(trial):
        raise Invalid(f"{trial.id} is no open experiment")
    step = Step("stopped", 0, reason)
    await trials.move(engine, plan, trial, step, who)
    return trial


def least(variant: Variant) -> str:
    """What an experiment with few units cannot say."""
    if variant.units < compare.LEAST:
        return f"{variant.units} units of {compare.LEAST} that an interval needs"
    return ""
