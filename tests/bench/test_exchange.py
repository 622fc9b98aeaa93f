"""The benchmark's own client and event server, on real sockets."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.exchange import Connection, ExchangeFailed
from bench.gateway import make_call
from bench.nginx import RESPONSE
from bench.programs import Program, Running, free_port, python


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    command = python("-m", "bench.events", "--port", str(port))
    program = Program("events", command, f"http://127.0.0.1:{port}/")
    running = Running(program, tmp_path_factory.mktemp("logs"))
    running.wait()
    yield port
    running.stop()


@pytest.fixture
def responding() -> Iterator[tuple[int, list[bytes]]]:
    """A port on which a single request gets the bytes that are put into the list."""
    responses: list[bytes] = []

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(65536)
            client.sendall(responses[0])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], responses
        thread.join()


def test_answers_come_one_after_the_other_over_one_connection(upstream: int) -> None:
    with Connection(upstream) as connection:
        assert [connection.ask(make_call("/v1/x")) for _ in range(3)] == [RESPONSE.encode()] * 3


def test_a_stream_ends_only_when_it_is_told_to(upstream: int) -> None:
    with Connection(upstream) as connection, Connection(upstream) as direct:
        for _ in range(2):
            told: list[bytes] = []
            waited = connection.first_event(
                make_call("/events/two"), lambda told=told: told.append(direct.ask(make_call("/events/end")))
            )
            assert 0 < waited < 5
            assert told == [RESPONSE.encode()]


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}",
        b"",
    ],
    ids=["another status", "no length", "cut short", "nothing"],
)
def test_anything_but_a_whole_200_fails(responding: tuple[int, list[bytes]], response: bytes) -> None:
    port, responses = responding
    responses.append(response)
    with Connection(port) as connection, pytest.raises(ExchangeFailed):
        connection.ask(make_call("/v1/x"))


def test_an_answer_that_is_no_stream_fails(responding: tuple[int, list[bytes]]) -> None:
    port, responses = responding
    responses.append(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    with Connection(port) as connection, pytest.raises(ExchangeFailed, match="expected a stream"):
        connection.first_event(make_call("/events/two"), lambda: None)


def test_a_program_that_ends_at_once_fails_with_the_end_of_its_log(tmp_path: Path) -> None:
    command = python("-c", "raise SystemExit('it cannot start')")
    running = Running(Program("broken", command, "http://127.0.0.1:1/"), tmp_path)
    with pytest.raises(Exception, match=r"ended with exit code 1; its log ends with:\nit cannot start"):
        running.wait()
    running.stop()
