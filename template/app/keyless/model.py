"""The keyless model behind the same interface as every other model."""

import asyncio
import re
from collections.abc import AsyncIterator

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import RequestUsage

from app import models, text
from app.keyless import write


def model() -> FunctionModel:
    """The model, in this process."""
    return FunctionModel(respond, stream_function=stream, model_name=models.VERSION)


async def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """One whole answer; temperature and length limits are accepted and have no effect."""
    system, user = parts(messages, info)
    said = await asyncio.to_thread(write.reply, system, user)
    used = text.count_tokens(system) + text.count_tokens(user)
    usage = RequestUsage(input_tokens=used, output_tokens=text.count_tokens(said))
    return ModelResponse(parts=[TextPart(said)], usage=usage)


async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
    """The same answer, word by word."""
    for piece in pieces(await asyncio.to_thread(write.reply, *parts(messages, info))):
        yield piece


def pieces(said: str) -> list[str]:
    """An answer cut into words with the space before them; joined they give the answer back."""
    return re.findall(r"\s*\S+|\s+$", said)


def parts(messages: list[ModelMessage], info: AgentInfo) -> tuple[str, str]:
    """The instructions and the last thing the user said."""
    said = [
        part.content if isinstance(part.content, str) else ""
        for message in messages
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, UserPromptPart)
    ]
    return info.instructions or "", said[-1] if said else ""
