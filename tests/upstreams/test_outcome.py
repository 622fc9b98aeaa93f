"""Whose fault a failure is, from the status and the error of the upstream."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.pools import RetryOn
from shared.upstreams.outcome import (
    SERVED,
    Fault,
    KeyEffect,
    Outcome,
    error_words,
    outcome_of_response,
    outcome_of_stream,
    outcome_of_transport,
    outcome_of_whole,
)


def openai(code: str | None = None, type: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": "No.", "type": type, "param": None, "code": code}}


def anthropic(type: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": type, "message": "No."}, "request_id": "req_1"}


def google(status: str, reason: str) -> dict[str, Any]:
    return {"error": {"code": 400, "message": "No.", "status": status, "details": [{"reason": reason}, "x"]}}


AUTH = (RetryOn.AUTH, Fault.KEY, KeyEffect.REJECTED)
NO_MONEY = (RetryOn.RATE_LIMIT, Fault.KEY, KeyEffect.QUOTA)
TOO_FAST = (RetryOn.RATE_LIMIT, Fault.KEY, KeyEffect.RATE_LIMIT)
FULL = (RetryOn.OVERLOADED, Fault.TARGET, None)
BROKEN = (RetryOn.SERVER_ERROR, Fault.TARGET, None)
CLIENT = (None, Fault.CLIENT, None)
TARGET = (None, Fault.TARGET, None)


def parts(outcome: Outcome) -> tuple[RetryOn | None, Fault, KeyEffect | None]:
    return outcome.kind, outcome.fault, outcome.effect


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, openai("invalid_api_key"), AUTH),
        (401, "no JSON", AUTH),
        (403, anthropic("permission_error"), AUTH),
        (403, google("PERMISSION_DENIED", "SERVICE_DISABLED"), AUTH),
        (403, openai("unsupported_country_region_territory", "request_forbidden"), CLIENT),
        (400, [google("INVALID_ARGUMENT", "API_KEY_INVALID")], AUTH),
        (400, anthropic("invalid_request_error"), CLIENT),
        (400, anthropic("billing_error"), NO_MONEY),
        (402, {}, NO_MONEY),
        (429, openai("insufficient_quota", "insufficient_quota"), NO_MONEY),
        (429, openai("rate_limit_exceeded", "tokens"), TOO_FAST),
        (429, anthropic("rate_limit_error"), TOO_FAST),
        (429, openai(None, "engine_overloaded_error"), FULL),
        (503, "", FULL),
        (529, anthropic("overloaded_error"), FULL),
        (500, openai(None, "server_error"), BROKEN),
        (500, anthropic("overloaded_error"), FULL),
        (502, "<html>", BROKEN),
        (504, [], BROKEN),
        (501, "", TARGET),
        (404, anthropic("not_found_error"), CLIENT),
        (404, google("PERMISSION_DENIED", "x"), CLIENT),
        (413, "", CLIENT),
        (422, "null", CLIENT),
    ],
)
def test_failure_of_a_response_is_that_of_client_key_or_target(
    status: int, body: Any, expected: tuple[RetryOn | None, Fault, KeyEffect | None]
) -> None:
    found = outcome_of_response(status, body.encode() if isinstance(body, str) else orjson.dumps(body), 3.0)
    assert parts(found) == expected
    assert (found.status, found.wait) == (status, 3.0)
    assert found.why


@pytest.mark.parametrize("status", [200, 204, 302, 399])
def test_response_below_400_is_not_a_failure(status: int) -> None:
    assert outcome_of_response(status) is SERVED
    assert not SERVED.why


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"type": "response.failed", "response": {"error": {"code": "insufficient_quota"}}}, NO_MONEY),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "No."}, TOO_FAST),
        (anthropic("overloaded_error"), FULL),
        (anthropic("authentication_error"), AUTH),
        ({"error": {"type": "server_error", "code": None}}, BROKEN),
        ({"error": "a text"}, BROKEN),
        (anthropic("invalid_request_error"), CLIENT),
    ],
)
def test_error_in_a_stream_is_a_failed_start_with_the_fault_of_its_error(
    error: Any, expected: tuple[RetryOn | None, Fault, KeyEffect | None]
) -> None:
    found = outcome_of_stream(error)
    kind, fault, effect = expected
    assert parts(found) == (RetryOn.STREAM_START if kind else None, fault, effect)
    assert found.why


def test_stream_that_ends_or_is_silent_is_a_failed_start_by_fault_of_the_target() -> None:
    ended, silent = outcome_of_stream(None), outcome_of_stream(None, silent=True)
    assert parts(ended) == parts(silent) == (RetryOn.STREAM_START, Fault.TARGET, None)
    assert ended.why != silent.why


def test_whole_response_that_is_none_of_the_api_or_breaks_off_is_a_failure_with_its_status() -> None:
    page = outcome_of_whole("no JSON")
    assert (parts(page), page.why, page.status) == (BROKEN, "no JSON", 200)
    assert outcome_of_transport(RetryOn.RESET, "reset", status=200).status == 200


def test_timeout_that_a_rule_made_shorter_is_not_the_fault_of_the_target() -> None:
    assert outcome_of_transport(RetryOn.TIMEOUT, "first byte").fault is Fault.TARGET
    assert outcome_of_transport(RetryOn.TIMEOUT, "first byte", is_ours=False).fault is Fault.NOBODY
    assert outcome_of_stream(None, silent=True, is_ours=False).fault is Fault.NOBODY


@given(st.recursive(st.none() | st.integers() | st.text(max_size=80), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["error", "type", "code", "status", "details", "reason", "response"]), inner, max_size=4), max_leaves=15))  # fmt: skip
def test_any_error_document_has_words_or_none(document: Any) -> None:
    assert all(word == word.lower() and 0 < len(word) <= 64 for word in error_words(document))


@given(st.integers(400, 599), st.binary(max_size=50))
def test_every_error_has_a_fault_and_a_reason(status: int, body: bytes) -> None:
    found = outcome_of_response(status, body)
    assert found.fault is not Fault.NOBODY
    assert found.why
    assert (found.effect is not None) is (found.fault is Fault.KEY)
