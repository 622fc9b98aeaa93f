"""The headers in which trusted proxies in front of the admin API describe a request."""

import re

from flask import request

from admin_app.context import services
from shared.core.addresses import is_in, plain_address
from shared.http.client_address import client_address
from shared.model.messages import Headers

_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]{1,100}){1,10}")
_HOST = re.compile(r"[A-Za-z0-9._-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def client() -> str:
    """The address of the client; empty for a peer without one (a unix socket)."""
    peer = request.remote_addr
    if not peer:
        return ""
    return client_address(peer, Headers(request.headers.items()), services().settings.trusted_proxies)


def path_prefix() -> str:
    """The prefix that a trusted proxy has removed from the path (X-Forwarded-Prefix); else empty."""
    prefix = _trusted("X-Forwarded-Prefix").rstrip("/")
    return prefix if _PREFIX.fullmatch(prefix) else ""


def own_origin() -> str:
    """The origin of our pages as the browser knows it: scheme and host, as a trusted proxy forwards them."""
    scheme, host = _trusted("X-Forwarded-Proto").lower(), _trusted("X-Forwarded-Host")
    scheme = scheme if scheme in _DEFAULT_PORTS else request.scheme
    host = (host if _HOST.fullmatch(host) else request.headers.get("Host", "")).lower()
    return f"{scheme}://{host.removesuffix(_DEFAULT_PORTS.get(scheme, ''))}"


def _trusted(name: str) -> str:
    """The value of a header if a trusted proxy sent the request; else empty."""
    peer = request.remote_addr
    if not peer or not is_in(plain_address(peer), services().settings.trusted_proxies):
        return ""
    return request.headers.get(name, "").strip()
