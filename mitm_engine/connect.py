"""New connections to upstreams, made to the address that the addons set, and verified."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import NamedTuple

import certifi
from mitmproxy import connection
from mitmproxy.connection import Address
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from mitm_engine.exchange.dispatch import Dispatch
from mitm_engine.pool import Pool
from mitm_engine.tunnel import ProxyFailed, open_tunnel
from mitm_engine.upstream_connection import Key, UpstreamConnection
from mitm_engine.wire_error import LATE_CONNECT, WireError

_ERROR_HOOK_TIMEOUT = 5.0  # seconds for the hook `server_connect_error`


class _NoResponse(WireError):
    """The address does not respond."""


class _Missed(NamedTuple):
    """An address that does not respond, and why."""

    address: Address | None
    why: WireError


class Connector:
    """Makes connections for `pool`. Certificates are always verified; only the authorities vary."""

    def __init__(self, dispatch: Dispatch, pool: Pool, proxy_authorization: str | None = None) -> None:
        self._dispatch = dispatch
        self._proxy_authorization = proxy_authorization
        self._pool = pool
        self._contexts: dict[str | None, ssl.SSLContext] = {}

    async def __call__(
        self, key: Key, client: connection.Client, seconds: float, on_wait: Callable[[], None]
    ) -> UpstreamConnection:
        """Return a connection for `key`. Raises `WireError` if an addon rejects it, or on a timeout.

        If the addons chose an address that does not respond, they choose once more. `on_wait` is called
        before a wait for the hook `server_connected`.
        """
        until = asyncio.get_running_loop().time() + seconds
        made = self._reserved(key, client)
        try:
            await self._make(made, until)
        except _NoResponse as error:
            if made.server.address == (key.host, key.port):
                raise
            missed, made = _Missed(made.server.address, error), self._reserved(key, client)
            await self._make(made, until, missed)
        try:
            data = ServerConnectionHookData(made.server, client)
            await self._dispatch.call(self._dispatch.server_connected, data, on_wait)
        except BaseException:
            made.close()  # `server_disconnected` follows
            raise
        return made

    def _reserved(self, key: Key, client: connection.Client) -> UpstreamConnection:
        server = connection.Server(address=(key.host, key.port), tls=key.is_tls)
        server.sni = key.host if server.tls else None
        made = UpstreamConnection(self._pool, key, server, client)
        self._pool.reserve(made)
        return made

    async def _make(self, made: UpstreamConnection, until: float, missed: _Missed | None = None) -> None:
        """Connect before the loop's time `until`, but not to a missed address. Raises `WireError`."""
        data = ServerConnectionHookData(made.server, made.client)
        try:
            async with asyncio.timeout_at(until):
                await self._dispatch.call(self._dispatch.server_connect, data)
                await self._open(made, missed)
        except BaseException as error:
            made.close()
            self._pool.free(made)
            text = str(_wire_error(error) if isinstance(error, OSError) else error)
            made.server.error = made.server.error or text or "The connection was canceled."
            await self._call_error_hook(data)
            if isinstance(error, OSError):
                raise _wire_error(error) from None
            raise

    async def _call_error_hook(self, data: ServerConnectionHookData) -> None:
        """Call `server_connect_error`, also if the client left: every `server_connect` needs an end."""
        addons = self._dispatch.call_all(self._dispatch.server_connect_error, data)
        if addons is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ERROR_HOOK_TIMEOUT):
                await addons

    async def _open(self, made: UpstreamConnection, missed: _Missed | None) -> None:
        server, key = made.server, made.key
        if server.error is not None or server.address is None:
            raise WireError("upstream_unreachable", server.error or "An addon removed the address.")
        if missed and server.address == missed.address:
            why = missed.why
            raise WireError(
                "upstream_unreachable", f"{why.detail} There is no other address.", cause=why.cause
            )
        host, port = server.address[:2]
        context = self._context(key.trust) if server.tls else None
        server.timestamp_start = _time_of_day()
        loop = asyncio.get_running_loop()
        if server.via is not None:
            transport = await open_tunnel(server.address, server.via[1], self._proxy_authorization)
            await _hand_over(made, transport, context)
        elif context is None:
            await loop.create_connection(lambda: made, host, port)
        else:
            transport, _ = await loop.create_connection(asyncio.Protocol, host, port)
            await _hand_over(made, transport, context)
        server.peername = made.transport.get_extra_info("peername")
        server.sockname = made.transport.get_extra_info("sockname")
        server.timestamp_tcp_setup = _time_of_day()
        if context:
            server.timestamp_tls_setup = server.timestamp_tcp_setup
            server.alpn = b"http/1.1"
        made.born = loop.time()
        if server.via is None and not _is_expected(host, server.peername):
            raise WireError("upstream_unreachable", "The connection leads to another address.")
        if server.peername == server.address:
            server.peername = server.address  # not the same address twice
        server.state = connection.ConnectionState.OPEN

    def _context(self, trust: str | None) -> ssl.SSLContext:
        if trust not in self._contexts:
            context = ssl.create_default_context(cafile=trust or certifi.where())
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.hostname_checks_common_name = False
            # Python 3.13 demands extensions that many private authorities lack.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            context.set_alpn_protocols(["http/1.1"])
            self._contexts[trust] = context
        return self._contexts[trust]


async def _hand_over(
    made: UpstreamConnection, transport: asyncio.Transport, context: ssl.SSLContext | None
) -> None:
    """Make `made` the protocol of an open connection, over TLS if there is a `context`."""
    if context is None:
        transport.set_protocol(made)
        made.connection_made(transport)
        transport.resume_reading()
        return
    loop = asyncio.get_running_loop()
    secure = await loop.start_tls(transport, made, context, server_hostname=made.key.host)
    if secure is None:
        raise ConnectionError("The connection was closed during the TLS handshake.")
    made.below_tls = transport
    made.connection_made(secure)


def _time_of_day() -> float:
    return time.time()  # noqa: TID251 -- mitmproxy's own timestamps


def _is_expected(address: str, peername: tuple[str, int] | None) -> bool:
    """Return whether the connection leads to `address`; true if that is a name."""
    try:
        wanted = ip_address(address)
    except ValueError:
        return True
    return peername is not None and ip_address(peername[0].partition("%")[0]) == wanted


def _wire_error(error: OSError) -> WireError:
    match error:
        case TimeoutError():
            # A new error to raise: raised itself, it would keep its request until the next collection.
            return WireError(LATE_CONNECT.code, LATE_CONNECT.detail)
        case ssl.SSLError() | ssl.CertificateError():
            return WireError("upstream_tls", str(error))
        case ProxyFailed():
            cause = "egress_proxy"
        case ConnectionRefusedError():
            cause = "refused"
        case ConnectionError():
            cause = "reset"
        case _:
            cause = "unreachable"
    return _NoResponse("upstream_unreachable", f"{str(error).rstrip('.')}.", cause=cause)
