"""What leaves the gateway: the head that the upstream sees, and the head that the client sees."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

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

_NEVER_SENT = HOP_BY_HOP | {"host", "content-length", "expect"}
_NEVER_ANSWERED = HOP_BY_HOP - {"transfer-encoding"}
_NOTHING: frozenset[str] = frozenset()

MASK = "[redacted]"


@lru_cache(4096)
def _folded(name: str) -> str:
    """The name as servers in the manner of CGI read it: X_Tenant_Id is X-Tenant-Id (RFC 3875, 4.1.18)."""
    return name.lower().replace("_", "-").replace(".", "-")


@lru_cache(4096)
def is_identity(name: str) -> bool:
    """True for a header that tells an upstream who is calling, however it is spelled."""
    return _IDENTITY.match(_folded(name)) is not None


@lru_cache(4096)
def _stays_here(name: str) -> bool:
    """True for what no client may tell an upstream: hop-by-hop, framing, who it is, where it comes from."""
    folded = _folded(name)
    return folded in _NEVER_SENT or is_identity(name) or _FORWARDED.match(folded) is not None


@lru_cache(4096)
def _is_credential(name: str) -> bool:
    return _folded(name) in CREDENTIALS


@lru_cache(4096)
def _is_private(name: str) -> bool:
    """True for what no upstream may tell a client: hop-by-hop, identity, the limits of the operator's key."""
    lower = name.lower()
    return lower in _NEVER_ANSWERED or is_identity(lower) or _FOREIGN_LIMITS.match(lower) is not None


def _connection_names(headers: Headers) -> frozenset[str]:
    values = headers.all("connection")
    if not values:
        return _NOTHING
    named = ",".join(values).lower().split(",")
    return frozenset(name.strip() for name in named) - _KEPT


def plugin_view(headers: Headers) -> Headers:
    """The client's head as plugins see it: as it was sent, with the values of credentials masked."""
    return Headers([(name, MASK if _is_credential(name) else value) for name, value in headers.items])


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
    gone = ours.union(map(_folded, own))
    kept = [
        (name, value)
        for name, value in headers.items
        if not _stays_here(name)
        and _folded(name) not in gone
        and not (value == MASK and _is_credential(name))
    ]
    if named := _connection_names(sent):
        kept = [item for item in kept if item[0].lower() not in named or item not in sent.items]
    chain = ", ".join((*sent.all("via"), f"1.1 {via}"))
    rule = [(name, value) for name, value in own.items() if _folded(name) not in ours]
    return [*kept, ("Via", chain), *rule, *identity.items()]


def client_head(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The upstream's answer head as the client may see it; repeated headers stay repeated."""
    items = list(headers)
    kept = [item for item in items if not _is_private(item[0])]
    if named := _connection_names(Headers(items)):
        kept = [item for item in kept if item[0].lower() not in named]
    return kept


def passed_here(headers: Headers, via: str) -> bool:
    """True when the request has already been through this gateway (a loop)."""
    values = headers.all("via")
    if not values:
        return False
    entries = ",".join(values).split(",")
    return any(entry.split()[1:2] == [via] for entry in entries)
