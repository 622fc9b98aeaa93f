"""The request for a tunnel, and what the response to it means."""

import pytest

from shared.core.connect_tunnel import connect_failure, connect_head


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
