"""The tools of a request of OpenAI's responses as functions of chat."""

from typing import Any, get_args, get_type_hints

import pytest
from openai.types.responses import ToolParam

from shared.translation.members import REJECT as REJECTED
from shared.translation.notes import DROP, ClientTool, Settings
from shared.translation.responses_to_chat.tools import TOOLS
from tests.translation.responses_to_chat.requests import literals, pointer_of, translate, translated

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {
    "type": "function",
    "name": "weather",
    "description": "Tells it.",
    "parameters": SCHEMA,
    "strict": True,
}
CUSTOM = {"type": "custom", "name": "patch", "description": "Changes files."}
FUNCTION = {"type": "function", "function": {name: TOOL[name] for name in TOOL if name != "type"}}
#: Names of the web search by date.
VERSIONS = {"web_search_2025_08_26", "web_search_preview_2025_03_11"}
LONG = "a_tool_" + "x" * 60


def functions(*tools: Any, **members: Any) -> list[Any]:
    return translate(tools=list(tools), **members)[0]["tools"]


def names(**members: Any) -> list[str]:
    return [tool["function"]["name"] for tool in translate(**members)[0].get("tools", ())]


def test_function_is_nested_with_all_its_members() -> None:
    assert translated(tools=[TOOL])["tools"] == [FUNCTION]
    bare = {"type": "function", "name": "now", "parameters": None, "strict": None}
    assert functions(bare) == [{"type": "function", "function": {"name": "now"}}]


def test_members_of_a_tool_that_chat_lacks_are_reported() -> None:
    more = {"defer_loading": True, "output_schema": {"a": 1}, "async": False, "allowed_callers": ["direct"]}
    assert translate(tools=[{**TOOL, **more}])[1].dropped == ["tools.defer_loading", "tools.output_schema"]


def test_custom_tool_is_a_function_with_a_text() -> None:
    made, notes = translate(tools=[CUSTOM])
    function = made["tools"][0]["function"]
    assert (function["name"], function["description"]) == ("patch", "Changes files.")
    assert function["parameters"]["required"] == ["input"]
    assert notes.client_tools == {"patch": ClientTool("custom", "patch")}
    assert notes.changed == ["tools.custom"]


def test_model_is_told_of_the_grammar_of_a_custom_tool() -> None:
    form = {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}
    function = functions({**CUSTOM, "format": form})[0]["function"]
    words = function["parameters"]["properties"]["input"]["description"]
    assert words.endswith("grammar (lark):\nstart: WORD")


def test_local_shell_is_a_function_with_a_command() -> None:
    made, notes = translate(tools=[{"type": "local_shell"}])
    assert made["tools"][0]["function"]["parameters"]["required"] == ["command"]
    assert notes.client_tools == {"local_shell": ClientTool("local_shell", "local_shell")}


def test_tools_in_a_group_have_the_names_of_both() -> None:
    group = {"type": "namespace", "name": "maps", "description": "Maps.", "tools": [TOOL, CUSTOM]}
    made, notes = translate(tools=[group])
    assert [tool["function"]["name"] for tool in made["tools"]] == ["maps__weather", "maps__patch"]
    assert notes.client_tools == {
        "maps__weather": ClientTool("function", "weather", "maps"),
        "maps__patch": ClientTool("custom", "patch", "maps"),
    }


def test_long_name_is_shortened_and_known() -> None:
    made, notes = translate(tools=[{**TOOL, "name": LONG}])
    short = made["tools"][0]["function"]["name"]
    assert len(short) == 64
    assert notes.client_tools == {short: ClientTool("function", LONG)}


def test_tools_are_those_of_the_sdk_and_none_is_forgotten() -> None:
    kinds = {kind for tool in get_args(ToolParam) for kind in literals(get_type_hints(tool)["type"])}
    assert kinds - VERSIONS == set(TOOLS)


HOSTED = [name for name, one in TOOLS.items() if one.action == REJECTED]


@pytest.mark.parametrize("kind", [*HOSTED, None, ["function"]])
def test_tool_of_openais_servers_is_rejected_with_the_way_out(kind: Any) -> None:
    assert pointer_of(tools=[TOOL, {"type": kind}]) == "/tools/1/type"
    made, notes = translate(tools=[TOOL, {"type": kind}], settings=Settings(unsupported=DROP))
    assert (made["tools"], notes.dropped) == ([FUNCTION], ["tools"])
    assert notes.repeated["tools"] == [TOOL]


@pytest.mark.parametrize("kind", ["namespace", "local_shell"])
def test_group_has_functions_and_custom_tools_only(kind: str) -> None:
    group = {"type": "namespace", "name": "maps", "tools": [{"type": kind, "name": "x", "tools": []}]}
    assert pointer_of(tools=[group]) == "/tools/0/tools/0/type"


@pytest.mark.parametrize(
    ("tool", "where"),
    [
        ({**TOOL, "name": None}, "name"),
        ({**TOOL, "description": 7}, "description"),
        ({**TOOL, "parameters": []}, "parameters"),
        ({"type": "namespace", "tools": []}, "name"),
        ({"type": "namespace", "name": "x"}, "tools"),
    ],
)
def test_tool_that_is_none_is_rejected(tool: Any, where: str) -> None:
    assert pointer_of(tools=[tool]) == f"/tools/0/{where}"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "auto"),
        ("required", "required"),
        ("none", "none"),
        ({"type": "function", "name": "weather"}, {"type": "function", "function": {"name": "weather"}}),
        ({"type": "custom", "name": "patch"}, {"type": "function", "function": {"name": "patch"}}),
        ({"type": "local_shell"}, {"type": "function", "function": {"name": "local_shell"}}),
    ],
)
def test_choice_of_a_tool_is_that_of_chat(choice: Any, expected: Any) -> None:
    tools = [TOOL, CUSTOM, {"type": "local_shell"}]
    made, _ = translate(tools=tools, tool_choice=choice, parallel_tool_calls=False)
    assert (made["tool_choice"], made["parallel_tool_calls"]) == (expected, False)


def test_tools_that_are_not_allowed_are_left_out() -> None:
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "patch"}]}
    assert names(tools=[TOOL, CUSTOM], tool_choice=allowed) == ["patch"]
    assert translate(tools=[TOOL, CUSTOM], tool_choice=allowed)[0]["tool_choice"] == "required"
    assert names(tools=[TOOL], tool_choice={**allowed, "tools": []}) == []


def test_choice_of_a_tool_of_openais_servers_is_rejected() -> None:
    search = {"type": "web_search_preview"}
    assert pointer_of(tools=[TOOL], tool_choice=search) == "/tool_choice/type"
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [search]}
    assert pointer_of(tools=[TOOL], tool_choice=allowed) == "/tool_choice/tools/0/type"
    settings = Settings(unsupported=DROP)
    assert "tool_choice" not in translate(tools=[TOOL], tool_choice=search, settings=settings)[0]
    assert names(tools=[TOOL], tool_choice=allowed, settings=settings) == []


@pytest.mark.parametrize("choice", ["sometimes", 7, {"name": "weather"}])
def test_choice_that_is_none_is_rejected(choice: Any) -> None:
    assert pointer_of(tools=[TOOL], tool_choice=choice) == "/tool_choice"


def test_without_tools_there_is_nothing_to_choose() -> None:
    assert translated(tools=[], tool_choice="auto", parallel_tool_calls=True) == translated()
