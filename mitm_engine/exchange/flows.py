"""mitmproxy's flows from the bytes of the wire, built without mitmproxy's type checks.

Those checks cost 85 µs per exchange (measured), four times the rest of our Python. mitmproxy can read, copy,
dump and show these flows like any other.
"""

import time
from asyncio import BaseTransport
from collections.abc import Callable
from itertools import count
from random import getrandbits
from typing import TYPE_CHECKING, Any

from mitmproxy import connection, http
from mitmproxy.proxy.mode_specs import ProxyMode

from shared.core.http_tokens import Fields

if TYPE_CHECKING:
    from mitm_engine.http1.last_head import LastHead
    from mitm_engine.http1.request_reader import Incoming

_bare: Callable[..., Any] = object.__new__  # an instance without attributes
# The id of a flow is a UUID (RFC 9562, version 8), unique among all processes. It is not a secret.
_PROCESS = f"{getrandbits(32):08x}-{getrandbits(16):04x}-8{getrandbits(12):03x}-8{getrandbits(12):03x}-"
_numbers = count(0x1000_0000_0000)  # so many digits


class EngineFlow(http.HTTPFlow):
    """A flow of mitmproxy whose attributes have slots; `make_flow` sets them.

    mitmproxy gives some of them defaults in the class: reading such an attribute takes ten times as long.
    Copies, and flows that are loaded, are mitmproxy's own.

    Attributes:
        last_head: the head of its request, if the client repeats it.
    """

    __slots__ = (
        *("_backup", "_resume_event", "client_conn", "comment", "error", "id", "intercepted", "is_replay"),
        *("last_head", "live", "metadata", "request", "response", "server_conn", "timestamp_created"),
        "websocket",
    )

    last_head: "LastHead | None"

    def __init__(self) -> None:
        pass

    def __init_subclass__(cls) -> None:
        """Let a subclass have the type of mitmproxy's flows, too, for dumps."""


EngineFlow.type = http.HTTPFlow.type  # instead of one by the name of the class


def make_client(transport: BaseTransport, unrouted_address: tuple[str, int]) -> connection.Client:
    """Return the client of a connection, as in mitmproxy's reverse mode."""
    client = connection.Client(
        peername=transport.get_extra_info("peername"),
        sockname=transport.get_extra_info("sockname"),
        state=connection.ConnectionState.OPEN,
        proxy_mode=ProxyMode.parse(f"reverse:http://{unrouted_address[0]}:{unrouted_address[1]}"),
    )
    if tls := transport.get_extra_info("ssl_object"):
        client.tls = True
        client.timestamp_tls_setup = client.timestamp_start
        client.tls_version, client.cipher = tls.version(), tls.cipher()[0]
    return client


def make_flow(
    flow: EngineFlow,
    client: connection.Client,
    no_server: connection.Server,
    incoming: "Incoming",
    unrouted_address: tuple[str, int],
) -> http.HTTPFlow:
    """Return `flow` with the head of its request, which goes to `unrouted_address` until an addon routes it.

    `no_server` is its server until there is an upstream.
    """
    now = time.time()  # noqa: TID251 -- mitmproxy's flows carry the time of day
    data: http.RequestData = _bare(http.RequestData)
    data.http_version = incoming.version
    data.headers = _bare(http.Headers)
    data.headers.fields = incoming.fields
    data.content = None
    data.trailers = None
    data.timestamp_start = now
    data.timestamp_end = None
    data.host, data.port = unrouted_address
    data.method = incoming.method
    data.scheme = b"http"
    data.authority = b""
    data.path = incoming.target
    request: http.Request = _bare(http.Request)
    request.data = data

    flow.id = _PROCESS + hex(next(_numbers))[2:]  # formatting it takes twice as long
    flow.client_conn, flow.server_conn = client, no_server
    flow.live = True
    flow.timestamp_created = now
    flow.intercepted = False
    flow._resume_event = flow._backup = None
    flow.comment = ""
    flow.is_replay = None
    flow.metadata = {}
    flow.request = request
    flow.response = flow.error = flow.websocket = None
    flow.last_head = incoming.last_head
    return flow


def make_response(version: bytes, status: int, reason: bytes, fields: Fields) -> http.Response:
    """Return a response whose body has not arrived yet."""
    data: http.ResponseData = _bare(http.ResponseData)
    data.http_version = version
    data.headers = _bare(http.Headers)
    data.headers.fields = fields
    data.content = None
    data.trailers = None
    data.timestamp_start = time.time()  # noqa: TID251 -- as above
    data.timestamp_end = None
    data.status_code = status
    data.reason = reason
    response: http.Response = _bare(http.Response)
    response.data = data
    return response
