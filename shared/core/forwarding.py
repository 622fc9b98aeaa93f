"""What leaves the gateway: the head that the upstream sees, and the head that the client sees."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from shared.core.messages import Headers, encoded

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
_MASK = MASK.encode()


@lru_cache(4096)
def _folded(name: str) -> str:
    """The name as servers in the manner of CGI read it: X_Tenant_Id is X-Tenant-Id (RFC 3875, 4.1.18)."""
    return name.lower().replace("_", "-").replace(".", "-")


def is_identity(name: str) -> bool:
    """True for a header that tells an upstream who is calling, however it is spelled."""
    return _IDENTITY.match(_folded(name)) is not None


class _Meaning(NamedTuple):
    """What a header's name means here. Names repeat, so each is worked out once.

    `stays`: no client may tell it to an upstream (hop-by-hop, framing, who it is, where it comes from).
    `is_private`: no upstream may tell it to a client (hop-by-hop, identity, the limits of the operator's
    key).
    """

    lower: str
    folded: str
    stays: bool
    is_credential: bool
    is_private: bool


@lru_cache(4096)
def _meaning(name: bytes) -> _Meaning:
    text = name.decode("latin-1")
    lower, folded, tells_who = text.lower(), _folded(text), is_identity(text)
    return _Meaning(
        lower,
        folded,
        stays=folded in _NEVER_SENT or tells_who or _FORWARDED.match(folded) is not None,
        is_credential=folded in CREDENTIALS,
        is_private=lower in _NEVER_ANSWERED or tells_who or _FOREIGN_LIMITS.match(lower) is not None,
    )


def _connection_names(headers: Headers) -> frozenset[str]:
    values = headers.all("connection")
    if not values:
        return _NOTHING
    named = ",".join(values).lower().split(",")
    return frozenset(name.strip() for name in named) - _KEPT


def plugin_view(headers: Headers) -> Headers:
    """The client's head as plugins see it: as it was sent, with the values of credentials masked."""
    return Headers.of(
        tuple([(name, _MASK if _meaning(name).is_credential else value) for name, value in headers.fields])
    )


def upstream_head(
    headers: Headers, sent: Headers, own: Mapping[str, str], identity: Mapping[str, str], via: str
) -> Headers:
    """The head to forward, without Host and framing: those are the wire's.

    `headers` is what plugins saw and patched, `sent` what the client sent. Gone are the client's credentials
    (masked in the plugins' view; one that a plugin set stays), its hop-by-hop headers (what a plugin set
    stays, whatever the client's Connection names) and its identity headers. `own` are the rule's headers and
    replace the client's; `identity` is ours and replaces both. `via` ends the Via chain (RFC 9110, 7.6.3).
    """
    ours = {"via", *map(_folded, identity)}
    gone = ours.union(map(_folded, own)) if own else ours
    kept = []
    for field in headers.fields:
        meaning = _meaning(field[0])
        masked = meaning.is_credential and field[1] == _MASK
        if not (meaning.stays or meaning.folded in gone or masked):
            kept.append(field)
    if named := _connection_names(sent):
        kept = [field for field in kept if _meaning(field[0]).lower not in named or field not in sent.fields]
    chain = ", ".join((*sent.all("via"), f"1.1 {via}"))
    rule = [(name, value) for name, value in own.items() if _folded(name) not in ours]
    added = [("Via", chain), *rule, *identity.items()]
    kept += [(encoded(name), encoded(value)) for name, value in added]
    return Headers.of(tuple(kept))


def client_head(headers: Headers) -> Headers:
    """The upstream's answer head as the client may see it; repeated headers stay repeated."""
    kept = [field for field in headers.fields if not _meaning(field[0]).is_private]
    if named := _connection_names(headers):
        kept = [field for field in kept if _meaning(field[0]).lower not in named]
    return Headers.of(tuple(kept))


def passed_here(headers: Headers, via: str) -> bool:
    """True when the request has already been through this gateway (a loop)."""
    values = headers.all("via")
    if not values:
        return False
    entries = ",".join(values).split(",")
    return any(entry.split()[1:2] == [via] for entry in entries)
