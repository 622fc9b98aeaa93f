"""Heads that could be read in two ways are refused."""

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


def test_a_plain_head_passes() -> None:
    assert check() is None
    assert (
        check(b"POST", b"/v1?x=%20", b"HTTP/1.0", (HOST, (b"Content-Length", b"5"), (b"X-A", b"\xc3\xa4 \t")))
        is None
    )
    assert check(b"POST", fields=(HOST, (b"Transfer-Encoding", b"Chunked"))) is None


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"method": b"CONNECT"}, "bad_request"),
        ({"method": b"TRACE"}, "method_not_allowed"),
        ({"method": b"get"}, "not_implemented"),
        ({"target": b"*"}, "bad_request"),
        ({"target": b"/a b"}, "bad_request"),
        ({"target": b"/\xc3\xa4"}, "bad_request"),
        ({"target": b"/" + b"a" * 8192}, "uri_too_long"),
        ({"version": b"HTTP/2.0"}, "bad_request"),
        ({"version": b"HTTP/0.9"}, "bad_request"),
        ({"fields": ()}, "invalid_host"),
        ({"fields": (HOST, HOST)}, "invalid_host"),
        ({"fields": (HOST,) * 11}, "headers_too_large"),
        ({"fields": (HOST, (b"X", b"y" * 1000))}, "headers_too_large"),
        ({"fields": (HOST, (b"X Y", b"z"))}, "bad_request"),
        ({"fields": (HOST, (b"", b"z"))}, "bad_request"),
        ({"fields": (HOST, (b"X", b"a\r\n b"))}, "bad_request"),
        ({"fields": (HOST, (b"Content-Length", b"1, 1"))}, "bad_request"),
        ({"fields": (HOST, (b"Content-Length", b"1"), (b"content-length", b"1"))}, "bad_request"),
        ({"fields": (HOST, (b"Content-Length", b"0x1"))}, "bad_request"),
        ({"fields": (HOST, (b"Transfer-Encoding", b"gzip, chunked"))}, "bad_request"),
        (
            {"fields": (HOST, (b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked"))},
            "bad_request",
        ),
        ({"fields": (HOST, (b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"1"))}, "bad_request"),
        ({"version": b"HTTP/1.0", "fields": (HOST, (b"Transfer-Encoding", b"chunked"))}, "bad_request"),
    ],
)
def test_what_is_refused(more: dict, code: str) -> None:
    assert check(**more) == code


@given(st.binary(min_size=1, max_size=20), st.integers(0, 8))
def test_no_control_character_ever_passes(value: bytes, where: int) -> None:
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
def test_an_absolute_target_is_taken_only_when_it_says_what_host_says(
    target: bytes, form: bytes | None
) -> None:
    assert origin_form(target, (HOST,)) == form
