"""The name of a model in responses is that which the client asked for, and no other byte changes."""

import json
import time

import pytest

from shared.bodies.json.model_names import MAX_LINE, ModelRenamer, renamed_response, with_model

CHAT = b'data: {"id":"1", "model" : "gpt-5.6","choices":[{"delta":{"content":"\\"model\\":\\"x\\""}}]}\n\n'
CLAUDE = b'event: message_start\r\ndata: {"message":{"model":"claude-x","content":[]}}\r\n\r\n'
CREATED = b'event: response.created\ndata: {"response":{"model":"gpt-5.6","tools":[{"model":"t"}]}}\n\n'
LINE = b'{"model":"llama","done":false}\n'
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"model":"a"}', b'{"model":"fast"}'),
        (b'{"x" :1.50, "model": "a" }', b'{"x" :1.50, "model": "fast" }'),
        (b'{"choices":[{"model":"a"}]}', b'{"choices":[{"model":"a"}]}'),
        (b'{"usage":{"model":"a"}}', b'{"usage":{"model":"a"}}'),
        (b'{"model":null}', b'{"model":null}'),
        (b'{"message":"model","model":"a"}', b'{"message":"model","model":"fast"}'),
        (b'["model","a"]', b'["model","a"]'),
    ],
)
def test_only_the_model_of_a_response_changes(before: bytes, after: bytes) -> None:
    assert with_model(before, "fast") == after


def test_any_name_is_written_as_json() -> None:
    assert json.loads(with_model(b'{"model":"a"}', 'Größe "x"\n'))["model"] == 'Größe "x"\n'


@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
def test_a_stream_is_renamed_however_the_network_cut_it(size: int) -> None:
    stream = CHAT + CLAUDE + CREATED + LINE + DONE + b'data: {"model":"cut'
    renamer = ModelRenamer("fast")
    sent = (
        b"".join(renamer.feed(stream[at : at + size]) for at in range(0, len(stream), size)) + renamer.end()
    )
    expected = stream.replace(b'"gpt-5.6"', b'"fast"').replace(b'"claude-x"', b'"fast"')
    assert sent == expected.replace(b'"llama"', b'"fast"')


def test_an_event_is_passed_on_when_it_is_complete() -> None:
    renamer = ModelRenamer("fast")
    assert renamer.feed(CHAT) == CHAT.replace(b"gpt-5.6", b"fast")
    assert renamer.feed(DONE[:-1]) == DONE[:-1]


def test_a_line_that_is_too_long_is_not_held_back() -> None:
    renamer, piece = ModelRenamer("fast"), b"x" * 1_000_000
    sent = b"".join(renamer.feed(piece) for _ in range(10))
    assert len(sent) > MAX_LINE
    assert sent + renamer.end() == piece * 10


@pytest.mark.parametrize("part", [b"[],", b'"",', b"1,", b"[[[[1]]]],"])
def test_response_of_many_parts_takes_no_worker_from_other_tenants(part: bytes) -> None:
    def document(size: int) -> bytes:
        return b'{"a":[' + part * (size // len(part)) + b'1],"model":"a"}'

    body, long = document(600_000), document(6_000_000)
    began = time.process_time()
    assert renamed_response(body, "fast") == body.replace(b'"a"}', b'"fast"}')
    assert renamed_response(long, "fast") in (long, long.replace(b'"a"}', b'"fast"}'))
    assert time.process_time() - began < 2
