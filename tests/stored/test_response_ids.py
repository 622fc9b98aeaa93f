"""The ids of a response are read while it passes, wherever it is cut."""

import json
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest

from shared.stored.response_ids import MAX_IDS, MAX_LINE, ResponseIds

STREAM = b"".join(
    b"event: %s\ndata: %s\n\n" % (one["type"].encode(), json.dumps(one).encode())  # type: ignore[attr-defined]
    for one in [
        {"type": "response.created", "response": {"id": "resp_1", "output": []}},
        {"type": "response.output_item.added", "item": {"id": "rs_1"}},
        {"type": "response.output_text.delta", "delta": '"response.created" {"id":"resp_2"}'},
        {"type": "response.output_item.added", "item": {"id": "msg_1"}},
        {"type": "response.completed", "response": {"id": "resp_1"}},
    ]
)
WHOLE = json.dumps({"id": "resp_1", "output": [{"id": "rs_1"}, {"id": "msg_1"}, 1], "n": 1.5}).encode()


def read(body: bytes, *cuts: int, is_stream: bool) -> list[str]:
    found: list[str] = []
    ids = ResponseIds(found.extend)
    feed = ids.feed_stream if is_stream else ids.feed_whole
    for begin, end in pairwise([0, *cuts, len(body)]):
        feed(body[begin:end])
    ids.end()
    return found


@pytest.mark.parametrize(("body", "is_stream"), [(STREAM, True), (WHOLE, False)], ids=["stream", "whole"])
def test_ids_are_read_once_wherever_the_body_is_cut(body: bytes, is_stream: bool) -> None:
    for cut in range(len(body)):
        assert read(body, cut, is_stream=is_stream) == ["resp_1", "rs_1", "msg_1"]


def test_id_is_known_before_the_response_is_complete() -> None:
    found: list[Sequence[str]] = []
    ids = ResponseIds(found.append)
    ids.feed_whole(b'{"id": "resp_1", "object":')
    assert found == [["resp_1"]]


def test_line_that_is_too_long_hides_no_later_one() -> None:
    long = b"data: " + b"x" * MAX_LINE
    added = STREAM[STREAM.index(b"event: response.output_item.added") :]
    assert read(long + b"\n" + added, 10, len(long) - 3, is_stream=True) == ["rs_1", "msg_1"]


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"id": 1, "output": 2}', b"x" * (MAX_LINE + 1)])
def test_body_without_ids_has_none(body: bytes) -> None:
    assert read(body, is_stream=False) == []
    assert read(b"data: response.created " + body, is_stream=True) == []


def test_ids_of_one_response_are_bounded() -> None:
    body = json.dumps({"id": "resp_1", "output": [{"id": f"i{n}"} for n in range(2 * MAX_IDS)]}).encode()
    assert len(read(body, is_stream=False)) == MAX_IDS


def test_body_that_comes_byte_by_byte_is_not_read_again_for_each_of_them() -> None:
    ids, body = ResponseIds(lambda _: None), b'{"a":[' + b"1," * 8_000
    began = time.process_time()
    for at in range(len(body)):
        ids.feed_whole(body[at : at + 1])
    assert time.process_time() - began < 2
