"""Typed tools of a feature: checked arguments, bounded in steps, never offered to words of others."""

import json

import pytest

from tests import kit

STEPS = '''
"""Own steps."""

from app import tools


{decorator}
def price(item: str) -> str:
    """Dollars of an item."""
    return f"{{item}} costs <b>7</b>"


TOOLS = [price]
'''
CALL = {"name": "price", "arguments": json.dumps({"item": "tea"})}


@pytest.fixture
def tooled(project):
    """The feature `note` with a tool."""

    def written(decorator: str = "@tools.trusted") -> None:
        kit.write("features/note/steps.py", STEPS.format(decorator=decorator))

    return written


async def ask(said: list, heard: list, feature: str = "note", given: object = kit.TEXT):
    """One request to a provider that says these things one after the other."""
    with kit.serve(kit.provider(said=said, heard=heard)) as url:
        kit.models(first=url)
        async with kit.site() as site:
            return await site.post(feature, given)


async def test_a_tool_is_called_and_its_result_is_delimited(tooled):
    tooled()
    heard = []
    said = await ask([CALL, '{"result": "seven"}'], heard)
    assert said.json()["output"] == {"result": "seven"}
    assert [t["function"]["name"] for t in heard[0]["tools"]] == ["price"]
    told = heard[1]["messages"][-1]["content"]
    assert told == "<tool_result>\ntea costs &lt;b>7&lt;/b>\n</tool_result>"


async def test_words_of_others_end_the_use_of_tools(tooled):
    tooled(decorator="")
    heard = []
    await ask([CALL, '{"result": "seven"}'], heard)
    assert "tools" in heard[0]
    assert "tools" not in heard[1]


async def test_a_turn_with_documents_gets_no_tools(tooled, project):
    tooled()
    kit.write("features/ask/steps.py", (project / "features/note/steps.py").read_text())
    heard = []
    await ask(["Fourteen days. [1]"], heard, "ask", kit.QUESTION)
    assert "tools" not in heard[0]


async def test_steps_are_bounded(tooled):
    tooled()
    kit.edit("features/note/feature.toml", "[slo]", "max_steps = 2\n\n[slo]")
    heard = []
    said = await ask([CALL], heard)
    assert said.status_code == 503
    assert len(heard) == 2


async def test_wrong_arguments_are_told_to_the_model(tooled):
    tooled()
    heard = []
    await ask([{"name": "price", "arguments": '{"thing": 1}'}, '{"result": "x"}'], heard)
    assert "wrong arguments" in heard[1]["messages"][-1]["content"]
