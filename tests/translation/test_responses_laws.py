"""The laws of every response and request of OpenAI's responses: they say in chat what they said before."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bodies.text.messages import texts_of
from shared.providers.calls import ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_RESPONSES
from shared.translation import chat_to_responses, responses_to_chat
from shared.translation.framing import DONE, write_event
from shared.translation.notes import BadResponse, Untranslatable
from shared.translation.pairs import TRANSLATIONS
from tests.translation import oracles, streams
from tests.translation.contexts import context, with_usage
from tests.translation.response_streams import read_events
from tests.translation.streams import HABITS, Said, run
from tests.translation.test_request_laws import JSON, KEYS, SCALARS, SETTINGS, TYPES, requests

TO_RESPONSES = responses_to_chat.TRANSLATION
TO_CHAT = chat_to_responses.TRANSLATION
# The output of a model, the way of its server, and where the stream is cut.
STREAM = (streams.said(), st.sampled_from(HABITS), st.data())
CAPS = {"array_content": True}
NEW = [pair for pair in TRANSLATIONS if OPENAI_RESPONSES in pair]


def chunks(data: st.DataObject, one: Said, habit: str) -> list[Any]:
    return data.draw(streams.chunks_of(one, habit)) + streams.end_of_chunks(one, habit)


def plain(completion: Any) -> Any:
    """A completion as what was said."""
    choice = completion["choices"][0]
    message = choice["message"]
    calls = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"] or "{}"))
        for call in message.get("tool_calls", ())
    ]
    usage = completion.get("usage")
    return (
        message.get("reasoning_content", ""),
        message.get("content") or "",
        calls,
        choice["finish_reason"],
        usage and (usage["prompt_tokens"], usage["completion_tokens"], usage["prompt_tokens_details"]),
    )


@given(*STREAM)
def test_stream_for_responses_is_the_whole_response(one: Said, habit: str, data: st.DataObject) -> None:
    made = read_events(run(TO_RESPONSES.events(context()), chunks(data, one, habit)))
    assert made == TO_RESPONSES.response(streams.completion_of(one), context())


@given(*STREAM)
def test_stream_comes_back_as_it_was(one: Said, habit: str, data: st.DataObject) -> None:
    events = run(TO_RESPONSES.events(context()), chunks(data, one, habit))
    back = streams.read_chunks(run(TO_CHAT.events(with_usage()), events))
    assert plain(back) == plain(streams.completion_of(one))
    # Its events may be lost but for those of the items that are over.
    few = [event for event in events if not event["type"].endswith((".delta", ".added"))]
    assert plain(streams.read_chunks(run(TO_CHAT.events(with_usage()), few))) == plain(back)


@given(streams.said())
def test_response_comes_back_as_it_was(one: Said) -> None:
    completion = streams.completion_of(one)
    back = TO_CHAT.response(TO_RESPONSES.response(completion, context()), context())
    assert plain(back) == plain(completion)


@given(*STREAM)
def test_stream_that_is_cut_before_its_end_has_failed(one: Said, habit: str, data: st.DataObject) -> None:
    begun = data.draw(streams.chunks_of(one, habit))
    cut = begun[: data.draw(st.integers(0, len(begun)))]
    assert read_events(run(TO_RESPONSES.events(context()), cut))["status"] == "failed"
    events = run(TO_RESPONSES.events(context()), begun + streams.end_of_chunks(one, habit))
    made = run(TO_CHAT.events(context()), events[: data.draw(st.integers(0, len(events) - 1))])
    assert made[-1]["error"]["code"] == "upstream_protocol_error"
    assert DONE not in made


@given(*STREAM)
def test_stream_says_the_same_through_a_third_api(one: Said, habit: str, data: st.DataObject) -> None:
    through = TRANSLATIONS[ANTHROPIC_MESSAGES, OPENAI_RESPONSES]
    events = run(TO_RESPONSES.events(context()), chunks(data, one, habit))
    message = streams.read_messages(run(through.events(with_usage()), events))
    back = TRANSLATIONS[OPENAI_RESPONSES, ANTHROPIC_MESSAGES].response(message, context())
    found, expected = plain(TO_CHAT.response(back, context())), plain(streams.completion_of(one))
    assert found[:4] == expected[:4]
    assert one.usage is None or found[4] == expected[4]


@given(*STREAM)
def test_cuts_between_bytes_make_no_difference(one: Said, habit: str, data: st.DataObject) -> None:
    stream = chunks(data, one, habit)
    body = b"".join(write_event(event, OPENAI_CHAT) for event in stream)
    events = run(TO_RESPONSES.events(context()), stream)
    expected = b"".join(write_event(event, OPENAI_RESPONSES) for event in events)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(body) - 1), max_size=8)))
    parts = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert streams.run_bytes(TO_RESPONSES.events(context()), parts, OPENAI_RESPONSES) == expected


@given(streams.said())
def test_guards_see_the_same_texts_in_both_apis(one: Said) -> None:
    completion = streams.completion_of(one)
    response = TO_RESPONSES.response(completion, context())
    said = {text for text in (one.text, one.thought) if text}
    assert said <= set(texts_of(completion)) & set(texts_of(response))


@given(requests())
def test_request_comes_back_as_it_was(document: dict[str, Any]) -> None:
    document.pop("stop", None)  # the only member of these that responses lack
    sent, notes = TO_CHAT.request(document, {}, context().settings)
    oracles.responses_request(sent)
    back, others = TO_RESPONSES.request(sent, CAPS, context().settings)
    oracles.chat_request(back)
    again, _ = TO_CHAT.request(back, {}, context().settings)
    assert canonical(again) == canonical(sent)
    assert (notes.dropped, notes.changed, others.dropped, others.changed) == ([], [], [], [])


def canonical(request: Any) -> Any:
    """A request for responses in which each text of a message is a list of parts."""
    items = [
        {**item, "content": [{"type": "input_text", "text": item["content"]}]}
        if isinstance(item.get("content"), str)
        else item
        for item in request["input"]
    ]
    return {**request, "input": items}


ITEMS = st.lists(
    st.one_of(
        JSON,
        st.builds(
            lambda kind, more: {**more, "type": kind},
            st.sampled_from([*responses_to_chat.TABLES["item of the input"], "?"]),
            st.dictionaries(st.sampled_from([*KEYS, "call_id", "output", "action", "summary"]), JSON),
        ),
    ),
    max_size=3,
)


@pytest.mark.parametrize("pair", NEW)
@given(st.data())
def test_request_of_any_form_is_translated_or_rejected(pair: Any, data: st.DataObject) -> None:
    tables = {OPENAI_CHAT: chat_to_responses.TABLES, OPENAI_RESPONSES: responses_to_chat.TABLES}
    names = [*tables.get(pair[0], tables[OPENAI_CHAT])["member of a request"], "unknown"]
    document = data.draw(st.dictionaries(st.sampled_from(names), JSON, max_size=4))
    document[data.draw(st.sampled_from(["input", "messages"]))] = data.draw(ITEMS)
    try:
        made, notes = TRANSLATIONS[pair].request(document, {}, data.draw(SETTINGS))
    except Untranslatable as error:
        assert error.pointer.startswith("/") or OPENAI_CHAT not in pair
    else:
        json.dumps(made)
        notes.header("x").encode("ascii")


@pytest.mark.parametrize("pair", NEW)
@given(st.dictionaries(st.sampled_from([*KEYS, "output", "status", "summary"]), JSON), st.integers(400, 599))
def test_response_of_any_form_is_translated_or_an_error(pair: Any, document: Any, status: int) -> None:
    assert TRANSLATIONS[pair].error(status, document).document["error"]["message"]
    with suppress(BadResponse):
        TRANSLATIONS[pair].response({**document, "status": "completed"}, context())


EVENTS = st.builds(
    lambda kind, more: {**more, "type": kind},
    st.sampled_from([*TYPES, *oracles.RESPONSE_EVENTS]),
    st.dictionaries(
        st.sampled_from([*KEYS, "item", "output_index", "part", "response", "annotation", "logprobs"]), JSON
    ),
)
CHUNKS = st.builds(
    lambda delta, finish: {"choices": [{"delta": delta, "finish_reason": finish}]}, JSON, SCALARS
)


@pytest.mark.parametrize("pair", NEW)
@given(st.lists(st.one_of(JSON, EVENTS, CHUNKS), max_size=6))
def test_stream_of_any_form_is_translated_or_an_error(pair: Any, given: Any) -> None:
    events = TRANSLATIONS[pair].events(context())
    made = run(events, given)
    json.dumps(made)
    assert events.feed({"type": "ping"}) == events.end() == []


LAWS = (
    test_stream_for_responses_is_the_whole_response,
    test_stream_comes_back_as_it_was,
    test_stream_that_is_cut_before_its_end_has_failed,
    test_stream_says_the_same_through_a_third_api,
)


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law_holds_for_thousands_of_streams(law: Any) -> None:
    settings(max_examples=2000)(given(*STREAM)(law.hypothesis.inner_test))()
