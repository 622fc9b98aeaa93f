"""Names in HTTP, and what a Connection header removes."""

import re

import pytest

from shared.core.http_tokens import (
    TOKEN,
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
