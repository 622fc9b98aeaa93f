"""Names in HTTP, and what a Connection header removes."""

import re

import pytest

from shared.core.http_tokens import (
    TOKEN,
    connect_failure,
    connect_head,
    connection_options,
    has_no_body,
    is_token,
    removed_by_connection,
)


@pytest.mark.parametrize("name", ["X-One", "a", "!#$%&'*+.^_`|~-09azAZ"])
def test_token_of_allowed_characters_matches(name: str) -> None:
    assert re.fullmatch(TOKEN, name)
    assert is_token(name.encode())


@pytest.mark.parametrize(
    "name", ["", "a b", "a:", "a\n", "\u00e9", "a(b)", '"a"', "a,b", "a/b", "[a]", "a@b", "a\\b"]
)
def test_token_of_other_text_is_rejected(name: str) -> None:
    assert not re.fullmatch(TOKEN, name)
    assert not is_token(name.encode("latin-1"))


@pytest.mark.parametrize(
    ("values", "options", "removed"),
    [
        ((b"close",), {b"close"}, set()),
        ((b"X-One, Keep-Alive", b" x-two "), {b"x-one", b"keep-alive", b"x-two"}, {b"x-one", b"x-two"}),
        ((b"Host, Authorization, content-length, X-Forwarded-For",), set(), set()),
        ((b"Cookie, X-Request-ID, Content-Type, content-encoding, transfer-encoding",), set(), set()),
        ((b"close, X-Hop ,",), {b"close", b"x-hop", b""}, {b"x-hop"}),
    ],
)
def test_connection_lists_its_options(
    values: tuple[bytes, ...], options: set[bytes], removed: set[bytes]
) -> None:
    assert connection_options(values) == options
    assert removed_by_connection(values) == removed


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [("HEAD", 200, True), ("GET", 200, False), ("GET", 204, True), ("POST", 304, True)],
)
def test_response_has_no_body_by_its_method_or_status(method: str, status: int, expected: bool) -> None:
    assert has_no_body(method, status) is expected


def test_connect_names_the_address_and_brings_the_credentials() -> None:
    assert connect_head("192.0.2.1", 443, None) == (
        b"CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1:443\r\n\r\n"
    )
    assert connect_head("2001:db8::1", 80, "Basic dTpw") == (
        b"CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n"
        b"Proxy-Authorization: Basic dTpw\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        (b"HTTP/1.0 204\r\nVia: 1.1 p\r\n\r\n", ""),
        (b"HTTP/1.1 407 No\r\n\r\n", "The egress proxy replied with status 407."),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "The egress proxy sent no HTTP response."),
        (b"", "The egress proxy sent no HTTP response."),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1", "The egress proxy sent bytes after its response."),
        (b"HTTP/1.1 200 OK\r\nX: 1", "The egress proxy sent bytes after its response."),
    ],
)
def test_reply_to_connect_opens_a_tunnel_or_says_why_not(reply: bytes, failure: str) -> None:
    assert connect_failure(reply) == failure
