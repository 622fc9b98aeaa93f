"""mitmproxy's own core: its options, and a master with only the necessary addons."""

from asyncio import StreamWriter
from collections.abc import Callable
from pathlib import Path
from typing import cast

from mitmproxy import http
from mitmproxy.addons.next_layer import NextLayer
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.master import Master
from mitmproxy.options import Options

from mitm_addons.stock.dispatch import Dispatcher, PostResponse
from mitm_addons.stream_end import Write
from shared.core.http_tokens import UNROUTED
from shared.settings import Settings


def options(settings: Settings, confdir: Path) -> tuple[Options, dict[str, object]]:
    """Return the options that exist before the addons are loaded, and those of the addons."""
    limit = max(settings.limits.request_body, settings.limits.response_body)
    server, target = settings.server, "reverse:http://{}:{}".format(*UNROUTED)
    # In mitmproxy no address stands for all addresses, and `::` for those of IPv6.
    hosts = ["" if host == "::" else host for host in server.proxy_host]
    first = Options(
        mode=[f"{target}@{host}:{server.proxy_port}" for host in hosts],
        confdir=str(confdir),
        http2=False,
        http3=False,
        rawtcp=False,
        websocket=False,
    )
    later: dict[str, object] = {
        "keep_host_header": True,
        "connection_strategy": "lazy",
        "validate_inbound_headers": True,
        "store_streamed_bodies": False,
        # Counts both directions; the request's own limit is checked in `mitm_addons.stages`.
        "body_size_limit": str(limit),
    }
    return first, later


def make_master(settings: Settings, confdir: Path, server: Proxyserver, gateway: Dispatcher) -> Master:
    """Return a master with the proxy core and our dispatcher. Needs a running event loop."""
    first, later = options(settings, confdir)
    master = Master(first)
    master.addons.add(server, NextLayer(), gateway, PostResponse(gateway))
    first.update(**later)
    return master


def client_writer(server: Proxyserver) -> Write:
    """Return a function that writes to the client of a flow, since the core cannot extend a response."""

    def write(flow: http.HTTPFlow, data: bytes) -> None:
        if writer := _writer(server, flow):
            writer.write(data)

    return write


def client_cutter(server: Proxyserver) -> Callable[[http.HTTPFlow], None]:
    """Return a function that closes the connection of a flow's client after what was written to it."""

    def cut(flow: http.HTTPFlow) -> None:
        if writer := _writer(server, flow):
            writer.close()

    return cut


def _writer(server: Proxyserver, flow: http.HTTPFlow) -> StreamWriter | None:
    handler = server.connections.get(flow.client_conn.id)
    transport = handler.transports.get(flow.client_conn) if handler else None
    if transport is None or transport.writer is None or transport.writer.is_closing():
        return None
    return cast(StreamWriter, transport.writer)
