"""A gateway with one engine, one tenant and one scripted upstream, seen from its wire."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.support.client import RawClient, Response
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Received, Upstream

_LINE = re.compile(rb"[A-Z]+ /[\x21-\x7e]* HTTP/1\.1")
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*")
#: The path of the rule that leads to the scripted upstream.
PATH = "/v1/chat"
#: The path of another, whose plugin reads the bodies of requests. So no request begins before its body has ended.
HELD = "/held"


@dataclass(repr=False)
class Wire:
    """A gateway and its upstream during one test. Clients that the test opens are closed after it."""

    engine: str
    gateway: RunningGateway
    tenant: TenantInUse
    upstream: Upstream
    clients: list[RawClient] = field(default_factory=list)

    def client(self, *pieces: bytes, **more: Any) -> RawClient:
        """A new client, which sends these bytes."""
        client = RawClient(self.gateway.proxy_port, **more)
        self.clients.append(client)
        client.send(*pieces)
        return client

    def head(self, method: str = "GET", path: str = PATH, *fields: str, version: str = "1.1") -> bytes:
        """A head with Host and key; `fields` are whole lines."""
        own = (f"Host: {self.tenant.host}", f"Authorization: Bearer {self.tenant.key}")
        lines = [f"{method} {path} HTTP/{version}", *own, *fields, "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def post(self, body: bytes, *fields: str, path: str = PATH) -> bytes:
        """A whole POST with a sized body."""
        return self.head("POST", path, f"Content-Length: {len(body)}", *fields) + body

    def served(self) -> RawClient:
        """A client whose first request was served."""
        client = self.client()
        assert client.ask(self.head()).body == b"ok"
        return client

    def ask(self, *pieces: bytes, method: str = "GET") -> Response:
        """The response to these bytes on a connection of their own."""
        return self.client(*pieces).response(method)

    def nothing_reached_the_upstream(self) -> None:
        """Send one more good request: it must be the first and only thing that the upstream sees."""
        sentinel = self.ask(self.head("GET", PATH + "/sentinel"))
        assert sentinel.status == 200
        assert self.upstream.raw.startswith(f"GET {PATH}/sentinel HTTP/1.1\r\n".encode()), self.upstream.raw
        assert [seen.target for seen in self.upstream.received] == [PATH + "/sentinel"]


def is_ours(response: Response, status: int, code: str | None = None) -> None:
    """The response is one of the gateway's own errors, in the shape of contract.md, section 4."""
    assert response.status == status, response
    assert response.cut is None
    assert response.get("content-type") == "application/json"
    assert response.get("server") is None
    assert response.get("x-gateway-error-source") == "gateway"
    document = json.loads(response.body)
    assert set(document) >= {"error", "request_id"}
    assert set(document["error"]) == {"message", "type", "param", "code"}
    assert code is None or document["error"]["code"] == code, document
    assert document["error"]["message"].endswith(".")
    assert document["request_id"] == response.get("x-request-id")
    assert "127.0.0.1" not in response.body.decode()


def closes(client: RawClient, response: Response) -> None:
    """The response announces the end of the connection, and the end comes without another byte."""
    assert (response.get("connection") or "").lower() == "close"
    assert client.rest() == b""


def heads_are_clean(received: list[Received]) -> None:
    """Every head is plain, has one Host and at most one framing."""
    for seen in received:
        line, *fields = seen.head.split(b"\r\n")[:-2]
        assert _LINE.fullmatch(line), line
        for one in fields:
            assert _FIELD.fullmatch(one), one
        assert len(seen.all("host")) == 1
        lengths, codings = seen.all("content-length"), seen.all("transfer-encoding")
        assert len(lengths) + len(codings) <= 1
        assert all(length.isdecimal() and length.isascii() for length in lengths)
        assert codings in ([], ["chunked"])
