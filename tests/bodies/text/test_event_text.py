"""The text that readers see of the events of a stream."""

import json
from typing import Any

import pytest

from shared.bodies.json.parse import JsonBounds
from shared.bodies.text.event_text import EventText, Piece
from shared.http.body_rejected import BodyRejected
from shared.model.event import Event


def event(document: Any, *, is_line: bool = False) -> Event:
    data = document if isinstance(document, str) else json.dumps(document)
    return Event(f"{data}\n".encode() if is_line else f"data: {data}\n\n".encode(), data, is_line)


def pieces(document: Any, **more: Any) -> list[Piece]:
    return EventText(event(document, **more)).pieces


def joined(*documents: Any) -> dict[Any, str]:
    """The texts that the pieces make together, by place."""
    texts: dict[Any, str] = {}
    for document in documents:
        for piece in pieces(document):
            for place in piece.places:
                texts[place] = texts.get(place, "") + piece.text
    return texts


def alone(document: Any, **more: Any) -> list[str]:
    return [text.read() for text in EventText(event(document, **more)).texts]


def delta(text: str, index: int = 0, name: str = "content") -> dict[str, Any]:
    choice = {"index": index, "delta": {name: text, "role": "assistant"}}
    return {"id": "x", "model": "m", "choices": [choice]}


def block(kind: str, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": f"content_block_{kind}", "index": index, **more}


@pytest.mark.parametrize(
    ("documents", "texts"),
    [
        ([delta("nee"), delta("hay", 1), delta("dle"), delta("stack", 1)], ["haystack", "needle"]),
        (
            [delta("a", name="reasoning_content"), delta("b"), delta("c"), delta("d", name="refusal")],
            ["a", "bc", "d"],
        ),
    ],
    ids=["choices", "fields"],
)
def test_the_pieces_of_choices_and_of_their_fields_are_not_mixed(documents: Any, texts: list[str]) -> None:
    assert sorted(joined(*documents).values()) == texts


def test_a_choice_is_the_same_however_its_number_is_written() -> None:
    texts = joined(
        *[delta(text, index) for text, index in zip("needle", (0, 0.0, -0.0, 0, 0.0, 0), strict=True)]
    )  # type: ignore[arg-type]
    assert list(texts.values()) == ["needle"]
    unnumbered = {"choices": [{"delta": {"content": "dle"}}]}
    unknown = {"choices": [{"index": None, "delta": {"content": "!"}}]}
    assert list(joined(delta("nee"), unnumbered, unknown).values()) == ["needle!"]


@pytest.mark.parametrize("index", [False, True, 0.5, "0", [], {}, -1, 2**31, 1e300, 10**400])
@pytest.mark.parametrize(
    "stream",
    [
        lambda index: delta("x", index),
        lambda index: {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": index, "id": "x"}]}}]},
        lambda index: {"choices": [{"index": index, "finish_reason": "stop"}]},
        lambda index: block("delta", index, delta={"text": "x"}),
        lambda index: block("stop", index),
        lambda index: {"type": "response.output_text.delta", "output_index": index, "delta": "x"},
        lambda index: {"type": "response.output_text.done", "output_index": index, "text": "x"},
    ],
)
def test_a_choice_whose_number_is_none_is_rejected(stream: Any, index: Any) -> None:
    with pytest.raises(BodyRejected, match=r"In the stream: .*index is not an integer"):
        EventText(event(stream(index)))


def test_texts_of_an_unknown_event_are_joined_by_path_whatever_its_index_says() -> None:
    tokens = [
        {"index": n, "token": {"id": 7 * n, "text": text}} for n, text in enumerate(("nee", "d", "le"), 1)
    ]
    assert joined(*tokens) == {("token", "text"): "needle"}
    assert sorted(joined({"index": "x", "a": "nee"}, {"index": True, "a": "dle"}).values()) == ["needle", "x"]


def test_texts_of_gemini_are_joined_by_candidate_and_its_thoughts_are_a_text_by_themselves() -> None:
    def chunk(text: str, index: int | None = None, **more: Any) -> dict[str, Any]:
        numbered = {} if index is None else {"index": index}
        return {"candidates": [{"content": {"role": "model", "parts": [{"text": text, **more}]}, **numbered}]}

    texts = joined(chunk("nee"), chunk("hay", 1), chunk("hm", thought=True), chunk("dle", 0))
    assert sorted(texts.values()) == ["hay", "hm", "needle"]
    with pytest.raises(BodyRejected, match="index is not an integer"):
        EventText(event(chunk("x", -1)))


def test_the_arguments_of_two_calls_are_not_mixed_and_are_json() -> None:
    def call(index: int, text: str) -> dict[str, Any]:
        calls = [{"index": index, "function": {"arguments": text}}]
        return {"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}

    texts = joined(call(0, "{"), call(1, "["), call(0, "}"), call(1, "]"))
    assert sorted(texts.values()) == ["[]", "{}"]
    assert pieces(call(0, "{"))[0].is_json


def test_blocks_of_a_message_are_read_alone_and_joined() -> None:
    texts = joined(
        block("start", content_block={"type": "text", "text": "n"}),
        block("delta", delta={"type": "text_delta", "text": "ee"}),
        block("delta", 1, delta={"type": "text_delta", "text": "dle"}),
        block("delta", 2, delta={"type": "thinking_delta", "thinking": "hm"}),
        block("delta", 3, delta={"type": "input_json_delta", "partial_json": "{}"}),
        block("delta", 3, delta={"type": "signature_delta", "signature": "x"}),
    )
    assert sorted(texts.values()) == ["dle", "hm", "nee", "needle", "{}"]


def test_an_input_that_comes_whole_is_a_text_by_itself() -> None:
    start = block("start", content_block={"type": "tool_use", "name": "f", "input": {"a": "b"}})
    assert alone(start) == ['{"a": "b"}']
    assert alone(block("start", content_block={"type": "tool_use", "input": {}})) == []


def test_parts_of_an_output_are_read_alone_and_joined() -> None:
    def part(kind: str, text: str, content: int, **more: Any) -> dict[str, Any]:
        place = {"output_index": 0, "content_index": content, "item_id": "x"}
        return {"type": f"response.{kind}", **place, "delta": text, **more}

    texts = joined(
        {"type": "response.content_part.added", "output_index": 0, "content_index": 0, "part": {"text": "n"}},
        part("output_text.delta", "ee", 0, obfuscation="abc"),
        part("output_text.delta", "dle", 1),
        part("refusal.delta", "no", 2),
        part("something_new.delta", "new", 3),
    )
    assert sorted(texts.values()) == ["dle", "nee", "needle", "new", "no"]
    assert pieces({"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{"})[
        0
    ].is_json


@pytest.mark.parametrize(
    "document",
    [
        {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "needle"},
        {"type": "response.completed", "response": {"output": [{"content": [{"text": "needle"}]}]}},
        {"type": "response.output_item.done", "item": {"arguments": r"n\u0065edle"}},
    ],
)
def test_event_that_repeats_the_whole_text_is_a_separate_text(document: dict[str, Any]) -> None:
    assert pieces(document) == []
    assert alone(document) == ["needle"]


def test_unknown_event_has_joined_strings_and_separate_names_and_numbers() -> None:
    document = {"model": "m", "answer": {"content": "x", "n": [1, None, {"deep": "y"}]}, "done": False}
    assert sorted(piece.text for piece in pieces(document)) == ["m", "x", "y"]
    assert sorted(alone(document)) == sorted(
        ["model", "answer", "content", "n", "1", "null", "deep", "done", "false"]
    )
    assert {piece.is_json for piece in pieces({"arguments": "{}"})} == {False}
    assert alone("7", is_line=True) == ["7"]
    assert joined({"type": 7, "a": ["x", "y"]}) == {("a", ""): "xy"}
    assert joined({"type": "other", "a": "x"}) == {("type",): "other", ("a",): "x"}


def test_plain_data_and_json_strings_are_one_text_with_and_without_their_quotes() -> None:
    assert joined("nee", '"dle"', "[", "{") == {("raw",): 'nee"dle"[{', ("",): "needle[{"}
    assert pieces("[DONE]") == []
    assert EventText(Event(b": hi\n\n", None)).pieces == []


@pytest.mark.parametrize(
    "document",
    [
        {"choices": [{"index": 0, "delta": {"user": "needle"}}]},
        {"choices": [{"index": 0, "delta": {"audio": {"id": "a", "data": "AAAA", "transcript": "needle"}}}]},
        {"choices": [{"index": 0, "delta": {"arguments": {"role": "needle"}}}]},
        {"choices": [{"index": 0, "delta": {"new": {"id": "needle"}}}]},
        {"choices": [], "user": "needle"},
        block("start", content_block={"type": "tool_use", "input": {"id": "needle"}}),
        block("delta", delta={"type": "text_delta", "user": "needle"}),
        {"type": "response.output_item.added", "item": {"detail": {"a": "needle"}}},
        {"type": "response.created", "response": {"tools": [{"parameters": {"properties": {"needle": {}}}}]}},
    ],
)
def test_a_label_in_an_unusual_place_is_text_in_streams_as_in_whole_bodies(document: Any) -> None:
    assert "needle" in " ".join([*alone(document), *joined(document).values()])


@pytest.mark.parametrize(
    "document",
    [
        {"id": "needle", "model": "needle", "choices": [{"index": 0, "delta": {"role": "assistant"}}]},
        {"choices": [{"index": 0, "logprobs": {"content": [{"token": "needle"}]}}], "obfuscation": "needle"},
        {"type": "message_start", "message": {"id": "needle", "role": "assistant", "model": "needle"}},
        block("delta", delta={"type": "needle", "signature": "needle"}),
        {"type": "response.output_text.delta", "item_id": "needle", "logprobs": [{"token": "needle"}]},
        {"type": "response.created", "response": {"id": "needle", "object": "needle", "status": "needle"}},
    ],
)
def test_labels_of_events_are_no_text(document: Any) -> None:
    assert "needle" not in " ".join([*alone(document), *joined(document).values()])


@pytest.mark.parametrize(
    "data", ['{"a":"x","a":"y"}', '{"a":"x","A":"y"}', '{"a":NaN}', "[" * 65 + "]" * 65, r'["\ud800"]']
)
def test_an_event_that_could_be_read_in_two_ways_is_rejected(data: str) -> None:
    with pytest.raises(BodyRejected, match="In the stream"):
        EventText(event(data))


def test_lines_must_be_json_and_no_deeper_than_is_allowed() -> None:
    for data in ("hello", "{", '{"a":1}{"b":2}'):
        with pytest.raises(BodyRejected):
            EventText(event(data, is_line=True))
    EventText(event('{"a":[1]}'), bounds=JsonBounds(depth=2))
    with pytest.raises(BodyRejected):
        EventText(event('{"a":[1]}'), bounds=JsonBounds(depth=1))


@pytest.mark.parametrize(
    ("document", "ended"),
    [
        ("[DONE]", [()]),
        ({"choices": [{"index": 1, "finish_reason": "stop"}, {"finish_reason": None}, 3]}, [("choices", "index=1")]),
        ({"choices": [{"finish_reason": "stop"}]}, [("choices", "index=0")]),
        (block("stop", 2), [("index=2",)]),
        ({"type": "message_stop"}, [()]),
        ({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, []),
        ({"type": "response.refusal.done", "output_index": 0, "content_index": 1},
         [("output_index=0", "content_index=1")]),
        ({"type": "response.output_item.done", "output_index": 3}, [("output_index=3",)]),
        ({"type": "response.completed", "response": {}}, [()]),
        ({"type": "response.created", "response": {}}, []),
        (delta("x"), []),
        ({"done": True}, []),
        ({"done": True, "response": ""}, [()]),
        ({"done": False, "message": {"content": "x"}}, []),
        ({"candidates": [{"index": 1, "finishReason": "STOP"}, {}]}, [("candidates", "index=1")]),
        ({"type": "transcript.text.done", "text": "x"}, [()]),
    ],
)  # fmt: skip
def test_a_stream_says_where_its_texts_end(document: Any, ended: list[Any]) -> None:
    assert EventText(event(document)).ended == ended


def test_an_event_is_written_again_only_when_something_in_it_is_masked() -> None:
    document = {"choices": [{"index": 0, "delta": {"content": "secrét"}, "logprobs": {"content": [1]}}]}
    whole = event(document)
    read = EventText(whole)
    assert read.masked() is whole
    read.pieces[0].part.mark(0, 6, "******")
    masked = read.masked()
    assert json.loads(masked.data or "") == {
        "choices": [{"index": 0, "delta": {"content": "******"}, "logprobs": None}]
    }
    plain = EventText(event("a secret"))
    plain.pieces[0].part.mark(2, 8, "******")
    assert plain.masked().raw == b"data: a ******\n\n"
    done = EventText(event({"type": "response.output_text.done", "text": "a secret"}))
    done.texts[0].maskable().mask(2, 8)
    assert json.loads(done.masked().data or "")["text"] == "a ******"
