"""The request that goes to the upstream of a rule."""

from collections.abc import Awaitable
from typing import NamedTuple
from urllib.parse import unquote_plus

from shared.core.errors import Rejection
from shared.core.http_tokens import WITH_BODY, Fields
from shared.http.forwarding import REQUEST_ID, identity_fields, upstream_head
from shared.http.varying import VARYING
from shared.model.config import CLIENT
from shared.model.messages import Headers, Request, encoded
from shared.model.targets import Target
from shared.routing.admission import Admitted
from shared.routing.ai_calls import AiCalls, Chosen
from shared.routing.ai_exchange import AiExchange
from shared.routing.client_keys import moved_credentials, own_credentials, query_without_credentials
from shared.routing.pool_exchange import ChosenUpstream
from shared.routing.router import upstream_path
from shared.routing.upstream import Upstream


class OutgoingRequest(NamedTuple):
    """A request for an upstream.

    Attributes:
        method: its method.
        target: the origin of the upstream.
        path: the request target, with the query.
        fields: the head with Host and length, as it goes on the wire.
        body: the whole body; None if it is forwarded as it arrives.
    """

    method: str
    target: Target
    path: bytes
    fields: Fields
    body: bytes | None

    @property
    def url(self) -> str:
        return f"{self.target.scheme}://{self.target.authority}{self.path.decode('latin-1')}"


class ForwardedRequest(NamedTuple):
    """A request on its way to an upstream, which may be tried after another.

    Attributes:
        admitted: the rule and the key.
        method: its method.
        path: the normalized path.
        headers: as the plugins left them; `sent` itself if no plugin saw them.
        sent, sent_target: as the client sent them: the query goes through byte for byte.
        request_id: the id of the request.
        client: the client's address.
        instance: the name of this deployment in Via.
    """

    admitted: Admitted
    method: str
    path: str
    headers: Headers
    sent: Headers
    sent_target: bytes
    request_id: str
    client: str
    instance: str


def choose_upstream(
    calls: AiCalls, admitted: Admitted, ai: AiExchange | None, request: Request
) -> Chosen | Awaitable[Chosen]:
    """The upstream of a request as plugins left it. Or the response, where the gateway responds itself.

    It has to be awaited for a request that names what a provider has stored.
    """
    if ai is not None:
        return calls.choose(ai, admitted.key, request)
    route = admitted.route
    if route.pool is None:
        return ChosenUpstream(route.upstream, request.body)
    now = calls.clock.monotonic()
    begun = route.pool.begin(request.headers, request.body, random=calls.random, now=now, tell=calls.tell)
    if isinstance(begun, Rejection):
        return begun
    pooled, upstream = begun
    return ChosenUpstream(upstream, request.body, pooled)


def outgoing(
    forwarded: ForwardedRequest, upstream: Upstream, body: bytes | None, trace: Fields = ()
) -> OutgoingRequest:
    """The request that `upstream` gets. Without a body it is forwarded as it arrives.

    `trace` are the headers that tell its place in a trace.
    """
    head = _outgoing_head(forwarded, upstream)
    framing = _sent_framing(forwarded.sent) if body is None else _length(forwarded.method, body)
    fields = (*head.own, *head.identity, *trace, *head.defaults, *framing)
    return OutgoingRequest(forwarded.method, upstream.target, head.path, fields, body)


class LastOutgoing:
    """The result of `outgoing` for the requests of a head that is repeated, computed once per upstream.

    The heads differ in the values of `VARYING` and in their length alone, and no plugin has changed them.

    Attributes:
        path: the request target, with the query.
    """

    __slots__ = ("_framing", "_head", "_is_sized", "_key", "_moved", "_route", "_size", "_upstream", "path")

    def __init__(self, forwarded: ForwardedRequest, upstream: Upstream) -> None:
        self._route, self._key, self._upstream = forwarded.admitted.route, forwarded.admitted.key, upstream
        self._head = _outgoing_head(forwarded, upstream)
        self._is_sized = forwarded.method in WITH_BODY
        self._size = -1
        self._framing: Fields = ()
        self.path = self._head.path
        places = {id(field): place for place, field in enumerate(self._head.own)}
        # Where a value that may vary stands in the head that came, and in the one that goes.
        self._moved = [
            (place, places[id(field)])
            for place, field in enumerate(forwarded.sent.fields)
            if field[0].lower() in VARYING and id(field) in places
        ]

    def is_for(self, admitted: Admitted, upstream: Upstream) -> bool:
        """Whether it was made for this rule, key and upstream."""
        return upstream is self._upstream and admitted.route is self._route and admitted.key is self._key

    def fields(self, sent: Fields, request_id: str, size: int, trace: Fields = ()) -> Fields:
        """The fields of `outgoing` for the newest head, with a body of so many bytes."""
        _, own, identity, defaults = self._head
        if self._moved:
            newest = list(own)
            for came, goes in self._moved:
                newest[goes] = sent[came]
            own = tuple(newest)
        if identity:
            identity = ((REQUEST_ID, request_id.encode("latin-1")), *identity[1:])
        if size != self._size:
            self._size = size
            self._framing = ((b"Content-Length", b"%d" % size),) if size or self._is_sized else ()
        return (*own, *identity, *trace, *defaults, *self._framing)


class _OutgoingHead(NamedTuple):
    """A head without its framing.

    Attributes:
        path: the request target, with the query.
        own: Host, the fields of the client, and those of the rule.
        identity: the result of `identity_fields`.
        defaults: fields that the client did not send.
    """

    path: bytes
    own: Fields
    identity: Fields
    defaults: Fields


def _outgoing_head(forwarded: ForwardedRequest, upstream: Upstream) -> _OutgoingHead:
    admitted, _, path, headers, sent, sent_target, request_id, client, instance = forwarded
    route, key = admitted.route, admitted.key
    identity: Fields = ()
    if route.sends_identity:
        tenant_id = admitted.gateway.snapshot.tenant.id
        identity = identity_fields(request_id, client, tenant_id, key.id if key else None)
    credentials = own_credentials(sent) if route.rule.credential == CLIENT else ()
    head = upstream_head(headers, sent, upstream.own, via=instance, credentials=credentials)
    if credentials and upstream.credential is not None:
        name, is_bearer = upstream.credential
        head = moved_credentials(head, name, is_bearer=is_bearer)
    host = sent["host"].encode("ascii") if route.rule.preserve_host else upstream.authority
    defaults = upstream.defaults and tuple([one for one in upstream.defaults if one[0].decode() not in head])
    _, mark, query = (b"", b"", b"") if upstream.is_translated else sent_target.partition(b"?")
    if query and upstream.has_credential:
        query = query_without_credentials(query)
        mark = b"?" if query else b""
    if upstream.query:
        mark, query = b"?", _with_query(query, upstream.query)
    whole = upstream_path(route.rule, upstream.target, path) if upstream.path is None else upstream.path
    target = whole.encode("latin-1") + mark + query
    return _OutgoingHead(target, ((b"Host", host), *head.fields), identity, defaults)


def _length(method: str, body: bytes) -> Fields:
    return ((b"Content-Length", b"%d" % len(body)),) if body or method in WITH_BODY else ()


def _with_query(sent: bytes, own: str) -> bytes:
    """The client's query, byte for byte, with `own` in place of its parameters of the same names."""
    names = {part.partition("=")[0] for part in own.split("&")}
    kept = [
        part
        for part in sent.split(b"&")
        if part and unquote_plus(part.partition(b"=")[0].decode("latin-1")) not in names
    ]
    return b"&".join([*kept, own.encode("ascii")])


def _sent_framing(sent: Headers) -> Fields:
    if length := sent.get("content-length"):
        return ((b"Content-Length", encoded(length)),)
    return ((b"Transfer-Encoding", b"chunked"),)
