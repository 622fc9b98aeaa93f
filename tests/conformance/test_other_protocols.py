"""Another protocol on the plain port ends without a byte to an upstream."""

import ssl

import pytest

from tests.conformance.differences import instead
from tests.conformance.wire import Wire
from tests.support.client import Ended, NotHTTP, Reading


def client_hello() -> bytes:
    out = ssl.MemoryBIO()
    secure = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="t1.example.com")
    with pytest.raises(ssl.SSLWantReadError):
        secure.do_handshake()
    return out.read()


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(b"\x05\x01\x00", id="a SOCKS greeting"),
        pytest.param(b"\x00" * 64, id="zeros"),
        pytest.param(b"EHLO example.com\r\n\r\n", id="SMTP"),
        pytest.param(b"*1\r\n$4\r\nPING\r\n\r\n", id="Redis"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04" + b"\x00" * 5, id="HTTP/2"),
    ],
)
def test_another_protocol_is_rejected(wire: Wire, first: bytes) -> None:
    client = wire.client(first)
    client.half_close()
    received = client.rest()
    assert received == b"" or received.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")), received
    assert b"mitmproxy" not in received
    wire.nothing_reached_the_upstream()


def test_a_tls_hello_on_the_plain_port_is_rejected(wire: Wire) -> None:
    client = wire.client(client_hello())
    if instead(wire.engine, "a TLS hello on the plain port"):
        assert client.is_silent(0.3)
        client.close()
    else:
        assert client.rest() == b""
    wire.nothing_reached_the_upstream()


def test_the_reader_of_this_suite_rejects_malformed_responses() -> None:
    """The reader that this suite relies on raises for each of them."""
    for raw in (
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
    ):
        with pytest.raises((NotHTTP, Ended)):
            Reading(lambda: (_ for _ in ()).throw(Ended("closed")), raw).response("GET")
