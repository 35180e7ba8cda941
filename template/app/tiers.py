"""Ask the first model that answers usably; the next one is the fallback."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelContextWindowExceededError,
    ModelRequestRejectedError,
    UnexpectedModelBehavior,
)
from pydantic_ai.messages import (
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    UserPromptPart,
)
from pydantic_ai.models import Model as Client
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings

from app import text
from app.errors import TiersExhausted
from app.events import Emit, Event, ignore
from app.features import Feature
from app.models import VERSION, Model
from app.passages import Passage
from app.prompts import Rendered

log = logging.getLogger(__name__)


class InvalidOutput(Exception):
    """A model's answer does not fit the feature's Output."""


@dataclass(frozen=True)
class Completion:
    """An answer that fits the schema, with what it took."""

    output: BaseModel
    text: str
    name: str
    model: Model
    input_tokens: int
    output_tokens: int


async def complete(
    feature: Feature,
    models: dict[str, Model],
    clients: dict[str, Client],
    asked: Rendered,
    found: list[Passage],
    emit: Emit,
) -> Completion:
    """Try the models in order; raise TiersExhausted when none gives an answer that fits.

    A rejected request (wrong key, unknown model) is not retried elsewhere: hiding it would cost
    the fallback's price for ever.
    """
    for name, model in models.items():
        try:
            response = await ask(feature, model, clients[name], asked, emit)
            output = read(feature, response.text or "", found)
        except ModelContextWindowExceededError as error:  # another model may have a larger window
            log.warning("model failed", extra={"model": name, "fault": f"{type(error).__name__}: {error}"})
        except ModelRequestRejectedError as error:
            log.error("model refused the request", extra={"model": name, "fault": str(error)})
            break
        except (ModelAPIError, UnexpectedModelBehavior, InvalidOutput) as error:
            log.warning("model failed", extra={"model": name, "fault": f"{type(error).__name__}: {error}"})
            emit(Event("restart", {"model": name}))
        else:
            return Completion(output, response.text or "", name, model, *tokens(response, asked))
    raise TiersExhausted("no model could answer; try again in a few seconds")


async def ask(feature: Feature, model: Model, client: Client, asked: Rendered, emit: Emit) -> ModelResponse:
    """One call of one model, streamed where somebody listens."""
    messages = [ModelRequest(parts=[UserPromptPart(asked.user)], instructions=asked.system)]
    settings, wanted = shape(feature, model)
    if emit is ignore:
        return await model_request(client, messages, model_settings=settings, model_request_parameters=wanted)
    async with model_request_stream(
        client, messages, model_settings=settings, model_request_parameters=wanted
    ) as stream:
        async for piece in pieces(stream):
            emit(Event("delta", {"text": piece}))
        return stream.get()


async def pieces(stream: object) -> AsyncIterator[str]:
    """The text of a stream as it comes."""
    async for event in stream:  # type: ignore[attr-defined]
        if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
            piece = event.part.content
        elif isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
            piece = event.delta.content_delta
        else:
            continue
        if piece:
            yield piece


def shape(feature: Feature, model: Model) -> tuple[ModelSettings, ModelRequestParameters]:
    """Limits, and the JSON schema in the form that the model's server understands."""
    settings = ModelSettings(max_tokens=feature.spec.max_tokens, temperature=0)
    if feature.spec.output == "text" or model.provider == "keyless" or model.json_mode == "prompt":
        return settings, ModelRequestParameters()
    schema = feature.Output.model_json_schema()
    if model.json_mode == "object":
        # llama.cpp's servers take the schema in this place and refuse the other.
        settings["extra_body"] = {"response_format": {"type": "json_object", "schema": schema}}
        return settings, ModelRequestParameters()
    wanted = OutputObjectDefinition(json_schema=schema, name=feature.name)
    return settings, ModelRequestParameters(output_mode="native", output_object=wanted)


def read(feature: Feature, said: str, found: list[Passage]) -> BaseModel:
    """The answer as the feature's Output; raise InvalidOutput if it does not fit."""
    try:
        if feature.finish:
            return feature.Output.model_validate(feature.finish(said, found))
        if feature.spec.output == "text":
            return feature.Output.model_validate({next(iter(feature.Output.model_fields)): said})
        return feature.Output.model_validate_json(unfence(said))
    except (ValidationError, ValueError) as error:
        raise InvalidOutput(str(error).splitlines()[0]) from error


def unfence(said: str) -> str:
    """JSON without the code fence that many models put around it."""
    body = said.strip()
    if body.startswith("```"):
        body = body.partition("\n")[2].rpartition("```")[0]
    return body


def tokens(response: ModelResponse, asked: Rendered) -> tuple[int, int]:
    """Input and output tokens; estimated where the endpoint sends none, since unknown is not zero."""
    usage = response.usage
    if response.model_name != VERSION and usage.input_tokens and usage.output_tokens:
        return usage.input_tokens, usage.output_tokens
    given = text.count_tokens(asked.system) + text.count_tokens(asked.user)
    return given, text.count_tokens(response.text or "")
