"""The decision of a request record: why the request failed, and when each part of it happened."""

import json
from typing import Any

import pytest

from shared.documents.request_detail import RequestDetail, detail_document
from shared.records.reader import Record
from shared.records.record import encoded
from tests.records.lines import AI, NOW, access_line, line

LIMITED = {"source": "plugin:rate_limiter", "status": 429, "code": "rate_limit_exceeded"}
TIMEOUT = {"cause": "timeout", "detail": "It sent nothing for 3 s."}
REACHED = {"scope": "rule", "name": "global", "limit": 100, "window": "1m", "retry_after_ms": 11_200}


def shown(one: dict[str, Any], **decision: Any) -> Any:
    """The JSON of a record as it comes back from the store."""
    event, trace = encoded(NOW, access_line(one), {"started": 10.0, **decision})
    document = detail_document(Record("1-0", json.loads(event), json.loads(trace)))
    assert RequestDetail().validate(document) == {}
    return document


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({}, None),
        ({"status": 503}, "The upstream sent 503."),
        ({"status": None}, "The client got no response."),
        (
            {"source": "gateway", "status": 404, "code": "no_matching_rule"},
            "Rejected by the gateway: No rule matches this path.",
        ),
        (
            {"source": "plugin:security_validator", "status": 403, "code": "ip_blocked"},
            "Rejected by the plugin security_validator: Requests from this address are not allowed.",
        ),
        (
            {"source": "plugin:own", "status": 400, "code": "no_tea"},
            "Rejected by the plugin own: The code of the error is no_tea.",
        ),
        (
            {"source": "gateway", "status": 502, "code": "upstream_unreachable", "cause": "refused"},
            "The upstream cannot be reached. Nothing listens at the address and port.",
        ),
        (
            {"source": "gateway", "status": 504, "code": "upstream_timeout", **TIMEOUT},
            "The upstream did not respond in time. It sent nothing for 3 s.",
        ),
        ({"status": None, "code": "client_closed"}, "The client closed the connection."),
    ],
)
def test_request_that_failed_says_why_in_words(members: dict[str, Any], why: str | None) -> None:
    assert shown(line(**members))["why"] == why


def test_upstream_that_failed_several_times_is_said_to() -> None:
    calls = [{"target": name, "key": None, "status": 500, "why": "status 500", "ms": 3} for name in "ab"]
    assert shown(line(status=500, ai={**AI, "attempts": calls}))["why"] == (
        "The upstream sent 500 after 2 attempts."
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {},
            "Rejected by the limit rule-global: 100 per 1m were used. The client was told to try again in 12 s.",
        ),
        (
            {"scope": "gateway", "retry_after_ms": None},
            "Rejected by the limit gw-global: 100 per 1m were used. No wait helps.",
        ),
        (
            {"name": "streams", "limit": 8, "window": None},
            "Rejected by the limit rule-streams: 8 requests were open at the same time.",
        ),
    ],
)
def test_request_above_a_limit_names_the_limit_and_the_wait(changes: dict[str, Any], why: str) -> None:
    assert shown(line(**LIMITED), reached={**REACHED, **changes})["why"] == why


def test_times_of_the_parts_of_a_request_begin_with_its_arrival() -> None:
    moments = {"arrived": 10.001, "forwarded": 10.004, "head": 10.05, "first": 10.06, "ended": 10.09}
    decision = shown(line(milliseconds=100.0), **moments, connected=[NOW - 0.096, NOW - 0.08])["decision"]
    names = ("body_ms", "forwarded_ms", "head_ms", "first_byte_ms", "upstream_end_ms")
    assert [decision[name] for name in names] == [1.0, 4.0, 50.0, 60.0, 90.0]
    connection = decision["connection"]
    assert not connection["is_reused"]
    assert (connection["at_ms"], connection["milliseconds"]) == pytest.approx((4.0, 16.0), abs=0.01)


@pytest.mark.parametrize(
    ("forwarded", "connected", "connection"),
    [
        (None, [NOW, NOW], None),
        (10.0, [None, None], None),
        (10.0, [NOW - 60, NOW - 59], {"is_reused": True, "at_ms": None, "milliseconds": None}),
        (10.0, [NOW, None], {"is_reused": False, "at_ms": 125.0, "milliseconds": None}),
    ],
)
def test_connection_is_made_or_reused_or_failed(
    forwarded: float | None, connected: list[float | None], connection: dict[str, Any] | None
) -> None:
    decision = shown(line(milliseconds=125.0), forwarded=forwarded, connected=connected)["decision"]
    assert decision["connection"] == connection


def test_attempts_say_when_they_began_as_far_as_it_was_kept() -> None:
    calls = [{"target": name, "key": None, "status": 0, "why": "refused", "ms": 3} for name in "ab"]
    decision = shown(line(targets=calls), began=[10.25], not_chosen={"c": "open"})["decision"]
    assert [one["at_ms"] for one in decision["attempts"]] == [250.0, None]
    assert decision["not_chosen"] == [{"target": "c", "why_not": "open"}]
