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
# Names that only the gateway may set towards an upstream.
_IDENTITY = re.compile(r"x-(?:gateway|tenant|consumer)-")
# What tells some upstreams another address or another path than the gateway judged.
_FORWARDED = re.compile(r"x-forwarded|(?:forwarded|x-real-ip|x-original-url|x-rewrite-url)$")
# What a Connection header may not name away: framing, routing, and what plugins judge and upstreams need.
_KEPT = frozenset(
    ("host", "content-length", "content-type", "content-encoding", "transfer-encoding", "x-request-id")
)
# The upstream's limits are those of the operator's key, not of the client's.
_FOREIGN_LIMITS = re.compile(r"(?:x-|anthropic-)?rate-?limit(?:-|$)")

MASK = "[redacted]"


def _folded(name: str) -> str:
    """The name as servers in the manner of CGI read it: X_Tenant_Id is X-Tenant-Id (RFC 3875, 4.1.18)."""
    return name.lower().replace("_", "-").replace(".", "-")


def is_identity(name: str) -> bool:
    """True for a header that tells an upstream who is calling, however it is spelled."""
    return _IDENTITY.match(_folded(name)) is not None


def _connection_names(headers: Headers) -> frozenset[str]:
    named = ",".join(headers.all("connection")).lower().split(",")
    return frozenset(name.strip() for name in named) - _KEPT


def plugin_view(headers: Headers) -> Headers:
    """The client's head as plugins see it: as it was sent, with the values of credentials masked."""
    return Headers((name, MASK if _folded(name) in CREDENTIALS else value) for name, value in headers)


def upstream_head(
    headers: Headers, sent: Headers, own: Mapping[str, str], identity: Mapping[str, str], via: str
) -> list[tuple[str, str]]:
    """The head to forward, without Host and framing: those are the wire's.

    `headers` is what plugins saw and patched, `sent` what the client sent. Gone are the client's credentials
    (masked in the plugins' view; one that a plugin set stays), its hop-by-hop headers (what a plugin set
    stays, whatever the client's Connection names) and its identity headers. `own` are the rule's headers and
    replace the client's; `identity` is ours and replaces both. `via` ends the Via chain (RFC 9110, 7.6.3).
    """
    ours = {"via", *map(_folded, identity)}
    gone = HOP_BY_HOP | ours | {"host", "content-length", "expect", *map(_folded, own)}
    named = _connection_names(sent)
    kept = [
        (name, value)
        for name, value in headers
        if (folded := _folded(name)) not in gone
        and not _IDENTITY.match(folded)
        and not _FORWARDED.match(folded)
        and not (value == MASK and folded in CREDENTIALS)
        and not (name.lower() in named and (name, value) in sent.items)
    ]
    chain = ", ".join((*sent.all("via"), f"1.1 {via}"))
    rule = [(name, value) for name, value in own.items() if _folded(name) not in ours]
    return [*kept, ("Via", chain), *rule, *identity.items()]


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
