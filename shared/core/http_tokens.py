"""Names in HTTP: tokens (RFC 9110, 5.6.2), methods, hosts, and the headers of one connection (7.6.1)."""

import re
from functools import lru_cache

from shared.core.memo import Memo

#: Header fields as bytes, as they are sent and received.
Field = tuple[bytes, bytes]
Fields = tuple[Field, ...]
#: A regular expression for a token: the name of a header field, or a method.
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 -- a grammar, no password
_TOKEN_BYTES = re.compile(TOKEN.encode())
#: Headers in which clients send an API key, besides Authorization: Anthropic's, Azure's, Google's, our own.
KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key", "x-gateway-key")
#: The cookie of a session of the dashboard: over TLS, and over plain HTTP.
SESSION_COOKIES = ("__Host-ai_gateway_session", "ai_gateway_session")
#: Shown in place of a header value that is a secret.
MASK = "[redacted]"
#: The challenge of a 401: the scheme that would help (RFC 9110, 15.5.2).
CHALLENGE = {"WWW-Authenticate": "Bearer"}
#: The methods that clients may send, and those whose requests always have a length.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
WITH_BODY = ("POST", "PUT", "PATCH")
#: A regular expression for a DNS label (RFC 1035) in lower case.
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
#: Finds the port at the end of a Host header.
PORT = re.compile(r":[0-9]{1,5}\Z")
#: The target of a request that nothing has routed: a name that never resolves (RFC 6761).
UNROUTED = ("gateway.invalid", 80)
#: Statuses of responses that have no body (RFC 9110, 6.4.1).
NO_BODY = (204, 304)
#: Headers of one connection, in lower case. Old software still uses some of the names.
HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
# Headers that Connection must not remove: routing, framing, identity, and what plugins judge.
_PROTECTED = frozenset(
    (
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"cookie",
        b"host",
        b"transfer-encoding",
        b"x-request-id",
    )
)
_NO_HEADERS = frozenset((b"close", b"keep-alive", b""))


def is_token(text: bytes) -> bool:
    """Return whether `text` can be the name of a header field, or a method."""
    return _TOKEN_BYTES.fullmatch(text) is not None


@lru_cache(256)  # most connections send one of a few values
def connection_options(values: tuple[bytes, ...]) -> frozenset[bytes]:
    """Return what Connection headers with these values list, in lower case, without protected headers."""
    options = frozenset([name.strip() for name in b",".join(values).lower().split(b",")]) - _PROTECTED
    return frozenset([name for name in options if not name.startswith(b"x-forwarded-")])


def removed_by_connection(values: tuple[bytes, ...]) -> frozenset[bytes]:
    """Return the names, in lower case, of the headers that these Connection headers remove."""
    return _REMOVED[b",".join(values)]


# Most servers send the same value with each response.
_REMOVED: Memo[bytes, frozenset[bytes]] = Memo(lambda value: connection_options((value,)) - _NO_HEADERS)


def authority(host: str, port: int) -> str:
    """Return host and port as in a URL (RFC 3986, 3.2), with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def has_no_body(method: str, status: int) -> bool:
    """Whether a response has no body, whatever its head says: those to HEAD, and those of `NO_BODY`."""
    return method == "HEAD" or status in NO_BODY
