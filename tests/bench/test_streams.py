"""Events and bodies are counted only when they arrive: here from the upstream itself, without a proxy."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from bench.bodies import chat_body
from bench.gateway import RESPONSE, make_call
from bench.load import drive
from bench.programs import BenchFailed
from bench.streams import open_streams
from bench.upstream import Upstream


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with ExitStack() as stack:
        yield Upstream(stack)


def test_each_event_of_each_stream_is_counted_once_all_clients_have_it(upstream: Upstream) -> None:
    with open_streams(upstream.port, make_call(), upstream, 3) as streams:
        count = streams.pass_for(0.02)
    assert count >= 3
    assert count % 3 == 0


def test_stream_that_is_cut_fails(upstream: Upstream) -> None:
    with pytest.raises(BenchFailed, match="a stream was cut"):
        pass_on_after_a_cut(upstream)


def pass_on_after_a_cut(upstream: Upstream) -> None:
    with open_streams(upstream.port, make_call(), upstream, 1) as streams:
        streams._upstreams.pop().shutdown(socket.SHUT_RDWR)
        streams.pass_on(b"")


def test_calls_are_sent_in_turn_on_every_connection(upstream: Upstream) -> None:
    calls = [make_call(key=str(number)) for number in range(7)]
    assert len(drive(upstream.port, calls, RESPONSE, connections=3, seconds=0.0)) == 9


def test_other_response_than_the_upstreams_fails(upstream: Upstream) -> None:
    call = make_call()._replace(body=chat_body(1000))
    with pytest.raises(BenchFailed, match="expected the upstream"):
        drive(upstream.port, [call], b"another", connections=1, seconds=0.0)


@pytest.mark.parametrize("size", [5_000, 100_000])
def test_large_chat_has_exactly_the_size_and_whole_messages(size: int) -> None:
    body = chat_body(size)
    assert len(body) == size
    assert {message["role"] for message in json.loads(body)["messages"]} == {"user"}
