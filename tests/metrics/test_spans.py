"""The spans that are made of a line of the log, and the queue in front of the collector."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from shared.metrics import span_queue
from shared.metrics.span_queue import MAX_WAITING, SpanQueue
from shared.metrics.spans import CLIENT, INTERNAL, Finished, Span, spans_of
from tests.support.wait import until

TRACE = "0af7651916cd43dd8448eb211c80319c"


def encode(_: Span) -> bytes:
    return b""


def finished(*, decision: dict[str, Any] | None = None, attempts: int = 1, **line: Any) -> Finished:
    """A request of 100 ms that ended at second 1,000."""
    members = {
        **dict.fromkeys(("key", "rule", "tenant", "config_version", "code", "cause", "targets", "ai")),
        **{"method": "GET", "path": "/v1/x", "status": 200, "host": "t.example:8081", "source": "upstream"},
        **{"request_id": "r", "milliseconds": 100.0, "stream": False, "upstream": "u.example:443"},
        "upstream_status": 200,
        **line,
    }
    times = {"started": 5.0, "forwarded": 5.01, "first": None, "ended": 5.09}
    return Finished(1_000.0, members, {**times, **(decision or {})}, "/v1", TRACE, "", 7, attempts, {})


def test_call_that_was_cut_before_its_head_has_a_span_with_the_cause() -> None:
    server, client = spans_of(
        finished(status=502, code="upstream_timeout", cause="timeout", upstream_status=None)
    )
    assert server.is_error
    assert (client.kind, client.attributes["error.type"], client.is_error) == (CLIENT, "timeout", True)
    assert "http.response.status_code" not in client.attributes
    assert (server.started, server.ended) == (pytest.approx(999.9), 1_000.0)
    assert (client.started, client.ended) == (pytest.approx(999.91), pytest.approx(999.99))


def test_attempt_under_way_when_the_client_left_has_a_span_too() -> None:
    calls = [{"target": "a", "status": 503, "why": "status 503", "ms": 20}]
    one = finished(
        targets=calls,
        decision={"began": [5.01], "forwarded": 5.03, "ended": None},
        attempts=2,
        upstream_status=None,
    )
    _, first, second = spans_of(one)
    assert [first.id, second.id] == [8, 9]
    assert (first.ended, second.started, second.ended) == (
        pytest.approx(999.93),
        pytest.approx(999.93),
        1_000.0,
    )
    assert second.attributes["error.type"] == "cut"


@pytest.mark.parametrize(
    ("host", "address"),
    [("a.example", "a.example"), ("[::1]:8081", "[::1]"), ("[::1]", "[::1]"), (None, None)],
)
def test_address_is_the_host_without_its_port(host: str | None, address: str | None) -> None:
    assert spans_of(finished(host=host))[0].attributes.get("server.address") == address


def test_request_with_many_steps_has_bounded_spans_of_distinct_ids() -> None:
    step = {"plugin": "p", "stage": "pre_request", "verdict": "continue", "started": 5.0, "seconds": 0.001}
    calls = [{"target": "a", "status": 503, "why": "x", "ms": 1}] * 200
    decision = {"steps": [step, {"plugin": "q", "verdict": "fault"}] * 500, "began": [5.01] * 200}
    spans = spans_of(finished(targets=calls, decision=decision, attempts=200))
    assert len(spans) <= 130
    assert len({span.id for span in spans}) == len(spans)
    assert {span.kind for span in spans} == {"server", CLIENT, INTERNAL}


def test_spans_beyond_the_queue_are_dropped_and_counted_while_a_call_hangs() -> None:
    called, released = threading.Event(), threading.Event()
    sent: list[Sequence[bytes]] = []

    def send(spans: Sequence[bytes]) -> str:
        sent.append(spans)
        called.set()
        released.wait(10)
        return ""

    queue = SpanQueue(send, encode)
    queue.put(finished())
    queue.start()
    assert called.wait(10)
    for _ in range(MAX_WAITING + 5):
        queue.put(finished())
    assert queue.dropped == 5
    released.set()
    queue.close()
    assert sum(map(len, sent)) == 2 * (MAX_WAITING + 1)


def test_failure_of_any_kind_is_counted_told_once_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    replies = iter(["refused", ValueError("broken"), "refused", "refused", ""])

    def send(_: Sequence[bytes]) -> str:
        reply = next(replies)
        if isinstance(reply, Exception):
            raise reply
        return reply

    queue = SpanQueue(send, encode)
    for _ in range(5):
        queue.put(finished())
        queue._send_next()
    assert queue.dropped == 4
    assert [record.getMessage() for record in caplog.records if record.name == span_queue.__name__] == [
        "Spans are dropped: refused",
        "Spans are dropped: ValueError: broken",
        "Spans are dropped: refused",
    ]


def test_queue_that_closes_sends_what_waits_in_bounded_time() -> None:
    hangs = threading.Event()
    queue = SpanQueue(lambda _: "" if hangs.wait(30) else "late", encode)
    queue.put(finished())
    queue.start()
    for _ in until(5.0):
        if not queue._waiting:
            break
    queue.close()
    assert queue._thread.is_alive()
    hangs.set()
    queue._thread.join()  # else it goes on while other tests run
