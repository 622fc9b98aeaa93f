"""The errors that a client gets."""

import pytest

from shared.core.errors import (
    ERRORS,
    STATUS,
    Invalid,
    Problem,
    StoreDown,
    StoreLost,
    describe_error,
    did_you_mean,
    make_rejection,
)

# contract.md, section 4.
CONTRACT = {
    400: ["invalid_host", "bad_request", "missing_required_header", "invalid_json"],
    401: ["missing_api_key", "invalid_api_key", "api_key_expired", "api_key_revoked"],
    403: ["tenant_disabled", "ip_blocked", "forbidden"],
    404: ["no_matching_rule"],
    405: ["method_not_allowed"],
    413: ["body_too_large"],
    414: ["uri_too_long"],
    415: ["unsupported_content_type"],
    422: ["content_rejected", "validation_failed"],
    429: ["rate_limit_exceeded", "quota_exceeded", "too_many_concurrent_requests"],
    431: ["headers_too_large"],
    501: ["not_implemented", "websocket_not_supported"],
    502: [
        "upstream_unreachable",
        "upstream_protocol_error",
        "response_too_large",
        "upstream_tls",
        "target_forbidden",
    ],
    503: ["plugin_failure", "config_unavailable", "overloaded"],
    504: ["upstream_timeout"],
    508: ["loop_detected"],
}


@pytest.mark.parametrize(("status", "codes"), CONTRACT.items())
def test_error_code_has_its_documented_status(status: int, codes: list[str]) -> None:
    assert {code: STATUS[code] for code in codes} == dict.fromkeys(codes, status)


def test_codes_that_are_only_logged_have_no_status_to_send() -> None:
    assert ERRORS.keys() - STATUS.keys() == {"client_closed"}


def test_a_rejection_takes_its_status_from_the_table() -> None:
    rejection = make_rejection("no_matching_rule", "No rule.")
    assert (rejection.status, rejection.code, rejection.source) == (404, "no_matching_rule", "gateway")
    assert (rejection.message, rejection.headers) == ("No rule.", {})


def test_a_503_says_when_to_come_back() -> None:
    assert make_rejection("overloaded", "Busy.").headers == {"Retry-After": "1"}
    assert make_rejection("overloaded", "Busy.", {"X": "y"}).headers == {"Retry-After": "1", "X": "y"}
    assert make_rejection("overloaded", "Busy.", {"Retry-After": "9"}).headers == {"Retry-After": "9"}


@pytest.mark.parametrize("code", ["response_too_large", "websocket_not_supported"])
def test_error_that_a_second_try_would_repeat_tells_sdks_not_to_retry(code: str) -> None:
    assert make_rejection(code).headers == {"x-should-retry": "false"}


def test_invalid_input_names_every_place_at_once() -> None:
    error = Invalid([Problem("/a", "Must be 1."), Problem("", "Must be a map.")])
    assert str(error) == "/a: Must be 1.; /: Must be a map."
    assert [problem.pointer for problem in error.problems] == ["/a", ""]


def test_error_is_described_by_its_type_and_its_text_if_that_can_be_read() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe_error(ValueError("broken")) == "ValueError: broken"
    assert describe_error(Silent()) == "Silent"


def test_trouble_of_the_store_has_a_text_for_callers() -> None:
    assert StoreDown("redis at 10.0.0.5").detail == "The configuration store does not respond. Retry later."
    assert StoreDown("OOM", "It is out of memory.").detail == "It is out of memory."
    assert (str(StoreLost("It is empty.")), StoreLost("It is empty.").detail) == (
        "It is empty.",
        "It is empty.",
    )


@pytest.mark.parametrize(("word", "hint"), [("pathes", " Did you mean path?"), ("zzz", "")])
def test_error_of_an_unknown_word_names_the_most_similar_allowed_one(word: str, hint: str) -> None:
    assert did_you_mean(word, ("path", "target")) == hint
