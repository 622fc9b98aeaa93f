"""The benchmark counts only what was whole and right."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest

from bench.gateway import make_call
from bench.load import expect, open_connection, parse_result
from bench.programs import BenchFailed, Program, Running, python

RESULT = {
    "requests": 3000,
    "duration": 1_500_000,
    "p50": 450,
    "p99": 12_000,
    **dict.fromkeys(("connect", "read", "write", "status", "timeout"), 0),
}
OUTPUT = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 32 connections\nRequests/sec: 1\n\n"


@pytest.fixture
def responses() -> Iterator[tuple[int, list[bytes]]]:
    """A port on which a single request gets the bytes that are put into the list."""
    sent: list[bytes] = []

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(65536)
            client.sendall(sent[0])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], sent
        thread.join()


@pytest.mark.parametrize(
    ("response", "result"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", nullcontext()),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}", pytest.raises(BenchFailed)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", pytest.raises(BenchFailed)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}", pytest.raises(BenchFailed)),
        (b"", pytest.raises(BenchFailed)),
    ],
    ids=["whole", "another status", "another body", "cut short", "nothing"],
)
def test_only_a_whole_200_with_the_expected_body_passes(responses: Any, response: bytes, result: Any) -> None:
    port, sent = responses
    sent.append(response)
    with open_connection(port) as connection, result:
        expect(connection, make_call(), b"{}")


def test_program_that_ends_at_once_fails_with_the_end_of_its_log(tmp_path: Path) -> None:
    command = python("-c", "raise SystemExit('it cannot start')")
    with ExitStack() as stack:
        running = Running(Program("broken", command, "http://127.0.0.1:1/"), tmp_path, stack)
        with pytest.raises(BenchFailed, match=r"ended with exit code 1; its log ends with:\nit cannot start"):
            running.wait()


def test_rate_and_latencies_of_wrk_are_read_from_its_last_line() -> None:
    load = parse_result(OUTPUT + json.dumps(RESULT) + "\n")
    assert load == (3000, 2000.0, 0.00045, 0.012)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *(
            (OUTPUT + json.dumps({**RESULT, kind: 1}), f"1 x {kind} among 3000 requests")
            for kind in ("connect", "read", "write", "status", "timeout")
        ),
        *((text, "printed no result") for text in ("", OUTPUT)),
        (json.dumps({**RESULT, "requests": 0}), "no request got a response"),
    ],
)
def test_load_with_one_error_of_any_kind_or_without_a_result_fails(text: str, reason: str) -> None:
    with pytest.raises(BenchFailed, match=reason):
        parse_result(text)
