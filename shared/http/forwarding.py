"""The heads that leave the gateway: the request head for the upstream, the response head for the client."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from shared.core.http_tokens import (
    HOP_BY_HOP,
    KEY_HEADERS,
    MASK,
    SESSION_COOKIES,
    Fields,
    removed_by_connection,
)
from shared.core.memo import Memo
from shared.model.messages import Headers, encoded

#: Headers in which a client may send its API key of the gateway.
CREDENTIALS = frozenset({"authorization", "proxy-authorization", *KEY_HEADERS})
# Only the gateway may send these to an upstream.
_IDENTITY = re.compile(r"x-(?:gateway|tenant|consumer)-")
# With these, some upstreams read another address or path than the one that the gateway judged.
_FORWARDED = re.compile(r"x-forwarded|(?:forwarded|x-real-ip|x-original-url|x-rewrite-url)$")

# Only the gateway sets these on a request that it forwards.
_OURS = frozenset(
    (
        *("via", "x-request-id", "x-forwarded-for", "x-tenant-id", "x-consumer-id"),
        *("traceparent", "tracestate"),
    )
)
_NEVER_SENT = HOP_BY_HOP | {"host", "content-length", "expect"}
_OF_CONNECTION = HOP_BY_HOP - {"transfer-encoding", "proxy-authorization"}
_NEVER_IN_RESPONSE = HOP_BY_HOP - {"transfer-encoding"}
_MASK = MASK.encode()
_SESSIONS = frozenset(name.encode() for name in SESSION_COOKIES)
# CGI variables have letters, digits and underscores only, so servers replace whatever else a name has.
_MARK = re.compile(r"[^a-z0-9-]")


def _folded(name: str) -> str:
    """The name as a CGI server reads it: X_Tenant_Id and X~Tenant~Id are X-Tenant-Id (RFC 3875, 4.1.18)."""
    return _MARK.sub("-", name.lower())


def is_ours(name: str) -> bool:
    """True for a header that the gateway sets or removes itself, in every spelling.

    The configuration of a tenant must not set it: it is framing or routing, or it names the caller.
    """
    folded = _folded(name)
    return folded in _NEVER_SENT or folded in _OURS or folded.startswith("proxy-") or is_identity(name)


def describes_body(name: str) -> bool:
    """True for a header that says how to read the body, such as Content-Type.

    A rule must not set it: the upstream would read another text than the plugins judged.
    """
    return _folded(name).startswith("content-")


def is_identity(name: str) -> bool:
    """True for a header that names the caller to an upstream, in every spelling."""
    return _IDENTITY.match(_folded(name)) is not None


def is_credential(name: bytes) -> bool:
    """True for a header in which a client sends a credential to its upstream, in every spelling."""
    meaning = _MEANING[name]
    return meaning.is_credential and not meaning.is_removed


def is_private(name: str) -> bool:
    """True for a header that an upstream must not send to a client: hop-by-hop, or of the gateway."""
    return name.lower() in _NEVER_IN_RESPONSE or is_identity(name)


class _Meaning(NamedTuple):
    """The meaning of the name of a header in a request.

    A header that `is_removed` is not forwarded: hop-by-hop, framing, identity, or the client's address. One
    that `is_of_connection` is hop-by-hop, and neither framing nor a credential.
    """

    folded: str
    is_removed: bool
    is_of_connection: bool
    is_credential: bool
    is_cookie: bool


def _meaning(name: bytes) -> _Meaning:
    text = name.decode("latin-1")
    folded = _folded(text)
    return _Meaning(
        folded,
        is_of_connection=folded in _OF_CONNECTION,
        is_removed=folded in _NEVER_SENT or is_identity(text) or _FORWARDED.match(folded) is not None,
        is_credential=folded in CREDENTIALS,
        is_cookie=folded == "cookie",
    )


_MEANING: Memo[bytes, _Meaning] = Memo(_meaning)
#: True for a header that sets a cookie.
SETS_COOKIE: Memo[bytes, bool] = Memo(lambda name: name.lower() == b"set-cookie")
#: The name of a header as a CGI server reads it.
FOLDED_NAME: Memo[bytes, str] = Memo(lambda name: _folded(name.decode("latin-1")))


class OwnHeaders:
    """The headers of a rule as bytes, without those that only the gateway sets.

    If the upstream is not told `who` calls, the client's own X-Request-ID is forwarded. `dropped` are the
    names, in lower case, of further headers that clients cannot send.
    """

    __slots__ = ("fields", "replaced")

    def __init__(
        self, headers: Mapping[str, str], dropped: Collection[str] = (), *, who: bool = True
    ) -> None:
        own = [name for name in headers if _folded(name) not in _OURS and not describes_body(name)]
        self.fields = tuple([(encoded(name), encoded(headers[name])) for name in own])
        # These are removed from the client's head, in every spelling.
        self.replaced = (_OURS if who else _OURS - {"x-request-id"}).union(map(_folded, own), dropped)

    def with_json(self, dropped: Collection[str]) -> "OwnHeaders":
        """The same for bodies that the gateway writes itself, as JSON. Clients cannot send `dropped`, too."""
        made = OwnHeaders({})
        made.fields = (*self.fields, (b"Content-Type", b"application/json"))
        made.replaced = self.replaced.union(("content-type", "content-encoding"), dropped)
        return made


def _removed_by_connection(headers: Headers) -> Collection[bytes]:
    values = headers.all("connection")
    return removed_by_connection(tuple([encoded(value) for value in values])) if values else ()


def _without_sessions(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """`fields` without sessions of the dashboard. Cookies ignore ports, so browsers send them here, too.

    What is left of a header stays as it was sent (RFC 6265, 8.5). Other fields are the same objects.
    """
    kept = []
    for field in fields:
        name, value = field
        if not _MEANING[name].is_cookie or not any(session in value for session in _SESSIONS):
            kept.append(field)
        elif left := b";".join(pair for pair in value.split(b";") if not _is_session(pair)).strip():
            kept.append((name, left))
    return kept


def _is_session(cookie: bytes) -> bool:
    """Whether a cookie of either header is a session of the dashboard.

    Browsers send the value of a cookie without a name alone, so in it the name may stand.
    """
    return cookie.lstrip(b"= \t").partition(b"=")[0].strip() in _SESSIONS


def plugin_view(headers: Headers) -> Headers:
    """Return the client's head as plugins see it: without headers of its connection, credentials masked.

    Plugins judge what is forwarded. Transfer-Encoding stays: it says that there is a body. Sessions of the
    dashboard are removed.
    """
    fields = [
        (field[0], _MASK) if _MEANING[field[0]].is_credential else field
        for field in headers.fields
        if not _MEANING[field[0]].is_of_connection
    ]
    if [1 for field in fields if _MEANING[field[0]].is_cookie]:
        fields = _without_sessions(fields)
    if len(fields) < len(headers.fields) and (removed := _removed_by_connection(headers)):
        fields = [field for field in fields if field[0].lower() not in removed]
    return Headers.of(tuple(fields))


#: The first of `identity_fields`.
REQUEST_ID = b"X-Request-ID"


def identity_fields(request: str, client: str, tenant: str, key: str | None) -> Fields:
    """Return the headers that name the caller: the ids of request, tenant and key, and the address."""
    fields = (
        (REQUEST_ID, encoded(request)),
        (b"X-Forwarded-For", client.encode()),
        (b"X-Tenant-Id", tenant.encode()),
    )
    return (*fields, (b"X-Consumer-Id", key.encode())) if key else fields


def upstream_head(
    headers: Headers, sent: Headers, own: OwnHeaders, *, via: str, credentials: Fields = ()
) -> Headers:
    """Return the head to forward. Host, framing, `identity_fields` and the trace stand beside it.

    Credentials, hop-by-hop and identity headers of the client are removed. Those that a plugin set stay.
    Sessions of the dashboard are removed in any case.

    Args:
        headers: the head as plugins saw and changed it; the same object as `sent` if there are none.
        sent: the head that the client sent.
        own: the headers of the rule; they replace those of the client.
        via: the last entry of the Via chain (RFC 9110, 7.6.3).
        credentials: those of the client to forward all the same, where no plugin removed or set them.
    """
    unseen, replaced, has_cookies = headers is sent, own.replaced, False
    kept = []
    for field in headers.fields:
        meaning = _MEANING[field[0]]
        if meaning.is_removed or meaning.folded in replaced:
            continue
        if meaning.is_cookie:
            has_cookies = True
        if not meaning.is_credential or not (unseen or field[1] == _MASK):
            kept.append(field)
    if credentials:
        kept += _left(credentials, headers, unseen=unseen)
    if removed := _removed_by_connection(sent):
        kept = [field for field in kept if field[0].lower() not in removed or field not in sent.fields]
    if has_cookies:
        kept = _without_sessions(kept)
    chain = ", ".join((*sent.all("via"), f"1.1 {via}"))
    return Headers.of((*kept, (b"Via", encoded(chain)), *own.fields))


def _left(credentials: Fields, headers: Headers, *, unseen: bool) -> Fields:
    """Those of `credentials` that `headers` still has as they came: masked, if plugins saw them."""
    names = {_MEANING[name].folded for name, value in headers.fields if unseen or value == _MASK}
    return tuple([field for field in credentials if _MEANING[field[0]].folded in names])


def client_head(headers: Headers, hidden: Mapping[bytes, bool]) -> Headers:
    """Return the head of the upstream's response as the client gets it; repeated headers stay repeated.

    `hidden` maps the name of a field to True when the client does not get it. A cookie that would replace a
    session of the dashboard is removed.
    """
    if not [1 for field in headers.fields if hidden[field[0]] or SETS_COOKIE[field[0]]]:
        return headers  # there is no Connection header: it would be hidden
    kept = [
        field
        for field in headers.fields
        if not hidden[field[0]] and not (SETS_COOKIE[field[0]] and _is_session(field[1]))
    ]
    if removed := _removed_by_connection(headers):
        kept = [field for field in kept if field[0].lower() not in removed]
    return Headers.of(tuple(kept))


def passed_here(headers: Headers, via: str) -> bool:
    """True when the request has passed this gateway before (a loop)."""
    values = headers.all("via")
    return values != () and any(entry.split()[1:2] == [via] for entry in ",".join(values).split(","))
