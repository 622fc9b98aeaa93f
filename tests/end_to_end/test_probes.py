"""The probes of both programs, as load balancers send them."""

import json
import socket

import pytest

from tests.support.gateway import RunningGateway

HEADS = {
    "HTTP/1.0 without Host, as HAProxy sends it": b"GET %s HTTP/1.0\r\n\r\n",
    "HTTP/1.1 without Host": b"GET %s HTTP/1.1\r\nConnection: close\r\n\r\n",
    "an address as Host": b"GET %s HTTP/1.1\r\nHost: 10.1.2.3:8081\r\nConnection: close\r\n\r\n",
    "a name that is no tenant": b"GET %s HTTP/1.1\r\nHost: a.b.c.internal\r\nConnection: close\r\n\r\n",
    "no name at all": b"GET %s HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
}


def ask(port: int, request: bytes) -> tuple[bytes, bytes]:
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(request)
        head, _, body = b"".join(iter(lambda: client.recv(65536), b"")).partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize("path", [b"/__/health", b"/__/ready"])
@pytest.mark.parametrize("head", HEADS)
def test_probes_answer_on_both_ports_whatever_the_host(
    gateway: RunningGateway, head: str, path: bytes
) -> None:
    for port in (gateway.admin_port, gateway.proxy_port):
        received, body = ask(port, HEADS[head] % path)
        assert received.split(b" ", 2)[1] == b"200", (port, received, body)
        found = json.loads(body)
        assert found["status"] == "ok"
        # A stranger learns the state of each part, and not where the store is.
        assert not found.keys() - {"status", "parts"}
        assert set(found.get("parts", {}).values()) <= {"ok"}


def test_a_call_of_a_tenant_still_needs_one_host(gateway: RunningGateway) -> None:
    for path in (b"/v1/chat", b"/__/ready/", b"/__/other"):
        received, body = ask(gateway.proxy_port, HEADS["HTTP/1.0 without Host, as HAProxy sends it"] % path)
        assert received.split(b" ", 2)[1] == b"400", (received, body)
        assert json.loads(body)["error"]["code"] == "invalid_host"
