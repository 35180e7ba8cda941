"""The one path that every request takes, top to bottom."""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from app import (
    budget,
    cache,
    flags,
    guard,
    leak,
    outcome,
    policy,
    recall,
    reply,
    shadow,
    shape,
    shelf,
    text,
    tiers,
)
from app.access import Caller
from app.ask import Ask
from app.bill import Bill
from app.conversation import History
from app.errors import Blocked, Invalid
from app.events import Emit, Event, ignore
from app.features import Feature
from app.outlet import Outlet
from app.passages import Passage
from app.prompts import Prompt
from app.row import Row
from app.services import Services
from app.sieve import Sieve
from app.tiers import Call, Target

# It gives the feature's Output, and the model's words as the guard left them.
Asked = Call[tuple[BaseModel, str]]


@dataclass(frozen=True)
class Answer:
    """The response's body; what the model `said` before the caller's own data came back; row and passages."""

    body: dict[str, Any]
    said: dict[str, Any]
    row: Row
    passages: list[Passage]


async def answer(services: Services, ask: Ask, emit: Emit = ignore) -> Answer:
    """Answer one request; raise an AppError that says why not. Either way one usage row is written."""
    feature, spec, plan = ask.feature, ask.feature.spec, services.plan
    async with outcome.recorded(services, ask) as kept:
        row = kept.row
        caller = await admitted(services, ask, row)
        checked = guard.check_input(spec.guard, await prepared(ask))
        row.flags += checked.flags
        who, economy = flags.Who(caller.id, ask.user, ask.id), plan.economises(feature, caller)
        choice = flags.choose(services.flags.core, feature, who, ask.tier, ask.release, economy=economy)
        prompt = feature.prompts[choice.prompt]
        row.prompt, row.variant, row.arm = prompt.version, choice.variant, choice.arm
        asked_models = plan.registry.in_tiers(choice.tiers)
        decision = policy.permit(plan.policy, spec.use_case, asked_models, checked.classes)
        row.policy, models = decision.said, decision.allowed

        bill, targets = Bill(), services.targets(feature, models)
        try:
            owner = caller.id, ask.user, ask.conversation
            history, summarised = await recall.history(services, feature, owner, targets, checked.vault, bill)
            found = [*ask.planted, *await searched(services, feature, caller, checked.values, row)]
            context = min(model.context for model in models.values())
            fitted = budget.fit(feature, prompt, checked.values, found, history.tokens(), context)
            canary = leak.canary(plan.settings.pepper.get_secret_value(), prompt.digest)
            if ask.durable:
                await services.recorder.keep(outcome.begun(ask, row, plan.settings.lease_s))
            emit(Event("meta", {"id": row.id, "feature": feature.name, "prompt": prompt.version}))

            own = ask.conversation or any(passage.page.startswith(shelf.OWN) for passage in fitted.passages)
            told = (fitted.asked.system, fitted.asked.user, fitted.passages, history.digest(), list(models))
            scope = "" if spec.shared_cache and not own else caller.id
            key = cache.key(scope, feature.name, plan.digests[feature.name], *told)
            secret = (prompt.system, canary) if spec.guard.leak == "block" else leak.NOTHING
            outlet = Outlet(row, lambda: Sieve(spec.guard, leak.Watch(*secret)), checked.vault, emit)
            async with services.cache.once(key, spec.cache_ttl_s):
                stored = await services.cache.get(key, spec.cache_ttl_s)
                if stored is None:
                    call = called(ask, prompt, canary, fitted, history, row)
                    stored = await completed(call, targets, bill, outlet)
                    await services.cache.put(key, stored, spec.cache_ttl_s)
                else:
                    row.cached, row.flags = True, [*row.flags, *stored.get("flags", [])]
                    outlet.replay(stored["text"])
        finally:
            billed(row, bill)
        row.model = stored["model"]
        output = feature.Output.model_validate(checked.vault.restore_all(stored["output"]))
        kept.body = reply.body(output, row, fitted.cut, summarised)
        shadow.compare(services, ask, caller, choice, stored["output"], row)
        return Answer(kept.body, stored["output"], row, fitted.passages)


async def admitted(services: Services, ask: Ask, row: Row) -> Caller:
    """The tenant behind the request: key, budget and rate are checked, a job's when it was taken."""
    if ask.caller is None:
        services.recorder.admit()
    caller = ask.caller or await services.access.caller(ask.key)
    row.tenant_id = caller.id
    if ask.caller is None:
        await services.limits.check(caller.id, caller.rate_per_minute)
    return caller


async def prepared(ask: Ask) -> dict[str, str]:
    """The input's fields as a prompt shows them, through the feature's own prepare() where it has one.

    Raises Invalid where they are no Unicode, or show nothing: a model would make something of it.
    """
    given = ask.feature.prepare(ask.given) if ask.feature.prepare else ask.given
    values = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in given.model_dump(mode="json").items()
    }
    if any(text.HALF.search(value) for value in values.values()):
        raise Invalid("the input holds half of a character (an unpaired surrogate); send valid Unicode")
    if not any(text.has_ink(value) for value in values.values()):
        raise Invalid("the input holds nothing that can be read; send some text")
    return values


async def searched(
    services: Services, feature: Feature, caller: Caller, values: dict[str, str], row: Row
) -> list[Passage]:
    """The passages for this input, where vectors fail by words alone; none for a feature without a search."""
    wanted, spec = feature.spec.retrieval, feature.spec
    if not wanted:
        return []
    source, scope = services.plan.source(wanted, caller.id), "" if spec.shared_cache else caller.id
    asked = values[wanted.query], wanted.k, scope, spec.cache_ttl_s
    found = await services.library.search(source, *asked)
    row.flags += ["words-only"] if found.words_only else []
    return found.passages


def called(ask: Ask, prompt: Prompt, canary: str, fitted: budget.Fitted, history: History, row: Row) -> Asked:
    """The call: instructions with the canary, the user's part, how the model's words are checked and read."""
    feature, rules = ask.feature, ask.feature.spec.guard

    def read(said: str) -> tuple[BaseModel, str]:
        checked = guard.check_output(rules, said, prompt, canary)
        row.flags += [flag for flag in checked.flags if flag not in row.flags]
        return shape.read(feature, checked.text, fitted.passages), checked.text

    # A turn that carries documents gets no tools: their words may ask for one.
    offered = {} if fitted.passages or ask.shadow else feature.tools
    system = leak.marked(fitted.asked.system, canary) if rules.leak != "off" else fitted.asked.system
    limits = feature.spec.max_steps, feature.spec.restart
    return Call(system, fitted.asked.user, read, history.messages(), offered, *limits)


async def completed(call: Asked, targets: list[Target], bill: Bill, outlet: Outlet) -> dict[str, Any]:
    """The answer as the cache keeps it; what was shown of one that is blocked or mended is taken back."""
    known = len(outlet.row.flags)
    try:
        done = await tiers.complete(call, targets, bill, outlet.send)
        output, said = done.output
        if said == done.text:
            outlet.end()
        else:
            outlet.retract()
    except Blocked:
        outlet.retract()
        raise
    found = outlet.row.flags[known:]
    return {"output": output.model_dump(mode="json"), "text": said, "model": done.name, "flags": found}


def billed(row: Row, bill: Bill) -> None:
    """Put what all calls took into the row, those that failed included."""
    row.input_tokens, row.output_tokens, row.cost_usd = bill.input_tokens, bill.output_tokens, bill.cost_usd
    row.failed_models, row.estimated = bill.failed_models, bill.estimated
