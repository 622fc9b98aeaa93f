"""A response that does not need the body does not wait for it, and reaches the client."""

import threading

import pytest

from tests.conformance.conftest import REQUEST_BODY
from tests.conformance.differences import instead
from tests.conformance.wire import HELD, PATH, Wire, closes, is_ours
from tests.support.client import RawClient, Response

MEGABYTE = 1024 * 1024
SIZE = REQUEST_BODY

framings = pytest.mark.parametrize(
    "framing", [f"Content-Length: {SIZE}", "Transfer-Encoding: chunked"], ids=["sized", "chunked"]
)


def uploaded(client: RawClient, head: bytes, pieces: int, chunked: bool = False) -> Response:
    """The response that comes while a body of as many MiB is still being sent."""
    piece = b"x" * MEGABYTE
    framed = b"%x\r\n%s\r\n" % (MEGABYTE, piece) if chunked else piece
    client.send(head)
    sender = threading.Thread(
        target=lambda: client.send(*[framed] * pieces, *[b"0\r\n\r\n"] * chunked), daemon=True
    )
    sender.start()
    response = client.response()
    client.leave()
    sender.join(10)
    assert not sender.is_alive()
    return response


def wrong_key(wire: Wire, head: bytes) -> bytes:
    return head.replace(wire.tenant.key.encode(), b"gwk_wrong")


@framings
def test_a_wrong_key_is_rejected_before_the_body(wire: Wire, framing: str) -> None:
    client = wire.client(wrong_key(wire, wire.head("POST", PATH, framing)))
    if instead(wire.engine, "a response before the body"):
        assert client.is_silent(0.2)
    else:
        response = client.response()
        is_ours(response, 401, "invalid_api_key")
        closes(client, response)
    client.close()
    wire.nothing_reached_the_upstream()


@framings
def test_a_client_that_goes_on_uploading_reads_that_its_key_is_wrong(wire: Wire, framing: str) -> None:
    for _ in range(3):
        head = wrong_key(wire, wire.head("POST", PATH, framing))
        response = uploaded(wire.client(), head, SIZE // MEGABYTE, chunked="chunked" in framing)
        is_ours(response, 401, "invalid_api_key")
    wire.nothing_reached_the_upstream()


def test_request_with_too_large_a_length_is_rejected_before_its_body(wire: Wire) -> None:
    client = wire.client(wire.head("POST", PATH, f"Content-Length: {SIZE + 1}"))
    response = client.response()
    is_ours(response, 413, "body_too_large")
    closes(client, response)
    wire.nothing_reached_the_upstream()


@pytest.mark.parametrize("framing", [f"Content-Length: {SIZE + 5 * MEGABYTE}", "Transfer-Encoding: chunked"])
def test_a_client_that_goes_on_uploading_reads_that_its_body_is_too_large(wire: Wire, framing: str) -> None:
    for _ in range(3):
        response = uploaded(wire.client(), wire.head("POST", HELD, framing), 25, chunked="chunked" in framing)
        is_ours(response, 413, "body_too_large")
    wire.nothing_reached_the_upstream()


def test_a_body_of_exactly_the_limit_passes(wire: Wire) -> None:
    assert wire.ask(wire.post(b"x" * SIZE)).status == 200
    assert len(wire.upstream.received[0].body) == SIZE


def test_a_rejected_request_without_a_body_keeps_the_connection(wire: Wire) -> None:
    client = wire.client(wrong_key(wire, wire.head()))
    is_ours(client.response(), 401)
    assert client.ask(wire.head()).status == 200


def test_a_rejected_request_whose_body_has_come_gets_its_response_in_order(wire: Wire) -> None:
    """Whether the connection stays is the engine's choice; the response announces it."""
    client = wire.client(wrong_key(wire, wire.post(b"x" * 1000)) + wire.head())
    response = client.response()
    is_ours(response, 401)
    if response.get("connection") == "close":
        assert client.rest() == b""
    else:
        assert client.response().status == 200


@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_a_body_of_a_client_without_a_key_is_at_most_64_kib(wire: Wire, framing: str) -> None:
    lines = ["POST /public HTTP/1.1", f"Host: {wire.tenant.host}"]
    lines.append("Transfer-Encoding: chunked" if framing == "chunked" else "Content-Length: 65537")
    client = wire.client("\r\n".join([*lines, "", ""]).encode())
    piece = b"x" * 65537
    early = not instead(wire.engine, "a caller without a key is rejected before its body")
    if framing == "chunked":
        # The last chunk is not sent: an engine that waits for the end of the body is too late.
        client.send(b"10001\r\n" + piece + b"\r\n" + (b"" if early else b"0\r\n\r\n"))
    elif not early:
        assert client.is_silent(0.2)
        client.send(piece)
    is_ours(client.response(), 413, "body_too_large")
    assert b"\r\n0\r\n\r\n" not in wire.upstream.raw  # what flowed there already does not look whole


@pytest.mark.parametrize(
    ("row", "begun", "more", "statuses"),
    [
        ("a head that never ends", b"GET /v1/chat HTTP/1.1\r\n", b"X-A: " + b"b" * 4000 + b"\r\n", {431}),
        ("a request line that never ends", b"GET /", b"a" * 4000, {414, 431}),
    ],
    ids=["head", "request line"],
)
def test_head_that_never_ends_is_rejected_at_its_bound(
    wire: Wire, row: str, begun: bytes, more: bytes, statuses: set[int]
) -> None:
    client = wire.client(begun, *[more] * 16)
    if instead(wire.engine, row):
        assert client.is_silent(0.2)
        client.close()
    else:
        response = client.response()
        assert response.status in statuses
        is_ours(response, response.status, "headers_too_large" if statuses == {431} else None)
        closes(client, response)
    wire.nothing_reached_the_upstream()
