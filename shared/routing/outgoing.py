"""The request that goes to the upstream of a rule."""

from typing import NamedTuple
from urllib.parse import unquote_plus

from shared.core.http_tokens import WITH_BODY, Fields
from shared.http.forwarding import identity_fields, upstream_head
from shared.model.config import CLIENT
from shared.model.messages import Headers, encoded
from shared.model.targets import Target
from shared.routing.admission import Admitted
from shared.routing.client_keys import own_credentials, query_without_credentials
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


def outgoing(
    admitted: Admitted,
    upstream: Upstream,
    *,
    method: str,
    path: str,
    headers: Headers,
    body: bytes | None,
    sent: Headers,
    sent_target: bytes,
    request_id: str,
    client: str,
    instance: str,
) -> OutgoingRequest:
    """The request that `upstream` gets for an admitted one.

    `path` is normalized, `headers` are as the plugins left them. `sent` and `sent_target` are as the client
    sent them: the query goes through byte for byte, and `headers` is `sent` itself if no plugin saw it.
    `client` is the client's address, `instance` the name of this deployment in Via.
    """
    route, key = admitted.route, admitted.key
    who: Fields = ()
    if route.sends_identity:
        tenant_id = admitted.gateway.snapshot.tenant.id
        who = identity_fields(request_id, client, tenant_id, key.id if key else None)
    credentials = own_credentials(sent) if route.rule.credential == CLIENT else ()
    head = upstream_head(headers, sent, upstream.own, who, instance, credentials)
    host = sent["host"].encode("ascii") if route.rule.preserve_host else upstream.authority
    framing: Fields = ()
    if body is None:
        framing = _sent_framing(sent)
    elif body or method in WITH_BODY:
        framing = ((b"Content-Length", b"%d" % len(body)),)
    defaults = upstream.defaults and tuple([one for one in upstream.defaults if one[0].decode() not in head])
    fields = ((b"Host", host), *head.fields, *defaults, *framing)
    _, mark, query = sent_target.partition(b"?")
    if query and upstream.has_credential:
        query = query_without_credentials(query)
        mark = b"?" if query else b""
    if upstream.query:
        mark, query = b"?", _with_query(query, upstream.query)
    whole = upstream_path(route.rule, upstream.target, path) if upstream.path is None else upstream.path
    target = whole.encode("latin-1") + mark + query
    return OutgoingRequest(method, upstream.target, target, fields, body)


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
