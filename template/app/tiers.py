"""Ask the first model that answers usably; the next one is the fallback."""

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelContextWindowExceededError,
    ModelRequestRejectedError,
    UnexpectedModelBehavior,
)
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ToolCallPart,
    UserPromptPart,
)
from pydantic_ai.models import Model as Client
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import Tool

from app import text, tools
from app.bill import Bill
from app.breaker import Breaker
from app.errors import TiersExhausted
from app.events import Emit, Event, ignore
from app.models import VERSION, Model

log = logging.getLogger(__name__)
T = TypeVar("T")
REPAIR = "That answer cannot be used ({fault}). Reply again, with the corrected answer alone."
# What another model may do better; anything else is a defect of ours and stays loud.
FAILURES = (ModelAPIError, UnexpectedModelBehavior, TimeoutError)


class InvalidOutput(Exception):
    """A model's answer does not fit what was asked for."""


class Silent(InvalidOutput):
    """A model answered without a word."""


@dataclass(frozen=True)
class Target:
    """One model ready to be asked: what the registry says, its client, and its breaker."""

    name: str
    model: Model
    client: Client
    breaker: Breaker
    settings: ModelSettings
    wanted: ModelRequestParameters


@dataclass(frozen=True)
class Call(Generic[T]):
    """What is asked; `read` turns the model's words into the answer or raises InvalidOutput."""

    system: str
    user: str
    read: Callable[[str], T]
    history: tuple[ModelMessage, ...] = ()
    tools: dict[str, Tool[None]] = field(default_factory=dict)
    max_steps: int = 1
    restart: bool = True


@dataclass(frozen=True)
class Completion(Generic[T]):
    """An answer that fits, and the model that gave it."""

    output: T
    text: str
    name: str


@dataclass
class Turn:
    """One model's try: the messages so far, and what has been shown of its words."""

    call: Call[Any]
    target: Target
    bill: Bill
    emit: Emit
    messages: list[ModelMessage]
    shown: str = ""

    def show(self, piece: str) -> None:
        """Stream one piece."""
        self.shown += piece
        self.emit(Event("delta", {"text": piece}))


async def complete(call: Call[T], targets: list[Target], bill: Bill, emit: Emit) -> Completion[T]:
    """Try the models in order; raise TiersExhausted when none gives an answer that fits.

    A rejected request (wrong key, unknown model) is not retried elsewhere: hiding it would cost
    the fallback's price for ever.
    """
    for target in targets:
        if not target.breaker.lets_through():
            continue
        request = ModelRequest(parts=[UserPromptPart(call.user)], instructions=call.system)
        turn = Turn(call, target, bill, emit, [*call.history, request])
        try:
            said, output = await usable(turn)
        except ModelContextWindowExceededError as error:  # another model may have a larger window
            failed(turn, error)
        except ModelRequestRejectedError as error:
            log.error("model refused the request", extra={"model": target.name, "fault": str(error)})
            bill.faults.append(f"{target.name}: {error}")
            break
        except FAILURES as error:
            target.breaker.note(ok=False)
            failed(turn, error)
        except (InvalidOutput, UnicodeEncodeError) as error:  # the latter: too odd to be sent back
            failed(turn, error)
        else:
            target.breaker.note(ok=True)
            return Completion(output, said, target.name)
        if turn.shown and not call.restart:
            break
        emit(Event("restart", {"model": target.name}))
    raise TiersExhausted(bill.faults)


def failed(turn: Turn, error: Exception) -> None:
    """Note a model that did not answer."""
    fault = f"{type(error).__name__}: {error}"
    turn.bill.faults.append(f"{turn.target.name}: {fault}")
    log.warning("model failed", extra={"model": turn.target.name, "fault": fault})


async def usable(turn: Turn) -> tuple[str, Any]:
    """The model's words and what they mean; words that do not fit get one chance to be mended."""
    said = await converse(turn)
    try:
        return said, turn.call.read(said)
    except InvalidOutput as error:
        if turn.target.model.provider == "keyless" or (turn.shown and not turn.call.restart):
            raise
        turn.messages.append(ModelRequest(parts=[UserPromptPart(REPAIR.format(fault=error))]))
    if turn.shown:
        turn.emit(Event("restart", {"model": turn.target.name}))
    turn.shown = ""
    said = await converse(turn)
    return said, turn.call.read(said)


async def converse(turn: Turn) -> str:
    """Call the model, run the tools it asks for, and call it again, at most `max_steps` times."""
    offered = turn.call.tools
    for _ in range(turn.call.max_steps):
        response = await once(turn, offered)
        turn.messages.append(response)
        asked = [part for part in response.parts if isinstance(part, ToolCallPart)]
        if not asked:
            if not (response.text or "").strip():
                raise Silent("the model said nothing")
            return response.text or ""
        results = [await tools.run(offered, part) for part in asked]
        turn.messages.append(ModelRequest(parts=results, instructions=turn.call.system))
        offered = offered if tools.keep_offering(offered, asked) else {}
    raise InvalidOutput(f"no answer after {turn.call.max_steps} steps")


async def once(turn: Turn, offered: dict[str, Tool[None]]) -> ModelResponse:
    """One call of the model, streamed where somebody listens; what it took is billed, whole or cut."""
    target, before = turn.target, len(turn.shown)
    wanted = target.wanted
    if offered:
        wanted = ModelRequestParameters(
            function_tools=tools.definitions(offered),
            output_mode=wanted.output_mode,
            output_object=wanted.output_object,
        )
    asked = {"model_settings": target.settings, "model_request_parameters": wanted}
    if turn.emit is ignore:
        response = await model_request(target.client, turn.messages, **asked)  # type: ignore[arg-type]
        charge(turn, response)
        return response
    try:
        async with model_request_stream(target.client, turn.messages, **asked) as stream:  # type: ignore[arg-type]
            async for piece in pieces(stream):
                turn.show(piece)
            response = stream.get()
    except BaseException:
        if len(turn.shown) > before:
            turn.bill.estimated = True
            turn.bill.add(target.model, count(turn), text.count_tokens(turn.shown[before:]))
        raise
    charge(turn, response)
    return response


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


def charge(turn: Turn, response: ModelResponse) -> None:
    """Bill a call by the endpoint's own count; one that sends none is estimated: unknown is not zero."""
    used, model = response.usage, turn.target.model
    if response.model_name != VERSION and used.input_tokens and used.output_tokens:
        turn.bill.add(model, used.input_tokens, used.output_tokens)
        return
    turn.bill.estimated |= model.provider != "keyless"
    turn.bill.add(model, count(turn), text.count_tokens(response.text or ""))


def count(turn: Turn) -> int:
    """An estimate of the tokens that were sent."""
    said = [turn.call.system]
    for message in turn.messages:
        said += [str(getattr(part, "content", "")) for part in message.parts]
    return sum(text.count_tokens(part) for part in said)
