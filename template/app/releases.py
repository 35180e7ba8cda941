"""What a person does with rollouts: begin one that policy and gate allow, read it, take a step by hand."""

from statistics import fmean

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import candidate, controller, db, flagedit, flagfile, flags, flagstore, policy, shadow, trials
from app.db import Tenant, Usage
from app.errors import Invalid
from app.features import Feature
from app.ledger import Shadow, Trial
from app.services import Plan
from app.trials import Step

# Of fewer the smallest share may be nobody.
FEW = 100


async def begin(
    engine: AsyncEngine, plan: Plan, name: str, release: str, who: str
) -> tuple[Trial, list[str]]:
    """Begin a rollout; gives it with what its starter should know.

    Raises Invalid or NotAllowed: unknown names, nothing new, a red gate, a policy that forbids its models, or
    another trial of the feature.
    """
    feature = known(plan, name, release)
    await require_news(engine, plan, feature, release)
    candidate.load(plan, feature, release)
    began = await trials.begin(engine, plan, feature, release, who)
    return began, await notes(engine, plan, feature)


def known(plan: Plan, name: str, release: str) -> Feature:
    """The feature of a release; raise Invalid for what is not there, NotAllowed where policy forbids it."""
    feature = plan.features.get(name)
    if feature is None:
        raise Invalid(f"no feature '{name[:40]}' (known: {', '.join(plan.features)})")
    prompt, tier = candidate.parts(feature, release)
    if prompt not in feature.prompts:
        raise Invalid(f"{name} has no prompt '{prompt[:40]}' (known: {', '.join(feature.prompts)})")
    if tier and tier not in plan.registry.tiers:
        raise Invalid(f"no model has tier '{tier[:40]}' (known: {', '.join(sorted(plan.registry.tiers))})")
    if not release:
        raise Invalid("name what is new: --prompt VERSION, --tier TIER or both")
    models = plan.registry.in_tiers([tier] if tier else feature.spec.tiers)
    policy.permit(plan.policy, feature.spec.use_case, models)
    return feature


async def require_news(engine: AsyncEngine, plan: Plan, feature: Feature, release: str) -> None:
    """Raise Invalid where a release is what the feature answers with, or its flag has a rule of its own."""
    async with AsyncSession(engine) as session:
        held = await flagstore.newest(session)
    live = flagfile.merged(plan.flags, held.document)
    core, nobody = flags.core(live, plan.settings.flags_file), flags.Who()
    stable, new = (flags.choose(core, feature, nobody, release=one) for one in ("", release))
    if stable.variant == new.variant:
        raise Invalid(f"that is what {feature.name} answers with already; name another --prompt or --tier")
    for kind in ("prompt", "tier"):
        name = f"{feature.name}.{kind}"
        flagedit.overrides(live["flags"].get(name, {}))
        if plan.flags["flags"].get(name, {}).get("targeting"):
            raise Invalid(
                f"{name} has a rule in config/flags.json, which a rollout would end; take it out first"
            )


async def notes(engine: AsyncEngine, plan: Plan, feature: Feature) -> list[str]:
    """What makes a rollout slow or coarse here."""
    rule, said = feature.spec.rollout, []
    if rule.shadow.requests and (why := await unshadowed(engine, plan, feature)):
        said.append(f"it waits in the shadow: {why}, or set [rollout.shadow] requests = 0")
    columns = {"tenant": [Usage.tenant_id], "user": [Usage.tenant_id, Usage.user_id]}.get(rule.unit, [])
    if columns:
        units = select(*columns).where(Usage.feature == feature.name).distinct().subquery()
        async with engine.connect() as connection:
            count = await connection.scalar(select(func.count()).select_from(units)) or 0
        if count < FEW:
            what = f"{count} {rule.unit}s have asked so far: {rule.steps[0]} % of them may be nobody, or all"
            said.append(f'{what}; [rollout] unit = "request" in feature.toml draws each request')
    return said


async def unshadowed(engine: AsyncEngine, plan: Plan, feature: Feature) -> str:
    """Why no request of a feature can be asked of a candidate, with the remedy; nothing where some can."""
    if feature.tools:
        return "its tools are off there, so it would say nothing; leave the shadow out"
    if not plan.policy.use_cases[feature.spec.use_case].shadow:
        return f"policy allows none; set use_cases.{feature.spec.use_case}.shadow in config/policy.toml"
    async with engine.connect() as connection:
        willing = await connection.scalar(select(func.count()).where(Tenant.shadow))
    if plan.settings.auth == "required" and not willing:
        return "no tenant has agreed to it; uv run app tenant shadow NAME on"
    return ""


async def findings(engine: AsyncEngine, trial: Trial) -> list[str]:
    """What the numbers say: what the shadow showed, and of an open rollout the word on each part."""
    query = select(Shadow).where(Shadow.trial_id == trial.id, Shadow.state == "done")
    seen = await db.rows(engine, query)
    apart = [shadow.disagreement(one.candidate or {}, one.stable) for one in seen]
    said = f"shadow: {len(seen)} answers, {fmean(apart or [0]):.0%} of their words other than stable's"
    found = (await controller.judged(engine, trial)).findings if trials.is_open(trial) else ()
    return [*([said] if seen else []), *(f"{one.word:<4}  {one}" for one in found)]


async def by_hand(
    engine: AsyncEngine, plan: Plan, which: str, state: str, reason: str, who: str
) -> tuple[Trial, Step]:
    """Stop a rollout, or take its next step; raise Invalid where it has ended or moves just now."""
    trial = await trials.find(engine, which)
    if not trials.is_open(trial):
        raise Invalid(f"{trial.id} has ended: {trial.state}, {trial.said}")
    step = Step("stopped", 0, reason) if state == "stopped" else trials.onward(trial, reason)
    if not await trials.move(engine, plan, trial, step, who):
        raise Invalid(f"{trial.id} was moved by somebody else just now; look at it and try again")
    return trial, step


def advice(trial: Trial, step: Step) -> list[str]:
    """What is left to do after a step."""
    if step.state != "done":
        return []
    prompt, _, tier = trials.release(trial).partition("/")
    lines = [f'prompt = "{prompt}"'] if prompt else []
    lines += [f'tiers = ["{tier}"]'] if tier else []
    place = f"features/{trial.feature}/feature.toml"
    rest = "uv run gate accept, deploy, uv run ops flags reset"
    return [f"make it permanent: {', '.join(lines)} in {place}, {rest}"]
