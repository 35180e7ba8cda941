"""The one path that every request takes, top to bottom."""

import json
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from app import budget, cache, flags, guard, policy, tenants, tiers
from app.errors import AppError, Blocked
from app.events import Emit, Event, ignore
from app.features import Feature
from app.keyless.model import pieces
from app.passages import Passage
from app.prompts import Prompt
from app.record import Row
from app.services import Services, digest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ask:
    """One request: what is asked of which feature, with which key; evals put `planted` passages first."""

    feature: Feature
    given: BaseModel
    key: str = ""
    planted: tuple[Passage, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The feature's output, the row that is recorded of it, and the passages that the model saw."""

    output: BaseModel
    row: Row
    passages: list[Passage]


async def answer(services: Services, ask: Ask, emit: Emit = ignore) -> Answer:
    """Answer one request; raise an AppError that says why not. Either way one usage row is written."""
    feature, spec, plan = ask.feature, ask.feature.spec, services.plan
    with recorded(services, feature) as row:
        caller = await tenants.authenticate(services.engine, plan.settings, ask.key)
        row.tenant_id = caller.id
        await services.limits.check(caller.id)

        checked = guard.check_input(spec.guard, as_text(ask.given))
        row.flags += checked.flags
        choice = flags.choose(plan.flags, feature, caller.id)
        prompt = feature.prompts[choice.prompt]
        row.prompt = prompt.version
        models = policy.permit(plan.policy, spec.use_case, plan.registry.in_tiers(choice.tiers))

        found = [*ask.planted, *search(services, feature, checked.values)]
        asked, passages = budget.fit(feature, prompt, checked.values, found)
        emit(Event("meta", {"id": row.id, "feature": feature.name, "prompt": prompt.version}))

        scope = "" if spec.shared_cache else caller.id
        key = cache.key(scope, asked=asked, models=list(models), state=digest(plan, feature))
        if stored := await cache.get(services.cache, key, spec.cache_ttl_s):
            return replay(feature, stored, row, passages, emit)

        done = await tiers.complete(
            feature, models, services.clients, asked, passages, watched(row, prompt, emit)
        )
        row.model, row.input_tokens, row.output_tokens = done.name, done.input_tokens, done.output_tokens
        row.cost_usd = done.model.cost_usd(done.input_tokens, done.output_tokens)
        row.flags += guard.check_output(spec.guard, done.text, prompt)

        kept = {"output": done.output.model_dump(mode="json"), "text": done.text, "model": done.name}
        await cache.put(services.cache, key, kept, spec.cache_ttl_s)
        return Answer(done.output, row, passages)


@contextmanager
def recorded(services: Services, feature: Feature) -> Iterator[Row]:
    """One usage row around a request: its outcome is `ok`, the error's code, or `cut`."""
    row = Row(uuid.uuid4().hex, feature.name)
    try:
        yield row
        row.outcome = "ok"
    except AppError as error:
        row.outcome = error.code
        row.flags += error.flags if isinstance(error, Blocked) else ()
        raise
    except Exception:
        row.outcome = "internal"
        log.exception("request failed", extra={"id": row.id, "feature": feature.name})
        raise
    finally:
        row.latency_ms = row.elapsed_ms()
        services.recorder.save(row)


def as_text(given: BaseModel) -> dict[str, str]:
    """The input's fields as a prompt shows them."""
    content = given.model_dump(mode="json")
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in content.items()
    }


def search(services: Services, feature: Feature, values: dict[str, str]) -> list[Passage]:
    """The passages for this input; none for a feature that searches nothing."""
    wanted = feature.spec.retrieval
    if not wanted:
        return []
    return services.indexes[wanted.corpus].search(values[wanted.query], wanted.k)


def watched(row: Row, prompt: Prompt, emit: Emit) -> Emit:
    """Stop a stream before the word that would complete a leak of the instructions."""
    if emit is ignore:
        return ignore
    said, send = [""], timed(row, emit)

    def check(event: Event) -> None:
        said[0] = said[0] + str(event.data["text"]) if event.kind == "delta" else ""
        if guard.leaks(said[0], prompt.system):
            raise Blocked("the answer repeated the instructions and was withheld", ("leak",))
        send(event)

    return check


def timed(row: Row, emit: Emit) -> Emit:
    """Note when the first piece of text went out."""
    if emit is ignore:
        return ignore

    def send(event: Event) -> None:
        if event.kind == "delta" and row.first_token_ms is None:
            row.first_token_ms = row.elapsed_ms()
        emit(event)

    return send


def replay(feature: Feature, stored: dict[str, Any], row: Row, passages: list[Passage], emit: Emit) -> Answer:
    """An answer from the cache, streamed as the first one was; it costs nothing."""
    row.cached, row.model = True, stored["model"]
    send = timed(row, emit)
    for piece in pieces(stored["text"]):
        send(Event("delta", {"text": piece}))
    return Answer(feature.Output.model_validate(stored["output"]), row, passages)
