"""SDKs and coding agents whose model is at a provider that speaks another API."""

import gzip
import json
from typing import Any

import anthropic
import openai
import pytest

from tests.end_to_end.translated import (
    SECRET,
    World,
    events,
    read_all,
    said,
    streamed,
    upstreams,
    world,
    written,
)
from tests.support.models import CUT
from tests.support.upstream import sized
from tests.support.wait import await_true, until
from tests.translation.test_sdks import SCHEMA, TURN, weather_of_anthropic, weather_of_openai

__all__ = ["upstreams", "world"]  # fixtures


def test_sdk_of_openai_calls_tools_of_anthropics_model(world: World) -> None:
    upstream = world.model("claude", weather_of_anthropic)
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
    asked: Any = {"model": "claude", "tools": [tool], "stream_options": {"include_usage": True}}
    with world.openai as client:
        with client.chat.completions.stream(messages=TURN, **asked) as stream:
            made = stream.get_final_completion()
        calls = made.choices[0].message.tool_calls or []
        assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Rome", "Oslo"]
        assert (made.choices[0].finish_reason, made.usage and made.usage.total_tokens) == ("tool_calls", 37)
        results: Any = [
            {"role": "tool", "tool_call_id": call.id, "content": f"{9 - at}°"}
            for at, call in enumerate(calls)
        ]
        called: Any = {"role": "assistant", "tool_calls": [call.model_dump() for call in calls]}
        last = client.chat.completions.with_raw_response.create(
            model="claude", messages=[*TURN, called, *results], tools=[tool], seed=1
        )
    assert last.parse().choices[0].message.content == "9° and 8°"
    assert last.headers["x-gateway-translated"] == "anthropic.messages; dropped=seed"
    sent = upstream.last
    assert (sent.target, sent.get("x-api-key"), sent.all("authorization")) == ("/v1/messages", SECRET, [])
    assert sent.get("content-type") == "application/json"


def test_sdk_of_anthropic_calls_tools_of_openais_model(world: World) -> None:
    upstream = world.model("chat", weather_of_openai)
    asked: Any = {"model": "chat", "max_tokens": 99, "tools": [{"name": "weather", "input_schema": SCHEMA}]}
    with world.anthropic as client:
        with client.messages.stream(messages=TURN, extra_query={"beta": "true"}, **asked) as stream:
            made = stream.get_final_message()
        calls = [block for block in made.content if block.type == "tool_use"]
        assert [call.input["city"] for call in calls] == ["Rome", "Oslo"]
        assert (made.stop_reason, made.usage.input_tokens, made.usage.output_tokens) == ("tool_use", 25, 12)
        results: Any = [
            {"type": "tool_result", "tool_use_id": call.id, "content": f"{9 - at}°"}
            for at, call in enumerate(calls)
        ]
        turns: Any = [
            *TURN,
            {"role": "assistant", "content": made.content},
            {"role": "user", "content": results},
        ]
        last = client.messages.create(messages=turns, **asked)
    assert [block.text for block in last.content if block.type == "text"] == ["9° and 8°"]
    sent = upstream.last
    assert (sent.target, sent.get("authorization")) == ("/v1/chat/completions", f"Bearer {SECRET}")
    assert [sent.get(name) for name in ("x-api-key", "anthropic-version", "anthropic-beta")] == [None] * 3


# The requests of coding agents, see tests/translation/test_coding_agents.py.


def test_claude_code_counts_tokens_of_a_model_without_a_counter(world: World) -> None:
    text = "Where is the bug in this file?" * 50
    with world.anthropic as client:
        counted = client.messages.with_raw_response.count_tokens(
            model="chat", messages=[{"role": "user", "content": text}]
        )
    assert counted.headers["x-gateway-estimated"] == "1"
    assert 250 < counted.parse().input_tokens < 800


def test_request_that_cannot_be_translated_is_rejected_with_its_place(world: World) -> None:
    upstream = world.model("claude", lambda _: {})
    before = len(upstream.received)
    with world.openai as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="claude", messages=TURN, n=2)
    error = caught.value
    assert (error.code, "/n " in error.message, "n=1" in error.message or "n " in error.message) == (
        "untranslatable", True, True,
    )  # fmt: skip
    server: Any = {"type": "web_search_20260209", "name": "web_search"}
    with world.anthropic as client, pytest.raises(anthropic.BadRequestError) as failed:
        client.messages.create(model="chat", max_tokens=9, messages=TURN, tools=[server])
    assert failed.value.type == "invalid_request_error"
    assert "/tools/0" in failed.value.message
    assert len(upstream.received) == before


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, openai.BadRequestError), (429, openai.RateLimitError), (529, openai.InternalServerError)],
)
def test_error_of_anthropic_has_the_shape_and_the_status_of_openai(
    world: World, status: int, expected: type[openai.APIStatusError]
) -> None:
    error = {"type": "error", "error": {"type": "some_error", "message": "This is too long."}}
    world.model("claude", lambda _: (status, error))
    model = "claude-limited" if status == 429 else "claude"
    with world.openai as client, pytest.raises(expected) as caught:
        client.chat.completions.create(model=model, messages=TURN)
    assert caught.value.status_code == {529: 503}.get(status, status)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["message"] == "This is too long."
    assert caught.value.response.headers["x-gateway-error-source"] == "upstream"


def test_error_of_openai_has_the_shape_and_the_status_of_anthropic(world: World) -> None:
    world.model("chat", lambda _: (503, {"error": {"message": "Busy.", "type": "server_error"}}))
    with world.anthropic as client, pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(model="chat", max_tokens=9, messages=TURN)
    assert (caught.value.status_code, caught.value.type) == (529, "overloaded_error")
    assert "Busy." in caught.value.message


REPEATED = json.dumps({"error": {"message": f"The key {SECRET} is wrong."}}).encode()
LONG = json.dumps({"error": {"message": "x" * 1000 + SECRET}}).encode()


@pytest.mark.parametrize(
    ("body", "status", "fields", "expected"),
    [
        (REPEATED, "422 Unprocessable Entity", (), 422),
        (gzip.compress(REPEATED), "422 Unprocessable Entity", ("Content-Encoding: gzip",), 422),
        (REPEATED.replace(b"sk-", b"\\u0073k-"), "422 Unprocessable Entity", (), 422),
        (REPEATED, "200 OK", (), 502),
        (gzip.compress(REPEATED), "200 OK", ("Content-Encoding: gzip",), 502),
        (LONG, "422 Unprocessable Entity", (), 422),
        (LONG, "200 OK", (), 502),
    ],
    ids=["plain", "gzip", "escapes", "success", "gzip-success", "cut", "cut-success"],
)
def test_error_that_repeats_the_secret_of_the_gateway_is_translated_without_it(
    world: World, body: bytes, status: str, fields: tuple[str, ...], expected: int
) -> None:
    upstream = world.model("claude", lambda _: said("Hi"))
    upstream.responds(sized(body, status, "Content-Type: application/json", *fields))
    asked = {"model": "claude", "messages": TURN}
    found = world.tenant.request("POST", "/v1/chat/completions", json=asked)
    assert upstream.last.get("x-api-key") == SECRET
    assert (found.status_code, "[redacted]" in found.text, "sk-provider" in found.text) == (
        expected,
        True,
        False,
    )


@pytest.mark.parametrize("path", ["chat/completions", "responses", "messages"])
@pytest.mark.parametrize("is_stream", [True, False], ids=["stream", "whole"])
def test_success_that_tells_an_error_reaches_no_client_with_the_secret_of_the_gateway(
    world: World, path: str, is_stream: bool
) -> None:
    error = {"type": "error", "error": {"type": "api_error", "message": f"The key {SECRET} is wrong."}}
    world.model("claude", lambda _: [*events("Hi")[:3], error] if is_stream else error)
    asked = (
        {"model": "claude", "messages": TURN} if path != "responses" else {"model": "claude", "input": "Hi"}
    )
    found = world.tenant.request("POST", f"/v1/{path}", json={**asked, "stream": is_stream})
    assert ("[redacted]" in found.text, SECRET in found.text) == (True, False)


def test_response_that_is_not_of_its_api_is_not_half_translated(world: World) -> None:
    world.model("claude", lambda _: {"content": "not a list", "role": "assistant", "id": SECRET})
    with world.openai as client, pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="claude", messages=TURN)
    assert (caught.value.status_code, caught.value.body["code"]) == (502, "translation_failed")
    log = world.tenant.gateway
    await_true(lambda: bool(log.log_lines("proxy", "cannot be translated")))
    (line,) = log.log_lines("proxy", "cannot be translated")
    assert ("not a list" in line["message"], SECRET in log.log("proxy")) == (True, False)
    world.model("chat", lambda _: {"error": {"message": "Out of memory."}})
    with world.anthropic as client, pytest.raises(anthropic.InternalServerError) as failed:
        client.messages.create(model="chat", max_tokens=9, messages=TURN)
    assert (failed.value.status_code, "Out of memory." in failed.value.message) == (502, True)


START: Any = [
    {"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 9}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Half a"}},
]
BUSY: Any = {"type": "error", "error": {"type": "overloaded_error", "message": "Busy."}}


@pytest.mark.parametrize("end", [[BUSY], [CUT], []], ids=["error", "cut", "end"])
def test_stream_of_anthropic_that_fails_ends_with_one_error_for_the_sdk_of_openai(
    world: World, end: list[Any]
) -> None:
    world.model("claude", lambda _: [*START, *end])
    seen: list[str | None] = []
    with world.openai as client:
        stream = client.chat.completions.create(model="claude", messages=TURN, stream=True)
        with pytest.raises(openai.APIError):
            seen.extend(chunk.choices[0].delta.content for chunk in stream)
    assert seen == ["", "Half a"]
    body = {"model": "claude", "messages": TURN, "stream": True}
    identity = f"{world.tenant.id}-failed-{len(end)}-{BUSY in end}"
    headers = {"X-Request-ID": identity}
    raw = world.tenant.request("POST", "/v1/chat/completions", json=body, stream=True, headers=headers)
    text = read_all(raw)
    assert (text.count(b'"error"'), b"[DONE]" in text) == (1, False)
    # An error of the provider is none of the gateway, so it has no code of one.
    code = None if BUSY in end else "upstream_protocol_error"
    assert world.tenant.gateway.access_line(identity)["code"] == code


@pytest.mark.parametrize("end", [[{"error": {"message": "Busy."}}], [CUT], []], ids=["error", "cut", "end"])
def test_stream_of_openai_that_fails_ends_with_one_error_for_the_sdk_of_anthropic(
    world: World, end: list[Any]
) -> None:
    half = {"id": "1", "choices": [{"index": 0, "delta": {"content": "Half a"}}]}
    world.model("chat", lambda _: [half, *end])
    seen: list[Any] = []
    asked: Any = {"model": "chat", "max_tokens": 9, "messages": TURN}
    with world.anthropic as client:
        stream = client.messages.create(**asked, stream=True)
        with pytest.raises(anthropic.APIError):
            seen.extend(stream)
    assert [one.delta.text for one in seen if one.type == "content_block_delta"] == ["Half a"]
    text = read_all(world.tenant.request("POST", "/v1/messages", json={**asked, "stream": True}, stream=True))
    assert (text.count(b"event: error"), b"message_stop" in text) == (1, False)


def response_of(text: str) -> dict[str, Any]:
    """A response of OpenAI's responses API."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}
    usage = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}
    head = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "responses",
        "status": "completed",
    }
    return {**head, "output": [item], "usage": usage}


def events_of_response(text: str) -> list[Any]:
    """The same as a stream."""
    made = response_of(text)
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    begun = {**made, "status": "in_progress", "output": [], "usage": None}
    item = {**made["output"][0], "content": [], "status": "in_progress"}
    part = {"type": "output_text", "text": "", "annotations": []}
    steps: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **place, "part": part},
        {"type": "response.output_text.delta", **place, "delta": text, "logprobs": []},
        {"type": "response.output_text.done", **place, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": {**part, "text": text}},
        {"type": "response.output_item.done", "output_index": 0, "item": made["output"][0]},
        {"type": "response.completed", "response": made},
    ]
    return [{**one, "sequence_number": number} for number, one in enumerate(steps)]


@pytest.mark.parametrize("model", ["chat-all", "claude-all", "responses-all"])
def test_every_client_reaches_a_model_of_every_api(world: World, model: str) -> None:
    world.model("chat", lambda one: streamed("Hi") if one.get("stream") else written("Hi"))
    world.model("claude", lambda one: events("Hi") if one.get("stream") else said("Hi"))
    world.model("responses", lambda one: events_of_response("Hi") if one.get("stream") else response_of("Hi"))
    asked: Any = {"model": model, "messages": TURN}
    with world.openai as client, world.anthropic as other:
        whole = client.chat.completions.create(**asked)
        with client.chat.completions.stream(**asked) as chunks:
            chat = chunks.get_final_completion()
        message = other.messages.create(**asked, max_tokens=99)
        with other.messages.stream(**asked, max_tokens=99) as stream:
            last = stream.get_final_message()
        made = client.responses.create(model=model, input="Hello!", store=False)
        with client.responses.stream(model=model, input="Hello!", store=False) as items:
            response = items.get_final_response()
    assert (whole.choices[0].message.content, chat.choices[0].message.content) == ("Hi", "Hi")
    assert [block.text for one in (message, last) for block in one.content if block.type == "text"] == [
        "Hi",
        "Hi",
    ]
    assert (made.output_text, response.output_text) == ("Hi", "Hi")
    assert whole.usage is not None
    assert made.usage is not None
    used = (
        whole.usage.prompt_tokens,
        message.usage.input_tokens,
        last.usage.input_tokens,
        made.usage.input_tokens,
    )
    assert used[0] == used[1] == used[3] == 9
    rows = {}
    for _ in until(10):
        found = world.tenant.gateway.call("GET", f"/tenants/{world.tenant.id}/usage/rows?limit=100").json()[
            "rows"
        ]
        rows = {(one["api"], one["stream"]) for one in found if one["model"] == model}
        if len(rows) == 6:
            break
    assert len(rows) == 6
    assert {one["source"] for one in found if one["model"] == model and one["status"] == 200} == {"reported"}
