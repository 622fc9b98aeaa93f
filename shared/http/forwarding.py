"""What leaves the gateway: the head that the upstream sees, and the head that the client sees."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from shared.core.http_tokens import HOP_BY_HOP, MASK, removed_by_connection
from shared.core.memo import Memo
from shared.model.messages import Fields, Headers, encoded

#: Where a client may put a key of the gateway.
CREDENTIALS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key"})
# Names that only the gateway may set towards an upstream.
_IDENTITY = re.compile(r"x-(?:gateway|tenant|consumer)-")
# What tells some upstreams another address or another path than the gateway judged.
_FORWARDED = re.compile(r"x-forwarded|(?:forwarded|x-real-ip|x-original-url|x-rewrite-url)$")

# What the gateway sets on every request that it forwards.
_OURS = frozenset(("via", "x-request-id", "x-forwarded-for", "x-tenant-id", "x-consumer-id"))
_NEVER_SENT = HOP_BY_HOP | {"host", "content-length", "expect"}
_NEVER_IN_RESPONSE = HOP_BY_HOP - {"transfer-encoding"}
_NOTHING: frozenset[bytes] = frozenset()
_MASK = MASK.encode()


def _folded(name: str) -> str:
    """The name as servers in the manner of CGI read it: X_Tenant_Id is X-Tenant-Id (RFC 3875, 4.1.18)."""
    return name.lower().replace("_", "-").replace(".", "-")


def is_ours(name: str) -> bool:
    """True for a header that the gateway sets or removes itself, however it is spelled.

    No tenant's configuration may set it: it is framing, routing, or tells an upstream who calls.
    """
    folded = _folded(name)
    return folded in _NEVER_SENT or folded in _OURS or folded.startswith("proxy-") or is_identity(name)


def describes_body(name: str) -> bool:
    """True for a header that says how a body is to be read, as Content-Type does.

    A rule must not set it: its upstream would read another text than plugins have judged.
    """
    return _folded(name).startswith("content-")


def is_identity(name: str) -> bool:
    """True for a header that tells an upstream who is calling, however it is spelled."""
    return _IDENTITY.match(_folded(name)) is not None


def is_private(name: str) -> bool:
    """True for a header that no upstream may tell a client: hop-by-hop, or the gateway's own."""
    return name.lower() in _NEVER_IN_RESPONSE or is_identity(name)


class _Meaning(NamedTuple):
    """What a header's name means here.

    `stays`: no client may tell it to an upstream (hop-by-hop, framing, who it is, where it comes from).
    """

    folded: str
    stays: bool
    is_credential: bool


def _meaning(name: bytes) -> _Meaning:
    text = name.decode("latin-1")
    folded, tells_who = _folded(text), is_identity(text)
    return _Meaning(
        folded,
        stays=folded in _NEVER_SENT or tells_who or _FORWARDED.match(folded) is not None,
        is_credential=folded in CREDENTIALS,
    )


_MEANING: Memo[bytes, _Meaning] = Memo(_meaning)


class OwnHeaders:
    """A rule's own headers, ready for the wire; those that are the gateway's to set are left out."""

    __slots__ = ("fields", "replaced")

    def __init__(self, headers: Mapping[str, str]) -> None:
        own = {
            name: value
            for name, value in headers.items()
            if _folded(name) not in _OURS and not describes_body(name)
        }
        self.fields = tuple([(encoded(name), encoded(value)) for name, value in own.items()])
        # Each is gone from the client's head in every spelling.
        self.replaced = _OURS.union(map(_folded, own))


def _removed_by_connection(headers: Headers) -> frozenset[bytes]:
    values = headers.all("connection")
    return removed_by_connection(tuple([encoded(value) for value in values])) if values else _NOTHING


def plugin_view(headers: Headers) -> Headers:
    """The client's head as plugins see it: as it was sent, with the values of credentials masked."""
    return Headers.of(
        tuple([(name, _MASK if _MEANING[name].is_credential else value) for name, value in headers.fields])
    )


def identity(request: str, client: str, tenant: str, key: str | None) -> Fields:
    """What tells an upstream who calls: the ids of the request, the tenant and the key, and the address."""
    fields = (
        (b"X-Request-ID", encoded(request)),
        (b"X-Forwarded-For", client.encode()),
        (b"X-Tenant-Id", tenant.encode()),
    )
    return (*fields, (b"X-Consumer-Id", key.encode())) if key else fields


def upstream_head(headers: Headers, sent: Headers, own: OwnHeaders, identity: Fields, via: str) -> Headers:
    """The head to forward, without Host and framing: those are the wire's.

    `headers` is what plugins saw and patched, `sent` what the client sent; the same when no plugin looked.
    Gone are the client's credentials (masked in the plugins' view; one that a plugin set stays), its
    hop-by-hop headers (what a plugin set stays, whatever the client's Connection names) and its identity
    headers. `own` are the rule's headers and replace the client's; `identity` (of the function of that name)
    is ours and replaces both. `via` ends the Via chain (RFC 9110, 7.6.3).
    """
    unseen, replaced = headers is sent, own.replaced
    kept = []
    for field in headers.fields:
        meaning = _MEANING[field[0]]
        if meaning.stays or meaning.folded in replaced:
            continue
        if not meaning.is_credential or not (unseen or field[1] == _MASK):
            kept.append(field)
    if removed := _removed_by_connection(sent):
        kept = [field for field in kept if field[0].lower() not in removed or field not in sent.fields]
    chain = ", ".join((*sent.all("via"), f"1.1 {via}"))
    return Headers.of((*kept, (b"Via", encoded(chain)), *own.fields, *identity))


def client_head(headers: Headers, hidden: Mapping[bytes, bool]) -> Headers:
    """The head of the upstream's response as the client gets it; repeated headers stay repeated.

    `hidden` says of the name of a field whether the client does not get it.
    """
    kept = [field for field in headers.fields if not hidden[field[0]]]
    if len(kept) == len(headers.fields):
        return headers  # a Connection header would be gone
    if removed := _removed_by_connection(headers):
        kept = [field for field in kept if field[0].lower() not in removed]
    return Headers.of(tuple(kept))


def passed_here(headers: Headers, via: str) -> bool:
    """True when the request has already been through this gateway (a loop)."""
    values = headers.all("via")
    if not values:
        return False
    entries = ",".join(values).split(",")
    return any(entry.split()[1:2] == [via] for entry in entries)
