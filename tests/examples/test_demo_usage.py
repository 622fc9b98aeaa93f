"""The usage that the demo upstream reports, as the real SDKs read it and as a reader can count it."""

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from examples.demo_upstream.server import DemoUpstream
from examples.demo_upstream.text import count_tokens, prompts
from tests.support.commands import serving

# 3 + 2 + 1 + 4 tokens, and a reply of 6.
SYSTEM = "You are brief."
TURNS = [
    {"role": "user", "content": "Hello there!"},
    {"role": "assistant", "content": "Hi!"},
    {"role": "user", "content": [{"type": "text", "text": "How are you now?"}]},
]
REPLY = "You said: How are you now?"
INPUT, OUTPUT = 10, 6
CHAT: dict[str, Any] = {
    "model": "demo-small",
    "messages": [{"role": "system", "content": SYSTEM}, *TURNS],
}
MESSAGES: dict[str, Any] = {"model": "demo-large", "system": SYSTEM, "messages": TURNS}
RESPONSES: dict[str, Any] = {
    "model": "demo-small",
    "instructions": SYSTEM,
    "input": [
        *TURNS[:2],
        {"role": "user", "content": [{"type": "input_text", "text": "How are you now?"}]},
    ],
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(DemoUpstream(0, keys=["sk-one", "sk-two"])) as port:
        yield port


@pytest.fixture
def client(port: int) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="sk-one", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(port: int) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=f"http://127.0.0.1:{port}", api_key="sk-two", max_retries=0) as claude:
        yield claude


def test_chat_has_the_same_usage_whole_and_streamed(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(**CHAT)
    assert whole.model == "demo-small"
    assert whole.choices[0].message.content == REPLY
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (INPUT, OUTPUT)
    assert whole.usage.total_tokens == INPUT + OUTPUT
    *chunks, last = client.chat.completions.create(
        **CHAT, stream=True, stream_options={"include_usage": True}
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == REPLY
    assert (last.choices, last.usage) == ([], whole.usage)


def test_usage_of_a_chat_stream_is_null_until_the_end_and_only_there_when_it_is_asked_for(
    client: openai.OpenAI,
) -> None:
    asked = client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True})
    *chunks, _ = [chunk.model_dump(exclude_unset=True) for chunk in asked]
    assert all(chunk["usage"] is None for chunk in chunks)
    for options in ({}, {"stream_options": None}, {"stream_options": {"include_usage": False}}):
        plain = client.chat.completions.create(**CHAT, stream=True, **options)
        assert all("usage" not in chunk.model_dump(exclude_unset=True) for chunk in plain)


def test_completions_reply_to_each_prompt_and_have_one_usage(client: openai.OpenAI) -> None:
    ask: dict[str, Any] = {"model": "demo-large", "prompt": ["One two", "three"]}
    whole = client.completions.create(**ask)
    assert [choice.text for choice in whole.choices] == ["You said: One two", "You said: three"]
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (3, 4 + 3)
    *chunks, last = client.completions.create(**ask, stream=True, stream_options={"include_usage": True})
    pieces = [chunk.choices[0] for chunk in chunks]
    assert "".join(piece.text for piece in pieces if piece.index == 1) == "You said: three"
    assert last.usage == whole.usage


def test_responses_have_the_same_usage_whole_and_streamed(client: openai.OpenAI) -> None:
    whole = client.responses.create(**RESPONSES)
    assert whole.output_text == REPLY
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (INPUT, OUTPUT)
    with client.responses.stream(**RESPONSES) as stream:
        assert stream.until_done().get_final_response().usage == whole.usage


def test_embeddings_count_their_input_only(client: openai.OpenAI) -> None:
    usage = client.embeddings.create(model="demo-small", input=["One two", "three"]).usage
    assert (usage.prompt_tokens, usage.total_tokens) == (3, 3)


def test_messages_have_the_same_usage_whole_streamed_and_counted_before(claude: anthropic.Anthropic) -> None:
    whole = claude.messages.create(**MESSAGES, max_tokens=100)
    assert whole.content[0].text == REPLY
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (INPUT, OUTPUT)
    assert claude.messages.count_tokens(**MESSAGES).input_tokens == INPUT
    events = list(claude.messages.create(**MESSAGES, max_tokens=100, stream=True))
    [start] = [event for event in events if event.type == "message_start"]
    [end] = [event for event in events if event.type == "message_delta"]
    assert (start.message.usage.input_tokens, start.message.usage.output_tokens) == (INPUT, 1)
    assert end.usage.output_tokens == OUTPUT
    with claude.messages.stream(**MESSAGES, max_tokens=100) as stream:
        assert stream.get_final_message().usage.output_tokens == OUTPUT


def test_token_limit_cuts_the_reply_and_its_usage_in_every_api(
    client: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    chat = client.chat.completions.create(**CHAT, max_completion_tokens=2)
    assert (chat.choices[0].finish_reason, chat.choices[0].message.content) == ("length", "You said: ")
    assert chat.usage.completion_tokens == 2
    response = client.responses.create(**RESPONSES, max_output_tokens=2)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert response.usage.output_tokens == 2
    *_, last = client.responses.create(**RESPONSES, max_output_tokens=2, stream=True)
    assert last.type == "response.incomplete"
    message = claude.messages.create(**MESSAGES, max_tokens=2)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 2)


def test_wrong_key_is_rejected_as_each_sdk_expects(port: int) -> None:
    with (
        openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="sk-other", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as chat,
    ):
        client.chat.completions.create(**CHAT)
    assert chat.value.code == "invalid_api_key"
    with (
        anthropic.Anthropic(base_url=f"http://127.0.0.1:{port}", api_key="sk-other", max_retries=0) as claude,
        pytest.raises(anthropic.AuthenticationError) as message,
    ):
        claude.models.list()
    assert message.value.body["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(
    ("given", "count"),
    [("a b", 2), ([1, 2, 3], 3), ([[1, 2], [3]], 3), (["a", "b c"], 3), ([], 0), ("", 0)],
)
def test_input_of_texts_or_token_ids_is_counted(given: object, count: int) -> None:
    assert count_tokens(prompts(given)) == count
