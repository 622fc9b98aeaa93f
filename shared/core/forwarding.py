"""What leaves the gateway: the head that the upstream sees, and the head that the client sees."""

import re
from collections.abc import Iterable, Mapping

from shared.core.messages import Headers

#: RFC 9110, section 7.6.1, and the names that old software still uses.
HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
#: Where a client may put a key of the gateway.
CREDENTIALS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key"})
# Names that only the gateway may set towards an upstream, in every spelling (X_Tenant_Id, x.tenant.id).
_IDENTITY = re.compile(r"x[-_.](?:gateway|tenant|consumer)[-_.]")
_FORWARDED = frozenset({"forwarded", "x-real-ip"})
# What a Connection header may not name away: framing, routing, and what plugins judge and upstreams need.
_KEPT = frozenset({"host", "content-length", "content-type", "content-encoding", "x-request-id"})
# The upstream's limits are those of the operator's key, not of the client's.
_FOREIGN_LIMITS = re.compile(r"(?:x-|anthropic-)?ratelimit(?:-|$)")

MASK = "[redacted]"


def is_identity(name: str) -> bool:
    """True for a header that tells an upstream who is calling, however it is spelled."""
    return _IDENTITY.match(name.lower()) is not None


def _connection_names(headers: Headers) -> frozenset[str]:
    named = ",".join(headers.all("connection")).lower().split(",")
    return frozenset(name.strip() for name in named) - _KEPT


def plugin_view(headers: Headers) -> Headers:
    """The client's head as plugins see it: as it was sent, with the values of credentials masked."""
    return Headers((name, MASK if name.lower() in CREDENTIALS else value) for name, value in headers)


def upstream_head(
    headers: Headers, own: Mapping[str, str], identity: Mapping[str, str], via: str
) -> list[tuple[str, str]]:
    """The head to forward, from what plugins saw and patched; without Host and framing: those are the wire's.

    Gone are the client's credentials (masked in the plugins' view; one that a plugin set stays) and its
    hop-by-hop and identity headers. `own` are the rule's headers and replace the client's; `identity` is
    ours. `via` is appended to the Via chain (RFC 9110, 7.6.3).
    """
    gone = HOP_BY_HOP | _FORWARDED | _connection_names(headers)
    gone |= {"host", "content-length", "expect", "via"} | {name.lower() for name in (*own, *identity)}
    kept = [(n, v) for n, v in headers if n.lower() not in gone and v != MASK and not _is_spoof(n)]
    chain = ", ".join((*headers.all("via"), f"1.1 {via}"))
    return [*kept, ("Via", chain), *own.items(), *identity.items()]


def _is_spoof(name: str) -> bool:
    return is_identity(name) or name.lower().startswith("x-forwarded")


def client_head(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The upstream's answer head as the client may see it; repeated headers stay repeated."""
    view = Headers(headers)
    gone = (HOP_BY_HOP - {"transfer-encoding"}) | _connection_names(view)
    return [
        (name, value)
        for name, value in view
        if (lower := name.lower()) not in gone and not is_identity(lower) and not _FOREIGN_LIMITS.match(lower)
    ]


def passed_here(headers: Headers, via: str) -> bool:
    """True when the request has already been through this gateway (a loop)."""
    entries = ",".join(headers.all("via")).split(",")
    return any(entry.split()[1:2] == [via] for entry in entries)
