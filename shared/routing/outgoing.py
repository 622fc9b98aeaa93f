"""The whole head that goes to the upstream of a rule."""

from shared.http.forwarding import identity_fields, upstream_head
from shared.model.messages import Fields, Headers
from shared.routing.admission import Admitted
from shared.routing.router import upstream_path

_WITH_BODY = ("POST", "PUT", "PATCH")


def outgoing_target(admitted: Admitted, path: str, target: str) -> str:
    """The request target that the upstream sees for the normalized `path`.

    `target` is that of the client, whose query goes through byte for byte.
    """
    _, mark, query = target.partition("?")
    return upstream_path(admitted.route.rule, admitted.route.target, path) + mark + query


def outgoing_fields(
    admitted: Admitted,
    method: str,
    seen: Headers,
    body: bytes,
    *,
    sent: Headers,
    request_id: str,
    client: str,
    instance: str,
) -> Fields:
    """Host, head and length. `seen` is the head as plugins left it, `sent` as it came; the same value when no
    plugin looked.

    `client` is the client's address, `instance` our name in Via.
    """
    route, key = admitted.route, admitted.key
    who = identity_fields(request_id, client, admitted.gateway.snapshot.tenant.id, key.id if key else None)
    head = upstream_head(seen, sent, route.own, who, instance)
    host = sent["host"] if route.rule.preserve_host else route.target.authority
    length = ((b"Content-Length", b"%d" % len(body)),) if body or method in _WITH_BODY else ()
    return ((b"Host", host.encode("ascii")), *head.fields, *length)
