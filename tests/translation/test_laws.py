"""The laws of every response: the SDKs read the same in a stream as in one document, however it is cut."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bodies.text.messages import texts_of
from shared.providers.calls import ANTHROPIC_MESSAGES, OPENAI_CHAT
from shared.translation import chat_to_messages, messages_to_chat
from shared.translation.framing import DONE, write_event
from tests.translation import streams
from tests.translation.contexts import context, with_usage
from tests.translation.streams import HABITS, Said, run

TO_MESSAGES = messages_to_chat.TRANSLATION
TO_CHAT = chat_to_messages.TRANSLATION
# The output of a model, the way of its server, and where the stream is cut.
STREAM = (streams.said(), st.sampled_from(HABITS), st.data())


def chunks(data: st.DataObject, one: Said, habit: str) -> list[Any]:
    return data.draw(streams.chunks_of(one, habit)) + streams.end_of_chunks(one, habit)


def plain(message: Any) -> Any:
    """A message of either API as what was said."""
    if "choices" in message:
        choice = message["choices"][0]
        found = choice["message"]
        calls = [
            (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"] or "{}"))
            for call in found.get("tool_calls", ())
        ]
        thought, text = found.get("reasoning_content", ""), found.get("content") or ""
        return thought, text, calls, choice["finish_reason"], message.get("usage")
    blocks = message["content"]
    return (
        "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        "".join(block["text"] for block in blocks if block["type"] == "text"),
        [(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"],
        message["stop_reason"],
        {name: value for name, value in message["usage"].items() if value is not None},
    )


@given(*STREAM)
def test_stream_for_messages_says_what_the_whole_response_says(
    one: Said, habit: str, data: st.DataObject
) -> None:
    stream = run(TO_MESSAGES.events(context()), chunks(data, one, habit))
    whole = TO_MESSAGES.response(streams.completion_of(one), context())
    assert plain(streams.read_messages(stream)) == plain(whole)


@given(*STREAM)
def test_stream_comes_back_as_it_was(one: Said, habit: str, data: st.DataObject) -> None:
    events = run(TO_MESSAGES.events(context()), chunks(data, one, habit))
    back = streams.read_chunks(run(TO_CHAT.events(with_usage()), events))
    expected = plain(streams.completion_of(one))
    # Without a report of usage, the message has the numbers that its API requires.
    none = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert plain(back) == (*expected[:4], expected[4] or none)


@given(streams.said())
def test_response_comes_back_as_it_was(one: Said) -> None:
    completion = streams.completion_of(one)
    back = TO_CHAT.response(TO_MESSAGES.response(completion, context()), context())
    assert plain(back)[:4] == plain(completion)[:4]
    assert one.usage is None or back["usage"] == one.usage


@given(*STREAM)
def test_stream_for_chat_says_what_the_whole_response_says(
    one: Said, habit: str, data: st.DataObject
) -> None:
    events = run(TO_MESSAGES.events(context()), chunks(data, one, habit))
    whole = TO_CHAT.response(streams.read_messages(events), context())
    back = streams.read_chunks(run(TO_CHAT.events(with_usage()), events))
    assert plain(back) == plain(whole)


@given(*STREAM)
def test_stream_that_is_cut_before_its_end_is_an_error_and_never_a_response(
    one: Said, habit: str, data: st.DataObject
) -> None:
    begun = data.draw(streams.chunks_of(one, habit))
    cut = begun[: data.draw(st.integers(0, len(begun)))]
    assert streams.read_messages(run(TO_MESSAGES.events(context()), cut))["type"] == "error"
    events = run(TO_MESSAGES.events(context()), begun + streams.end_of_chunks(one, habit))
    events = events[: data.draw(st.integers(0, len(events) - 1))]
    made = run(TO_CHAT.events(context()), events)
    assert made[-1]["error"]["code"] == "upstream_protocol_error"
    assert DONE not in made


@given(*STREAM)
def test_cuts_between_bytes_make_no_difference(one: Said, habit: str, data: st.DataObject) -> None:
    stream = chunks(data, one, habit)
    body = b"".join(write_event(event, OPENAI_CHAT) for event in stream)
    events = run(TO_MESSAGES.events(context()), stream)
    expected = b"".join(write_event(event, ANTHROPIC_MESSAGES) for event in events)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(body) - 1), max_size=8)))
    parts = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert streams.run_bytes(TO_MESSAGES.events(context()), parts, ANTHROPIC_MESSAGES) == expected
    bytewise = [expected[at : at + 1] for at in range(len(expected))]
    back = streams.run_bytes(TO_CHAT.events(context()), bytewise, OPENAI_CHAT)
    assert back == b"".join(
        write_event(event, OPENAI_CHAT) for event in run(TO_CHAT.events(context()), events)
    )


@given(streams.said())
def test_guards_see_the_same_texts_in_both_apis(one: Said) -> None:
    completion = streams.completion_of(one)
    message = TO_MESSAGES.response(completion, context())
    said = {text for text in (one.text, one.thought) if text}
    assert said <= set(texts_of(completion)) & set(texts_of(message))


@pytest.mark.parametrize("translation", [TO_MESSAGES, TO_CHAT])
def test_nothing_follows_the_end_of_a_stream(translation: Any) -> None:
    events = translation.events(context())
    assert len(events.feed("what is this?")) == 1
    assert events.feed({"type": "ping"}) == events.feed(DONE) == events.end() == []


LAWS = (
    test_stream_for_messages_says_what_the_whole_response_says,
    test_stream_comes_back_as_it_was,
    test_stream_for_chat_says_what_the_whole_response_says,
    test_stream_that_is_cut_before_its_end_is_an_error_and_never_a_response,
)


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law_holds_for_thousands_of_streams(law: Any) -> None:
    settings(max_examples=2000)(given(*STREAM)(law.hypothesis.inner_test))()
