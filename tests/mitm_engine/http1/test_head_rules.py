"""Heads that could be read in two ways are rejected."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm_engine.http1.head_rules import check_head, origin_form
from mitm_engine.options import Options
from mitm_engine.wire_error import WireError

HOST = (b"Host", b"a.example.com")


def check(
    method: bytes = b"GET", target: bytes = b"/", version: bytes = b"HTTP/1.1", fields: tuple = (HOST,)
) -> str | None:
    try:
        check_head(method, target, version, fields, Options(head_limit=1000, field_limit=10))
    except WireError as error:
        return error.code
    return None


def test_a_valid_head_passes() -> None:
    assert check() is None
    assert (
        check(b"POST", b"/v1?x=%20", b"HTTP/1.0", (HOST, (b"Content-Length", b"5"), (b"X-A", b"\xc3\xa4 \t")))
        is None
    )
    assert check(b"POST", fields=(HOST, (b"Transfer-Encoding", b"Chunked"))) is None


@pytest.mark.parametrize(
    "fields", [(HOST,) * 11, (HOST, (b"X", b"y" * 1000))], ids=["too many fields", "too many bytes"]
)
def test_a_head_over_a_limit_of_the_options_is_rejected(fields: tuple) -> None:
    """All other faults are proven on the wire, by `test_malformed_request_is_rejected_before_any_hook`."""
    assert check(fields=fields) == "headers_too_large"


@given(st.binary(min_size=1, max_size=20), st.integers(0, 8))
def test_head_with_a_control_character_is_rejected(value: bytes, where: int) -> None:
    broken = value[:where] + b"\x00" + value[where:]
    assert check(fields=(HOST, (b"X", broken))) == "bad_request"
    assert check(fields=(HOST, (broken, b"x"))) == "bad_request"
    assert check(target=b"/" + broken) in ("bad_request", "uri_too_long")


@pytest.mark.parametrize(
    ("target", "form"),
    [
        (b"/v1?x", b"/v1?x"),
        (b"http://a.example.com/v1?x", b"/v1?x"),
        (b"HTTPS://A.example.com", b"/"),
        (b"http://a.example.com?x", b"/?x"),
        (b"http://b.example.com/", None),
        (b"http://a.example.com:80/", None),
        (b"http://u@a.example.com/", None),
        (b"*", b"*"),
    ],
)
def test_an_absolute_target_is_accepted_only_with_the_name_of_its_host(
    target: bytes, form: bytes | None
) -> None:
    assert origin_form(target, (HOST,)) == form
