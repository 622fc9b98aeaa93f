"""The benchmark believes wrk only when every request was answered."""

import json

import pytest

from bench.wrk import LoadFailed, parse_output

GOOD = {
    "requests": 3000,
    "duration": 1_500_000,
    "p50": 450,
    "p99": 12_000,
    **dict.fromkeys(("connect", "read", "write", "status", "timeout"), 0),
}
CHATTER = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 32 connections\nRequests/sec: 1\n\n"


def test_rate_and_latencies_are_read_from_the_last_line() -> None:
    load = parse_output(CHATTER + json.dumps(GOOD) + "\n")
    assert (load.requests, load.rate) == (3000, 2000.0)
    assert (load.p50, load.p99) == (0.00045, 0.012)


@pytest.mark.parametrize("kind", ["connect", "read", "write", "status", "timeout"])
def test_one_error_of_any_kind_fails_the_load(kind: str) -> None:
    with pytest.raises(LoadFailed, match=f"1 x {kind} among 3000 requests"):
        parse_output(CHATTER + json.dumps({**GOOD, kind: 1}))


def test_a_load_without_any_answer_fails() -> None:
    with pytest.raises(LoadFailed, match="no request was answered"):
        parse_output(json.dumps({**GOOD, "requests": 0}))


@pytest.mark.parametrize("text", ["", CHATTER])
def test_output_without_a_result_fails(text: str) -> None:
    with pytest.raises(LoadFailed, match="printed no result"):
        parse_output(text)
