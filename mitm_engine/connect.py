"""New connections to upstreams: announced to the addons, made to the address that they leave, verified."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable
from ipaddress import ip_address

import certifi
from mitmproxy import connection
from mitmproxy.connection import Address
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from mitm_engine.exchange.dispatch import Dispatch
from mitm_engine.pool import Pool
from mitm_engine.upstream_connection import Key, UpstreamConnection
from mitm_engine.wire_error import WireError

_TELLING = 5.0  # seconds for the addons that hear of a connection that was not made


class _NoResponse(WireError):
    """Nobody answers at the address."""


class Connector:
    """Makes connections for `pool`. Certificates are verified, always; the only knob is who is trusted."""

    def __init__(self, dispatch: Dispatch, pool: Pool) -> None:
        self._dispatch = dispatch
        self._pool = pool
        self._contexts: dict[str | None, ssl.SSLContext] = {}

    async def __call__(
        self, key: Key, client: connection.Client, seconds: float, waits: Callable[[], None]
    ) -> UpstreamConnection:
        """A connection for `key`. Raises `WireError` when an addon refuses it, or it cannot be made in time.

        Where addons choose the address they are asked once more when nobody answers there: nothing was sent.
        `waits` is called before an addon is waited for that hears of the new connection.
        """
        until = asyncio.get_running_loop().time() + seconds
        made = self._reserved(key, client)
        try:
            await self._make(made, until)
        except _NoResponse:
            if made.server.address == (key.host, key.port):
                raise
            missed, made = made.server.address, self._reserved(key, client)
            await self._make(made, until, missed)
        try:
            data = ServerConnectionHookData(made.server, client)
            await self._dispatch.call(self._dispatch.server_connected, data, waits)
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

    async def _make(self, made: UpstreamConnection, until: float, missed: Address | None = None) -> None:
        """Connect before the loop's time `until`, and not to `missed`. Raises `WireError`."""
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
            await self._tell_error(data)
            if isinstance(error, OSError):
                raise _wire_error(error) from None
            raise

    async def _tell_error(self, data: ServerConnectionHookData) -> None:
        """Who saw `server_connect` sees this or `server_connected`, also when the client went away."""
        addons = self._dispatch.call_all(self._dispatch.server_connect_error, data)
        if addons is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TELLING):
                await addons

    async def _open(self, made: UpstreamConnection, missed: Address | None) -> None:
        server, key = made.server, made.key
        if server.error is not None or server.address is None:
            raise WireError("upstream_unreachable", server.error or "An addon took the address away.")
        if server.address == missed:
            raise WireError("upstream_unreachable", "Nobody answers, and there is no other address.")
        host, port = server.address[:2]
        context = self._context(key.trust) if server.tls else None
        server.timestamp_start = _time_of_day()
        loop = asyncio.get_running_loop()
        await loop.create_connection(
            lambda: made, host, port, ssl=context, server_hostname=key.host if context else None
        )
        server.peername = made.transport.get_extra_info("peername")
        server.sockname = made.transport.get_extra_info("sockname")
        server.timestamp_tcp_setup = _time_of_day()
        if context:
            server.timestamp_tls_setup = server.timestamp_tcp_setup
            server.alpn = b"http/1.1"
        made.born = loop.time()
        if not _is_expected(host, server.peername):
            raise WireError("upstream_unreachable", "The connection leads to another address.")
        server.state = connection.ConnectionState.OPEN

    def _context(self, trust: str | None) -> ssl.SSLContext:
        if trust not in self._contexts:
            context = ssl.create_default_context(cafile=trust or certifi.where())
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.hostname_checks_common_name = False
            # Python 3.13 began to demand extensions that many private authorities lack.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            context.set_alpn_protocols(["http/1.1"])
            self._contexts[trust] = context
        return self._contexts[trust]


def _time_of_day() -> float:
    return time.time()  # noqa: TID251 -- mitmproxy's own time stamps


def _is_expected(address: str, peername: tuple[str, int] | None) -> bool:
    """Whether the connection leads to `address`; a name says nothing about that."""
    try:
        wanted = ip_address(address)
    except ValueError:
        return True
    return peername is not None and ip_address(peername[0].partition("%")[0]) == wanted


def _wire_error(error: OSError) -> WireError:
    if isinstance(error, TimeoutError):
        return WireError("upstream_timeout")
    if isinstance(error, ssl.SSLError | ssl.CertificateError):
        return WireError("upstream_tls", str(error))
    return _NoResponse("upstream_unreachable", str(error))
