"""The SDKs of OpenAI and of Anthropic call a model that speaks the other API, with no network between."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from shared.translation import chat_to_messages, messages_to_chat
from shared.translation.framing import write_event
from shared.translation.notes import Context, Settings
from shared.translation.translation import Translation
from tests.translation import oracles
from tests.translation.contexts import TOKEN
from tests.translation.streams import call_chunk, chunk, run

TURN = [{"role": "user", "content": "Is it warmer in Rome or in Oslo?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
CITIES = ("Rome", "Oslo")
NO_RETRIES = {"api_key": "none", "max_retries": 0}

type Upstream = Callable[[dict[str, Any]], Any]


class Gateway(httpx2.MockTransport):
    """Translates each request for an upstream, which returns a document, a list of events, or a status."""

    def __init__(self, translation: Translation, api: str, upstream: Upstream) -> None:
        super().__init__(self._serve)
        self._translation, self._api, self._upstream = translation, api, upstream

    def _serve(self, request: httpx2.Request) -> httpx2.Response:
        document = json.loads(request.content)
        sent, notes = self._translation.request(document, {}, Settings())
        context = Context(notes=notes, now=1, token=TOKEN)
        found = self._upstream(sent)
        if isinstance(found, int):
            status, error = self._translation.error(found, {"error": {"message": "Not now."}})
            return httpx2.Response(status, json=error)
        if isinstance(found, dict):
            return httpx2.Response(200, json=self._translation.response(found, context))
        events = run(self._translation.events(context), found)
        body = b"".join(write_event(event, self._api) for event in events)
        return httpx2.Response(200, content=body, headers={"content-type": "text/event-stream"})


def openai_client(upstream: Upstream) -> openai.OpenAI:
    gateway = Gateway(chat_to_messages.TRANSLATION, "openai.chat", upstream)
    return openai.OpenAI(http_client=httpx2.Client(transport=gateway), **NO_RETRIES)


def anthropic_client(upstream: Upstream) -> anthropic.Anthropic:
    gateway = Gateway(messages_to_chat.TRANSLATION, "anthropic.messages", upstream)
    return anthropic.Anthropic(http_client=httpx2.Client(transport=gateway), **NO_RETRIES)


def weather_of_anthropic(request: dict[str, Any]) -> Any:
    """Asks a tool for two cities at once, thinks before, and tells the results when it has them."""
    oracles.messages_request(request)
    results = [
        block for turn in request["messages"] for block in turn["content"] if block["type"] == "tool_result"
    ]
    usage = {"input_tokens": 20, "cache_read_input_tokens": 5, "output_tokens": 9}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude"}
    if results:
        text = " and ".join(block["content"] for block in results)
        end = {"stop_reason": "end_turn", "stop_sequence": None, "usage": usage}
        return {**head, "content": [{"type": "text", "text": text}], **end}
    return list(_weather_events(head, usage))


def _weather_events(head: Any, usage: Any) -> Iterator[Any]:
    yield {"type": "message_start", "message": {**head, "content": [], "usage": usage}}
    for index, city in enumerate(("thinking", *CITIES)):
        block = {"type": "tool_use", "id": f"toolu_{index}", "name": "weather", "input": {}}
        deltas = [
            {"type": "input_json_delta", "partial_json": piece} for piece in ("", '{"city": ', f'"{city}"}}')
        ]
        if index == 0:
            block = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [
                {"type": "thinking_delta", "thinking": "Hm."},
                {"type": "signature_delta", "signature": "c2ln"},
            ]
        yield {"type": "content_block_start", "index": index, "content_block": block}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 12}}
    yield {"type": "message_stop"}


def weather_of_openai(request: dict[str, Any]) -> Any:
    """The same in the API of OpenAI."""
    oracles.chat_request(request)
    results = [message["content"] for message in request["messages"] if message["role"] == "tool"]
    usage = {"prompt_tokens": 25, "completion_tokens": 12, "total_tokens": 37}
    if results:
        message = {"role": "assistant", "content": " and ".join(results)}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return {"id": "chatcmpl-2", "model": "gpt-6", "choices": choices, "usage": usage}
    calls = [
        call_chunk(index, f'{{"city": "{city}"}}', id=f"call_{index}", type="function", name="weather")
        for index, city in enumerate(CITIES)
    ]
    stream = [{"reasoning_content": "Hm."}, {"tool_calls": calls[:1]}, {"tool_calls": calls[1:]}]
    last = {**chunk({}), "choices": [], "usage": usage}
    return [*map(chunk, stream), chunk({}, "tool_calls"), last, "[DONE]"]


def test_sdk_of_openai_calls_tools_of_anthropics_model() -> None:
    client = openai_client(weather_of_anthropic)
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
    asked: Any = {"model": "claude", "tools": [tool], "stream_options": {"include_usage": True}}
    with client.chat.completions.stream(messages=TURN, **asked) as stream:
        made = stream.get_final_completion()
    message = made.choices[0].message
    calls = message.tool_calls or []
    assert [json.loads(call.function.arguments)["city"] for call in calls] == [*CITIES]
    assert (made.choices[0].finish_reason, made.usage and made.usage.total_tokens) == ("tool_calls", 37)
    results: Any = [
        {"role": "tool", "tool_call_id": call.id, "content": f"{9 - at}°"} for at, call in enumerate(calls)
    ]
    turns: Any = [*TURN, {"role": "assistant", "tool_calls": [call.model_dump() for call in calls]}, *results]
    last = client.chat.completions.create(model="claude", messages=turns, tools=[tool])
    assert last.choices[0].message.content == "9° and 8°"


def test_sdk_of_anthropic_calls_tools_of_openais_model() -> None:
    client = anthropic_client(weather_of_openai)
    asked: Any = {"model": "gpt-6", "max_tokens": 99, "tools": [{"name": "weather", "input_schema": SCHEMA}]}
    with client.messages.stream(messages=TURN, **asked) as stream:
        made = stream.get_final_message()
    calls = [block for block in made.content if block.type == "tool_use"]
    assert [call.input["city"] for call in calls] == [*CITIES]
    assert (made.stop_reason, made.usage.input_tokens, made.usage.output_tokens) == ("tool_use", 25, 12)
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": f"{9 - at}°"}
        for at, call in enumerate(calls)
    ]
    said = [block.model_dump(exclude_none=True) for block in made.content]
    turns: Any = [*TURN, {"role": "assistant", "content": said}, {"role": "user", "content": results}]
    last = client.messages.create(messages=turns, **asked)
    assert [block.text for block in last.content if block.type == "text"] == ["9° and 8°"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (529, openai.InternalServerError),
    ],
)
def test_sdk_of_openai_raises_the_error_of_anthropic(status: int, kind: type[openai.APIStatusError]) -> None:
    with pytest.raises(kind, match="Not now"):
        openai_client(lambda _: status).chat.completions.create(model="claude", messages=TURN)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (403, anthropic.PermissionDeniedError),
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (503, anthropic.InternalServerError),
    ],
)
def test_sdk_of_anthropic_raises_the_error_of_openai(
    status: int, kind: type[anthropic.APIStatusError]
) -> None:
    with pytest.raises(kind, match="Not now"):
        anthropic_client(lambda _: status).messages.create(model="gpt-6", max_tokens=9, messages=TURN)


def test_sdk_of_openai_raises_an_error_inside_a_stream() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    stream = openai_client(lambda _: [error]).chat.completions.create(
        model="claude", messages=TURN, stream=True
    )
    with pytest.raises(openai.APIError, match="Overloaded"):
        list(stream)


@pytest.mark.parametrize("events", [[{"error": {"message": "Overloaded"}}], [chunk({"content": "Hi"})]])
def test_sdk_of_anthropic_raises_an_error_inside_a_stream_and_for_one_that_is_cut(events: Any) -> None:
    stream = anthropic_client(lambda _: events).messages.create(
        model="m", max_tokens=9, messages=TURN, stream=True
    )
    with pytest.raises(anthropic.APIStatusError):
        list(stream)
