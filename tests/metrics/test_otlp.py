"""Calls of a collector: repeated while it asks for that, and given up in bounded time."""

import gzip
from pathlib import Path
from typing import Any

import pytest
import requests

from shared.metrics import otlp
from shared.metrics.otlp import Collector


class Clock:
    """Time passes by sleeping only."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(otlp.time, "sleep", clock.sleep)
    return clock


def send(clock: Clock, monkeypatch: pytest.MonkeyPatch, *replies: Any) -> tuple[str, list[bytes]]:
    """The result of a call, and the bodies that the collector got."""
    collector, left, bodies = Collector("http://c:4318", {}, Path("ca.pem"), clock), list(replies), []

    def post(url: str, body: bytes, **_: Any) -> requests.Response:
        assert url == "http://c:4318/v1/traces"
        bodies.append(gzip.decompress(body))
        reply = left.pop(0)
        if isinstance(reply, Exception):
            raise reply
        response = requests.Response()
        response.status_code, headers = reply if isinstance(reply, tuple) else (reply, {})
        response.headers.update(headers)
        return response

    monkeypatch.setattr(collector._session, "post", post)
    return collector.send(b"spans"), bodies


def test_collector_that_is_busy_gets_the_spans_again(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    why, bodies = send(clock, monkeypatch, (503, {"Retry-After": "3"}), 429, 200)
    assert (why, bodies, clock.slept) == ("", [b"spans"] * 3, [3.0, 1.0])


def test_connection_that_was_closed_is_made_again_at_once(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    why, bodies = send(clock, monkeypatch, requests.ConnectionError("reset"), 200)
    assert (why, len(bodies), clock.slept) == ("", 2, [0.0])


@pytest.mark.parametrize("reply", [400, 301, requests.ReadTimeout("late")])
def test_call_that_would_fail_again_is_made_once(
    reply: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    why, bodies = send(clock, monkeypatch, reply)
    assert why
    assert len(bodies) == 1


def test_collector_that_stays_busy_is_given_up_in_bounded_time(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert send(clock, monkeypatch, *[503] * 9)[0] == "The collector responds with status 503."
    assert send(clock, monkeypatch, (503, {"Retry-After": "3600"}))[0]
    assert clock.time <= 10.0
