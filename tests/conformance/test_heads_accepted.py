"""Unusual but valid heads: rejecting them would break honest clients."""

from dataclasses import dataclass

import pytest

from tests.conformance.differences import instead
from tests.conformance.wire import PATH, Wire, heads_are_clean, is_ours
from tests.support.upstream import sized


@dataclass(frozen=True)
class Row:
    """`line` and `fields` as sent, with HOST for the tenant's host; `field` is what the upstream gets."""

    name: str
    line: bytes = b"GET /v1/chat HTTP/1.1"
    fields: bytes = b"Host: HOST\r\n"
    target: str = PATH
    field: tuple[str, str] | None = None
    body: bytes = b""


ROWS = (
    Row("an absolute target with the name of its Host", b"GET http://HOST/v1/chat HTTP/1.1"),
    Row("an absolute target in other letters", b"GET HTTP://T1.Example.COM/v1/chat HTTP/1.1"),
    Row("a Host in capitals", fields=b"hOsT: T1.EXAMPLE.COM\r\n"),
    Row("a Host with a dot at the end and a port", fields=b"Host: t1.example.com.:8081\r\n"),
    Row("HTTP/1.0 with a Host", b"GET /v1/chat HTTP/1.0"),
    Row("a value in Latin-1", fields=b"Host: HOST\r\nX-A: caf\xe9\r\n", field=("x-a", "caf\xe9")),
    Row("a tab within a value", fields=b"Host: HOST\r\nX-A: a\tb\r\n", field=("x-a", "a\tb")),
    Row("an empty value", fields=b"Host: HOST\r\nX-A:\r\n", field=("x-a", "")),
    Row("white space around a value", fields=b"Host: HOST\r\nX-A: \t a \t \r\n", field=("x-a", "a")),
    Row("no white space before a value", fields=b"Host:HOST\r\nX-A:a\r\n", field=("x-a", "a")),
    Row("all characters of a name", fields=b"Host: HOST\r\n!#$%&'*+-.^_`|~09aZ: a\r\n", field=("!#$%&'*+-.^_`|~09aZ", "a")),
    Row("100 fields", fields=b"Host: HOST\r\n" + b"X-A: b\r\n" * 98, field=("x-a", "b")),
    Row("a head of 31 KiB", fields=b"Host: HOST\r\nX-A: " + b"b" * 31000 + b"\r\n", field=("x-a", "b" * 31000)),
    Row("a query of 8,000 bytes", b"GET /v1/chat?" + b"a" * 8000 + b" HTTP/1.1", target=PATH + "?" + "a" * 8000),
    Row("a query of everything that is visible", b"GET /v1/chat?a=%20&b=[]{}|\\^`\"<>;?/ HTTP/1.1", target=PATH + "?a=%20&b=[]{}|\\^`\"<>;?/"),
    Row("Chunked with a capital", b"POST /v1/chat HTTP/1.1", b"Host: HOST\r\nTransfer-Encoding: Chunked\r\n", body=b"2\r\nhi\r\n0\r\n\r\n"),
    Row("a body of a GET", fields=b"Host: HOST\r\nContent-Length: 2\r\n", body=b"hi"),
    Row("a body of a DELETE", b"DELETE /v1/chat HTTP/1.1", b"Host: HOST\r\nContent-Length: 2\r\n", body=b"hi"),
    Row("a POST without a body", b"POST /v1/chat HTTP/1.1", b"Host: HOST\r\n", field=("content-length", "0")),
)  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_unusual_request_is_forwarded_in_its_clean_form(wire: Wire, row: Row) -> None:
    raw = row.line + b"\r\n" + row.fields + b"Authorization: Bearer KEY\r\n\r\n"
    raw = raw.replace(b"HOST", wire.tenant.host.encode()).replace(b"KEY", wire.tenant.key.encode()) + row.body
    assert wire.ask(raw).status == 200
    [seen] = wire.upstream.received
    heads_are_clean([seen])
    assert seen.target == row.target
    assert seen.body == (b"hi" if row.body else b"")
    if row.field:
        name, value = row.field
        assert value in seen.all(name)


def test_session_of_the_dashboard_neither_reaches_an_upstream_nor_is_set_by_one(wire: Wire) -> None:
    """Cookies ignore ports: a browser sends those of the admin API on the same host to the proxy, too."""
    cookies = [f"{name}=x; Path=/" for name in ("ai_gateway_session", "__Host-ai_gateway_session", "a")]
    for fields in (
        ["Cookie: a=1; ai_gateway_session=s; b=2"],
        ["Cookie: __Host-ai_gateway_session=s", "Cookie: a=1"],
    ):
        wire.upstream.responds(sized(b"{}", "200 OK", *(f"Set-Cookie: {cookie}" for cookie in cookies)))
        assert wire.ask(wire.head("GET", PATH, *fields)).all("set-cookie") == cookies[-1:]
    assert [seen.all("cookie") for seen in wire.upstream.received] == [["a=1; b=2"], ["a=1"]]
    assert b"session" not in wire.upstream.raw


def test_an_empty_line_before_a_request_is_ignored(wire: Wire) -> None:
    client = wire.client(b"\r\n" + wire.head())
    if instead(wire.engine, "an empty line before a request"):
        assert client.is_silent(0.2)
        client.send(wire.head("GET", PATH + "/next"))
    assert client.response().status == 200
    assert wire.upstream.received[0].target == PATH


@pytest.mark.parametrize("fields", [b"", b"Host: any_thing\r\n"], ids=["no Host", "any Host"])
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("path", [b"/__/health", b"/__/ready"])
def test_probe_without_a_host_or_with_any_is_served(
    wire: Wire, path: bytes, version: bytes, fields: bytes
) -> None:
    """As HAProxy sends it by itself."""
    for method in ("GET", "HEAD"):
        raw = method.encode() + b" " + path + b" HTTP/" + version + b"\r\n" + fields + b"\r\n"
        assert wire.ask(raw, method=method).status == 200


@pytest.mark.parametrize(
    "line", [b"POST /__/ready", b"GET /__/other", b"GET /__/ready?a"], ids=["POST", "another path", "a query"]
)
def test_other_request_without_a_host_is_rejected(wire: Wire, line: bytes) -> None:
    is_ours(wire.ask(line + b" HTTP/1.0\r\n\r\n"), 400, "invalid_host")
