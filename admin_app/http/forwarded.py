"""What trusted proxies in front of the admin API say about a request."""

import re

from flask import request

from admin_app.context import services
from shared.core.addresses import is_in, plain_address
from shared.http.client_address import client_address
from shared.model.messages import Headers

_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]{1,100}){1,10}")


def client() -> str:
    """The address of the client; empty for a peer without one (a unix socket)."""
    peer = request.remote_addr
    if not peer:
        return ""
    return client_address(peer, Headers(request.headers.items()), services().settings.trusted_proxies)


def path_prefix() -> str:
    """The prefix that a trusted proxy has removed from the path (X-Forwarded-Prefix); else empty."""
    peer, prefix = request.remote_addr, request.headers.get("X-Forwarded-Prefix", "").rstrip("/")
    if not peer or not is_in(plain_address(peer), services().settings.trusted_proxies):
        return ""
    return prefix if _PREFIX.fullmatch(prefix) else ""
