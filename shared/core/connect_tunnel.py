"""Tunnels through the egress proxy: the request with CONNECT, and its response (RFC 9110, 9.3.6)."""

import re

from shared.core.http_tokens import authority

#: The end of a head, and the longest head that the proxy may send.
HEAD_END, MAX_CONNECT_HEAD = b"\r\n\r\n", 16_384
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")


def connect_head(address: str, port: int, authorization: str | None) -> bytes:
    """Return the head of the request, with the credentials for the proxy."""
    target = authority(address, port)
    credentials = f"Proxy-Authorization: {authorization}\r\n" if authorization else ""
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{credentials}\r\n".encode()


def connect_failure(reply: bytes) -> str:
    """Return why the proxy opened no tunnel; empty if it did. `reply` is all that it sent."""
    status = _STATUS.match(reply)
    if status is None:
        return "The egress proxy sent no HTTP response."
    if not status[1].startswith(b"2"):
        return f"The egress proxy replied with status {status[1].decode()}."
    return "" if reply.endswith(HEAD_END) else "The egress proxy sent bytes after its response."
