"""The engine: a mitmproxy master's addons behind our own HTTP/1.1 wire."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Sequence

from mitmproxy import http
from mitmproxy.hooks import DoneHook, RunningHook
from mitmproxy.master import Master
from mitmproxy.options import Options as MasterOptions

from mitm_engine import deadlines
from mitm_engine.client_connection import ClientConnection
from mitm_engine.metrics import Metrics
from mitm_engine.options import Options, Policy
from mitm_engine.processes.listener import Listener
from mitm_engine.processes.scoreboard import WorkerContext
from mitm_engine.proxy_protocol import BadHeader, Peer, read_peer
from mitm_engine.wire_error import WireError
from mitm_engine.worker_state import WorkerState
from shared.core.addresses import Network

logger = logging.getLogger(__name__)

_HANDSHAKE_TIMEOUT = 10.0  # seconds for a client's TLS handshake
# Seconds until a closing TLS connection has sent what is unread. A client that does not read is cut earlier.
_SHUTDOWN_TIMEOUT = 3600.0
_END_TIMEOUT = 1.0  # seconds for the error events and the hooks of exchanges that a drain ends
#: Seconds that a drain leaves to idle connections for a request that is on its way, and to TLS handshakes.
LAST_REQUEST = 1.0
#: The thresholds of the garbage collector. Most objects of an exchange are freed without it, and a full
#: collection stops everything (110 ms with 5,000 open streams, measured).
GC_THRESHOLDS = 20_000, 50, 100
_NEEDS_TLS = WireError("bad_request", "This port needs HTTPS. Use https:// instead of http:// in the URL.")
_NEEDS_BALANCER = WireError(
    "bad_request", "This port serves load balancers only, with the PROXY protocol v2. Call the load balancer."
)
_SHUTTING_DOWN = WireError("overloaded", "The worker is shutting down.")


def make_master(*addons: object) -> Master:
    """Return a mitmproxy master with `addons` and no proxy server. Needs a running event loop."""
    master = Master(MasterOptions())
    # Else every log record is formatted once more, for addons that do not exist.
    master._legacy_log_events.uninstall()
    master.addons.add(*addons)
    return master


class Engine:
    """Serves the sockets passed to `accept`. Needs a running event loop; uvloop is the fast one.

    Raises OSError or ssl.SSLError if the files of `options.tls` are invalid.
    """

    def __init__(self, master: Master, options: Options | None = None, policy: Policy | None = None) -> None:
        self._options = options or Options()
        self._worker = WorkerState(master, self._options, policy or Policy())
        self._loop = asyncio.get_running_loop()
        self._tls = self._load_tls()
        self._accepting: set[asyncio.Task[None]] = set()
        self._sweeping = self._loop.create_task(
            deadlines.sweep(self._worker.connections.values(), self._worker.sweep, self.metrics), name="sweep"
        )

    @property
    def metrics(self) -> Metrics:
        """The counters of this process."""
        return self._worker.metrics

    @property
    def connections(self) -> int:
        """Open connections of clients, including those in a TLS handshake."""
        return len(self._worker.connections) + len(self._accepting)

    @property
    def is_draining(self) -> bool:
        """Whether a load balancer must send no new request."""
        return self._worker.is_draining

    def accept(self, client: socket.socket) -> None:
        """Serve a connected socket.

        With TLS, or a header before it, it is closed above the limit: a response would cost too much.
        """
        is_direct = self._tls is None and self._options.balancers is None
        if not is_direct and self.connections >= self._options.connections:
            self.metrics.closed["full"] += 1
            client.close()
            return
        task = self._loop.create_task(self._serve(client))
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    async def _serve(self, client: socket.socket) -> None:
        times: dict[str, float] = {}
        if self._tls is not None:
            times = {"ssl_handshake_timeout": _HANDSHAKE_TIMEOUT, "ssl_shutdown_timeout": _SHUTDOWN_TIMEOUT}
        peer: Peer | None = None
        try:
            if self._options.balancers is not None:
                peer = await self._read_peer(client, self._options.balancers)
            if self._tls is not None and not await _speaks_tls(client):
                await self._reject(client, _NEEDS_TLS)
                return
            await self._loop.connect_accepted_socket(
                lambda: _ForwardedClient(self._worker, peer) if peer else ClientConnection(self._worker),
                client,
                ssl=self._tls,
                **times,
            )
        except BadHeader as error:
            await self._reject_header(client, error)
        except OSError:
            # The client left before it was served, or the TLS handshake failed.
            self.metrics.closed["handshake"] += 1
            client.close()

    async def _read_peer(self, client: socket.socket, balancers: Sequence[Network]) -> Peer | None:
        try:
            async with asyncio.timeout(self._options.timeouts.head):
                return await read_peer(client, balancers)
        except asyncio.CancelledError:
            client.close()
            raise

    async def _reject(self, client: socket.socket, why: WireError) -> None:
        with contextlib.suppress(OSError):
            await self._loop.connect_accepted_socket(lambda: _RejectedClient(self._worker, why), client)

    async def _reject_header(self, client: socket.socket, error: BadHeader) -> None:
        """Reject a connection without a valid header. Only the first one is logged: there may be many."""
        if not self.metrics.closed["proxy_protocol"]:
            logger.warning("A connection was rejected, because server.proxy_protocol is v2: %s", error)
        self.metrics.closed["proxy_protocol"] += 1
        if self._tls is None:
            await self._reject(client, _NEEDS_BALANCER)
        else:
            client.close()  # it could not read a response

    def write(self, flow: http.HTTPFlow, data: bytes) -> None:
        """Write to the client of a flow whose response has begun, if it is still connected.

        A response with a length gets nothing: the client would take it for a part of the body.
        """
        client = self._worker.connections.get(flow.client_conn.id)
        if client is not None and client.writer is not None and client.writer.takes_more:
            client.writer.flush()
            client.write(data)

    def reload_tls(self) -> None:
        """Read certificate and key again for new connections. If they are invalid, the old ones stay."""
        try:
            self._tls = self._load_tls()
        except (OSError, ssl.SSLError) as error:
            files = " and ".join(map(str, self._options.tls or ()))
            logger.error("The TLS files %s are invalid; the old ones stay in use: %s", files, error)

    def _load_tls(self) -> ssl.SSLContext | None:
        if self._options.tls is None:
            return None
        certificate, key = self._options.tls
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        # Without a function for the password, OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
        return context

    async def drain(self, *, is_replaced: bool = False) -> None:
        """Accept no new request, wait for open ones up to `drain_timeout`, then end everything.

        Idle connections are closed soon. When other processes already serve, so that nobody waits for this
        one (`is_replaced`), each keeps the whole time for a last request, whose response announces the close.
        """
        worker = self._worker
        worker.is_draining = True
        worker.last_request = self._options.drain_timeout if is_replaced else LAST_REQUEST
        for one in list(worker.connections.values()):
            one.close_if_idle()
        handshakes = self._loop.call_later(worker.last_request, self._end_handshakes)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.drain_timeout):
                while self.connections:
                    await asyncio.sleep(deadlines.INTERVAL / 5)
                await worker.settled()
        handshakes.cancel()
        await self._end()

    def _end_handshakes(self) -> None:
        for task in list(self._accepting):
            task.cancel()

    async def _end(self) -> None:
        # Streams get their error event, the others a response.
        for one in list(self._worker.connections.values()):
            if one.is_idle:
                one.finish(whole=True)
            else:
                one.cancel(_SHUTTING_DOWN)
        await self._are_gone()
        for one in list(self._worker.connections.values()):
            one.abort()
        self._worker.turn.end()
        self._end_handshakes()
        self._worker.pool.empty()
        await self._are_gone()  # the hooks of aborted exchanges still run
        self._sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sweeping

    async def _are_gone(self) -> None:
        """Wait until no exchange is open, for a short time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_TIMEOUT):
                while self.connections or self.metrics.in_flight:
                    await asyncio.sleep(deadlines.INTERVAL / 25)
                await self._worker.settled()


class _RejectedClient(ClientConnection):
    """A client that this port does not serve: it gets one response, whatever it sends."""

    __slots__ = ("_why",)

    def __init__(self, worker: WorkerState, why: WireError) -> None:
        super().__init__(worker)
        self._why = why

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.is_idle:
            self.reject(self._why)


class _ForwardedClient(ClientConnection):
    """A client behind a balancer, which has told its address."""

    __slots__ = ("_peer",)

    def __init__(self, worker: WorkerState, peer: Peer) -> None:
        super().__init__(worker)
        self._peer = peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.client.peername = self._peer


async def _speaks_tls(client: socket.socket) -> bool:
    """Return whether the first byte, which stays unread, begins a TLS handshake (RFC 8446, 5.1)."""
    loop, has_byte = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(client, has_byte.set)
    try:
        async with asyncio.timeout(_HANDSHAKE_TIMEOUT):
            await has_byte.wait()
    except asyncio.CancelledError:
        client.close()
        raise
    finally:
        loop.remove_reader(client)
    return client.recv(1, socket.MSG_PEEK) in (b"\x16", b"")


async def serve(
    context: WorkerContext,
    master: Master,
    engine: Engine,
    can_serve: Callable[[], bool] = lambda: True,
    *,
    reloads: Callable[[], None] = lambda: None,
) -> None:
    """Serve as a worker until SIGTERM, then drain. SIGHUP reads the TLS files again, and calls `reloads`.

    While `can_serve` is false, other workers get the connections.
    """

    def reload() -> None:
        engine.reload_tls()
        reloads()

    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    listener = Listener(context, engine.accept, lambda: engine.connections, can_serve)
    await master.addons.trigger_event(RunningHook())
    # Objects that live now stay: no collection has to visit them again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    listener.start()
    await ending.wait()
    listener.stop()
    await engine.drain(is_replaced=context.scoreboard.is_replaced)
    await master.addons.trigger_event(DoneHook())
