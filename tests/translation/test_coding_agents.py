"""Coding agents that speak OpenAI's responses, such as Codex, with a server that has chat only: by the SDK.

The server is in the same process. It gets the translated request, and its chunks come back as events.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx2
import pytest
from openai import APIError, OpenAI
from openai.types.responses import Response

from shared.providers.calls import OPENAI_CHAT, OPENAI_RESPONSES
from shared.translation import chat_to_responses, responses_to_chat
from shared.translation.framing import DONE, write_event
from shared.translation.notes import DEFAULTS, Notes, Untranslatable
from shared.translation.translation import Translation
from tests.translation import oracles, streams
from tests.translation.contexts import context
from tests.translation.streams import call_chunk, chunk

SHELL = {
    "type": "function",
    "name": "shell",
    "description": "Runs a command.",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"command": {"type": "array", "items": {"type": "string"}}},
        "required": ["command"],
    },
}
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Changes files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "*** Begin Patch"'},
}
SEARCH = {
    "type": "namespace",
    "name": "mcp__docs",
    "description": "Documents.",
    "tools": [{"type": "function", "name": "find", "parameters": {"type": "object"}, "strict": False}],
}
#: The members that an agent sends with each request.
AGENT: dict[str, Any] = {
    "model": "coder",
    "instructions": "You are a coding agent.",
    "tools": [SHELL, PATCH, {"type": "local_shell"}, SEARCH],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0199-session",
    "text": {"verbosity": "low"},
}
USAGE = {
    "prompt_tokens": 90,
    "completion_tokens": 30,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 64},
}
END = [chunk({}, "tool_calls"), {**chunk({}), "choices": [], "usage": USAGE}, DONE]


class Server:
    """A server that speaks one API, behind a translation.

    Attributes:
        streams: the events of its next responses.
        requests: the translated requests that it got.
        notes: those of the last one.
    """

    def __init__(self, translation: Translation, api: str, check: Callable[[Any], Any]) -> None:
        self.streams: list[Iterable[Any]] = []
        self.requests: list[Any] = []
        self.notes = Notes()
        self._translation = translation
        self._api = api
        self._check = check

    def client(self) -> OpenAI:
        http = httpx2.Client(transport=httpx2.MockTransport(self._handle))
        return OpenAI(api_key="k", base_url="http://gateway.example/v1", http_client=http, max_retries=0)

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        try:
            sent, self.notes = self._translation.request(json.loads(request.content), {}, DEFAULTS)
        except Untranslatable as error:
            return httpx2.Response(400, json={"error": {"message": str(error), "param": error.pointer}})
        self.requests.append(self._check(sent))
        events = streams.run(self._translation.events(context(notes=self.notes)), self.streams.pop(0))
        body = b"".join(write_event(event, self._api) for event in events)
        return httpx2.Response(200, content=body, headers={"Content-Type": "text/event-stream"})


def agent(*stream: Any) -> Server:
    """A server for an agent, whose first response is that stream of chunks."""
    server = Server(responses_to_chat.TRANSLATION, OPENAI_RESPONSES, oracles.chat_request)
    server.streams.append(stream)
    return server


def ask(server: Server, given: Any = "Fix it.", **members: Any) -> Response:
    with server.client().responses.stream(input=given, **AGENT | members) as stream:
        for _ in stream:
            pass
        return stream.get_final_response()


def calls(*pieces: Any) -> Any:
    return chunk({"tool_calls": list(pieces)})


def begin(index: int, name: str, arguments: str) -> Any:
    return call_chunk(index, arguments, id=f"call_{index}", type="function", name=name)


PARALLEL = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "I look at "}),
    chunk({"reasoning_content": "both."}),
    chunk({"content": "Reading."}),
    calls(begin(0, "shell", '{"command":'), begin(1, "shell", "")),
    calls(call_chunk(1, '{"command":["ls"]}'), call_chunk(0, '["cat","a"]}')),
    *END,
]


def test_agent_gets_thoughts_text_and_parallel_calls_with_usage() -> None:
    final = ask(agent(*PARALLEL))
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call", "function_call"]
    assert (final.status, final.output_text) == ("completed", "Reading.")
    reasoning, _, first, second = final.output
    assert [part.text for part in reasoning.summary] == ["I look at both."]
    assert (first.call_id, first.arguments) == ("call_0", '{"command":["cat","a"]}')
    assert (second.call_id, second.arguments) == ("call_1", '{"command":["ls"]}')
    assert (final.usage.input_tokens, final.usage.input_tokens_details.cached_tokens) == (90, 64)
    assert final.tools[0].name == "shell"


def test_agent_sends_back_all_items_and_the_server_reads_a_conversation() -> None:
    server = agent(*PARALLEL)
    first = ask(server)
    server.streams.append([chunk({"content": "Done."}), chunk({}, "stop"), DONE])
    history = [
        {"role": "user", "content": [{"type": "input_text", "text": "Fix it."}]},
        *[item.model_dump(exclude_none=True) for item in first.output],
        {"type": "function_call_output", "call_id": "call_0", "output": "text of a"},
        {"type": "function_call_output", "call_id": "call_1", "output": "a"},
    ]
    assert ask(server, history).output_text == "Done."
    messages = server.requests[1]["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool", "tool"]
    assert messages[2]["content"] == "Reading."
    assert [call["id"] for call in messages[2]["tool_calls"]] == ["call_0", "call_1"]


def test_server_gets_functions_for_all_tools_of_the_agent() -> None:
    server = agent(*PARALLEL)
    ask(server)
    sent = server.requests[0]
    names = [tool["function"]["name"] for tool in sent["tools"]]
    assert names == ["shell", "apply_patch", "local_shell", "mcp__docs__find"]
    assert (sent["stream_options"], sent["reasoning_effort"]) == ({"include_usage": True}, "medium")
    assert (sent["verbosity"], sent["prompt_cache_key"]) == ("low", "0199-session")
    assert not {"store", "include", "reasoning"} & sent.keys()
    assert server.notes.header(OPENAI_CHAT) == (
        "openai.chat; dropped=reasoning.summary,include.reasoning.encrypted_content; changed=tools.custom"
    )


def test_agent_gets_calls_of_its_own_kinds_of_tools() -> None:
    patch = "*** Begin Patch\n*** End Patch"
    stream = [
        calls(begin(0, "apply_patch", json.dumps({"input": patch}))),
        calls(begin(1, "local_shell", '{"command":["ls"],"timeout_ms":5}')),
        calls(begin(2, "mcp__docs__find", "{}")),
        *END,
    ]
    server = agent(*stream)
    final = ask(server)
    custom, shell, find = final.output
    assert (custom.type, custom.name, custom.input) == ("custom_tool_call", "apply_patch", patch)
    assert (shell.type, shell.action.command, shell.action.timeout_ms) == ("local_shell_call", ["ls"], 5)
    assert (find.type, find.name, find.namespace) == ("function_call", "find", "mcp__docs")
    server.streams.append([chunk({"content": "Done."}), chunk({}, "stop"), DONE])
    history = [
        *[item.model_dump(exclude_none=True) for item in final.output],
        {"type": "custom_tool_call_output", "call_id": "call_0", "output": "Done"},
        {"type": "local_shell_call_output", "id": "call_1", "output": "a"},
        {"type": "function_call_output", "call_id": "call_2", "output": "none"},
    ]
    ask(server, history)
    made = server.requests[1]["messages"][1]["tool_calls"]
    assert json.loads(made[0]["function"]["arguments"]) == {"input": patch}
    assert json.loads(made[1]["function"]["arguments"])["command"] == ["ls"]
    assert made[2]["function"]["name"] == "mcp__docs__find"


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"previous_response_id": "resp_1"}, "/previous_response_id"),
        ({"tools": [{"type": "web_search"}]}, "/tools/0/type"),
        ({"given": [{"type": "item_reference", "id": "msg_1"}]}, "/input/0/type"),
    ],
)
def test_agent_that_needs_a_server_with_a_memory_is_told_what_to_do(members: Any, pointer: str) -> None:
    with pytest.raises(APIError) as caught:
        ask(agent(), **members)
    assert caught.value.param == pointer


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        ([chunk({"content": "a"})], "server_error"),
        ([chunk({"content": "a"}), {"error": {"code": 429, "message": "Slow."}}], "rate_limit_exceeded"),
        ([{"error": {"message": "No memory."}}], "server_error"),
    ],
)
def test_agent_learns_that_a_stream_has_failed(stream: Any, code: str) -> None:
    with agent(*stream).client().responses.stream(input="Fix it.", **AGENT) as found:
        last = list(found)[-1]
    assert (last.type, last.response.status, last.response.error.code) == ("response.failed", "failed", code)


def test_agent_learns_that_the_model_stopped_at_its_limit() -> None:
    final_event = None
    stream = agent(chunk({"content": "a"}), chunk({}, "length"), DONE)
    with stream.client().responses.stream(input="Fix it.", **AGENT) as found:
        final_event = list(found)[-1]
    assert final_event.response.incomplete_details.reason == "max_output_tokens"


def test_client_of_chat_reaches_a_server_with_responses_only() -> None:
    server = Server(chat_to_responses.TRANSLATION, OPENAI_CHAT, oracles.responses_request)
    server.streams.append(streams.run(responses_to_chat.TRANSLATION.events(context()), PARALLEL))
    tool = {"type": "function", "function": {name: SHELL[name] for name in SHELL if name != "type"}}
    with server.client().chat.completions.stream(
        model="coder",
        messages=[{"role": "user", "content": "Fix it."}],
        tools=[tool],
        stream_options={"include_usage": True},
    ) as found:
        final = found.get_final_completion()
    message = final.choices[0].message
    assert (message.content, message.reasoning_content) == ("Reading.", "I look at both.")
    assert [call.function.arguments for call in message.tool_calls] == [
        '{"command":["cat","a"]}',
        '{"command":["ls"]}',
    ]
    assert (final.choices[0].finish_reason, final.usage.total_tokens) == ("tool_calls", 120)
    assert server.requests[0]["store"] is False
