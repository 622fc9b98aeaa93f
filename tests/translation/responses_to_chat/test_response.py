"""A whole response of OpenAI's chat for clients of OpenAI's responses."""

from typing import Any

import pytest

from shared.translation.notes import HIDE, BadResponse, ClientTool, Context, Settings
from shared.translation.responses_to_chat.response import response
from tests.translation import oracles
from tests.translation.contexts import TOKEN, context

MESSAGE = {"role": "assistant", "content": "Hello", "refusal": None}
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
COMPLETION = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-6", "usage": USAGE}


def call(arguments: Any = '{"city":"Rome"}', name: str = "weather", **members: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": "call_1", "type": "function", "function": function, **members}


def translated(
    _context: Context | None = None, finish: Any = "stop", choice: Any = None, **members: Any
) -> dict[str, Any]:
    one = {"index": 0, "message": {**MESSAGE, **members}, "finish_reason": finish, **(choice or {})}
    made = response({**COMPLETION, "choices": [one]}, _context or context())
    oracles.response(made)
    return made


def output(*given: Any, **members: Any) -> Any:
    return translated(*given, **members)["output"]


def with_tools(**tools: ClientTool) -> Context:
    made = context()
    made.notes.client_tools.update(tools)
    return made


def test_completion_becomes_a_response_with_all_members_of_its_api() -> None:
    assert translated() == {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "model": "gpt-6",
        "output": [
            {
                "type": "message",
                "id": "msg_1_0",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}],
            }
        ],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "auto",
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": None,
        "top_p": None,
        "truncation": "disabled",
        "user": None,
        "usage": {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 3},
            "total_tokens": 14,
        },
    }


def test_response_repeats_what_the_request_said() -> None:
    given = context(model="fast")
    tools = [{"type": "function", "name": "weather", "parameters": {}, "strict": False}]
    given.notes.repeated = {"metadata": {"a": "b"}, "tools": tools, "service_tier": "flex"}
    made = translated(given)
    assert (made["model"], made["metadata"], made["tools"]) == ("fast", {"a": "b"}, tools)
    assert made["service_tier"] == "flex"


def test_service_tier_is_the_one_that_was_used() -> None:
    choice = {"index": 0, "message": MESSAGE, "finish_reason": "stop"}
    assert response({"choices": [choice], "service_tier": "default"}, context())["service_tier"] == "default"


def test_response_without_id_and_usage_is_one_too() -> None:
    choice = {"index": 0, "message": MESSAGE, "finish_reason": "stop"}
    made = response({"choices": [choice]}, context())
    oracles.response(made)
    assert (made["id"], made["usage"]) == (f"resp_{TOKEN}", None)


def test_thought_text_and_calls_are_items_in_this_order() -> None:
    items = output(reasoning_content="Hm.", tool_calls=[call(), call("", id="call_2")], finish="tool_calls")
    assert [item["id"] for item in items] == ["rs_1_0", "msg_1_1", "fc_1_2", "fc_1_3"]
    assert items[0]["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert items[2] == {
        "type": "function_call",
        "id": "fc_1_2",
        "call_id": "call_1",
        "status": "completed",
        "name": "weather",
        "arguments": '{"city":"Rome"}',
    }
    assert (items[3]["call_id"], items[3]["arguments"]) == ("call_2", "{}")


def test_reasoning_is_hidden_by_the_setting() -> None:
    hidden = context(settings=Settings(reasoning=HIDE))
    assert [item["type"] for item in output(hidden, reasoning="Hm.")] == ["message"]
    assert [item["type"] for item in output(reasoning="Hm.")] == ["reasoning", "message"]


def test_no_text_is_no_message() -> None:
    assert output(content=None) == output(content="") == output(content=7) == []
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, 7]
    assert output(content=parts)[0]["content"][0]["text"] == "ab"


def test_calls_of_a_weak_server_get_ids_of_their_own() -> None:
    items = output(tool_calls=[call(), call(), call({"a": 1}, id=None)], content=None)
    assert [item["call_id"] for item in items] == ["call_1", "call_1_2", f"call_{TOKEN[:24]}"]
    assert items[2]["arguments"] == '{"a":1}'


def test_call_for_a_custom_tool_is_its_text() -> None:
    given = with_tools(patch=ClientTool("custom", "patch"))
    items = output(given, tool_calls=[call('{"input": "*** Begin"}', "patch")], content=None)
    assert items == [
        {
            "type": "custom_tool_call",
            "id": "ctc_1_0",
            "call_id": "call_1",
            "name": "patch",
            "input": "*** Begin",
        }
    ]
    assert given.notes.changed == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("*** Begin", "*** Begin"),
        ('{"patch": "*** Begin"}', "*** Begin"),
        ('{"a": "b", "c": "d"}', '{"a": "b", "c": "d"}'),
        ('{"input": 7}', '{"input": 7}'),
        ("{}", "{}"),
    ],
)
def test_custom_tool_gets_what_the_model_wrote_without_the_schema(arguments: str, text: str) -> None:
    given = with_tools(patch=ClientTool("custom", "patch", "files"))
    item = output(given, tool_calls=[call(arguments, "patch")], content=None)[0]
    assert (item["input"], item["namespace"], given.notes.changed) == (text, "files", ["tool_arguments"])
    silent = with_tools(patch=ClientTool("custom", "patch"))
    assert output(silent, tool_calls=[call("", "patch")], content=None)[0]["input"] == ""
    assert silent.notes.changed == []


def test_call_for_the_local_shell_is_its_command() -> None:
    given = with_tools(local_shell=ClientTool("local_shell", "local_shell"))
    written = '{"command": ["ls", "-l"], "env": {"A": "b"}, "timeout_ms": 5, "working_directory": 7, "x": 1}'
    assert output(given, tool_calls=[call(written, "local_shell")], content=None) == [
        {
            "type": "local_shell_call",
            "id": "lsh_1_0",
            "call_id": "call_1",
            "status": "completed",
            "action": {"type": "exec", "command": ["ls", "-l"], "env": {"A": "b"}, "timeout_ms": 5},
        }
    ]
    assert given.notes.changed == []


@pytest.mark.parametrize("arguments", ["ls", '{"command": "ls"}', '{"command": ["ls", 7], "env": {"a": 1}}'])
def test_shell_runs_nothing_when_the_model_wrote_no_command(arguments: str) -> None:
    given = with_tools(local_shell=ClientTool("local_shell", "local_shell"))
    item = output(given, tool_calls=[call(arguments, "local_shell")], content=None)[0]
    assert item["action"] == {"type": "exec", "command": [], "env": {}}
    assert given.notes.changed == ["tool_arguments"]


def test_call_of_a_tool_in_a_group_has_its_own_name_again() -> None:
    given = with_tools(maps__weather=ClientTool("function", "weather", "maps"))
    item = output(given, tool_calls=[call(name="maps__weather")], content=None)[0]
    assert (item["name"], item["namespace"]) == ("weather", "maps")


@pytest.mark.parametrize(
    ("finish", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("function_call", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("model_length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_reason_to_stop_is_the_status(finish: str, status: str, details: Any) -> None:
    made = translated(finish=finish)
    assert (made["status"], made["incomplete_details"]) == (status, details)
    assert made["output"][-1]["status"] == status


def test_only_the_last_item_is_incomplete() -> None:
    items = output(tool_calls=[call(), call(id="call_2")], finish="length")
    assert [item["status"] for item in items] == ["completed", "completed", "incomplete"]
    given = with_tools(patch=ClientTool("custom", "patch"))
    assert "status" not in output(given, tool_calls=[call(name="patch")], finish="length")[-1]


@pytest.mark.parametrize("finish", ["error", "of_next_year", None, 7])
def test_response_that_did_not_end_normally_is_an_error(finish: Any) -> None:
    with pytest.raises(BadResponse, match="did not end"):
        translated(finish=finish)


def test_refusal_is_a_part_of_the_message() -> None:
    assert output(refusal="I cannot.", content=None)[0]["content"] == [
        {"type": "refusal", "refusal": "I cannot."}
    ]


def test_citations_and_probabilities_stay_with_the_text() -> None:
    cited = {"start_index": 0, "end_index": 2, "title": "A", "url": "https://a.example"}
    token = {"token": "He", "bytes": None, "logprob": -0.5}
    logprobs = {"content": [{**token, "top_logprobs": [{**token, "bytes": [72]}]}, 7], "refusal": None}
    annotations = [{"type": "url_citation", "url_citation": cited}, {"type": "other"}, 7]
    part = output(annotations=annotations, choice={"logprobs": logprobs})[0]["content"][0]
    assert part["annotations"] == [{"type": "url_citation", **cited}]
    bare = {"token": "He", "bytes": [], "logprob": -0.5}
    assert part["logprobs"] == [{**bare, "top_logprobs": [{**bare, "bytes": [72]}]}]


def test_what_responses_cannot_say_is_reported() -> None:
    given = context()
    translated(given, audio={"id": "x"}, tool_calls=["?", {"type": "custom"}])
    assert given.notes.dropped == ["audio", "tool_calls"]


@pytest.mark.parametrize(
    "document", [{}, {"choices": []}, {"choices": [7]}, {"choices": [{"message": None}]}, {"choices": "x"}]
)
def test_response_without_a_choice_is_an_error(document: Any) -> None:
    with pytest.raises(BadResponse, match="no choice"):
        response(document, context())
