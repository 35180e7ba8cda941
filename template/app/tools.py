"""Typed tools that steps.py declares, as in TOOLS = [look_up]. What they say is never an instruction."""

import json
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from pydantic_ai.messages import ToolCallPart, ToolReturnPart
from pydantic_ai.tools import Tool, ToolDefinition

MAX_CHARACTERS = 8_000


def trusted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a tool whose results are our own data: the model may use tools again after reading them."""
    function.trusted = True  # type: ignore[attr-defined]
    return function


def load(functions: list[Callable[..., Any]]) -> dict[str, Tool[None]]:
    """The tools by name; types and docstrings become their JSON schema."""
    return {function.__name__: Tool(function, takes_ctx=False) for function in functions}


def definitions(tools: dict[str, Tool[None]]) -> list[ToolDefinition]:
    """What the model is told of them."""
    return [tool.tool_def for tool in tools.values()]


async def run(tools: dict[str, Tool[None]], call: ToolCallPart) -> ToolReturnPart:
    """Run one call; a wrong name or argument is told to the model, which may mend it."""
    tool = tools.get(call.tool_name)
    if tool is None:
        return told(call, f"no tool '{call.tool_name[:40]}' (known: {', '.join(tools)})")
    try:
        given = tool.function_schema.validator.validate_python(call.args_as_dict())
    except (ValidationError, ValueError) as error:
        return told(call, f"wrong arguments: {str(error)[:500]}")
    said = await tool.function_schema.call(given, None)  # type: ignore[arg-type]  # takes no context
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False, default=str)
    return told(call, f"<tool_result>\n{text[:MAX_CHARACTERS].replace('<', '&lt;')}\n</tool_result>")


def told(call: ToolCallPart, text: str) -> ToolReturnPart:
    """The result as the model reads it."""
    return ToolReturnPart(tool_name=call.tool_name, content=text, tool_call_id=call.tool_call_id)


def keep_offering(tools: dict[str, Tool[None]], calls: list[ToolCallPart]) -> bool:
    """Whether the next turn may use tools: not after words that somebody else wrote."""
    used = [tools[call.tool_name].function for call in calls if call.tool_name in tools]
    return all(getattr(function, "trusted", False) for function in used)
