"""The engine: a mitmproxy master's addons behind our own HTTP/1.1 wire."""

import asyncio
import contextlib
import logging
import socket
import ssl

from mitmproxy import http
from mitmproxy.master import Master
from mitmproxy.options import Options as MasterOptions

from mitm_engine import deadlines
from mitm_engine.client_connection import ClientConnection
from mitm_engine.metrics import Metrics
from mitm_engine.options import Options, Policy
from mitm_engine.wire_error import WireError
from mitm_engine.worker_state import WorkerState

logger = logging.getLogger(__name__)

_HANDSHAKE = 10.0  # seconds for a client's TLS handshake
# Seconds for the end of one, with all that is still unread. Whoever does not read is cut off much earlier.
_SHUTDOWN = 3600.0
_LAST = 1.0  # seconds for the last words, and for the hooks, of exchanges that a drain cuts
_SHUTTING_DOWN = WireError("overloaded", "The worker is shutting down.")


def make_master(*addons: object) -> Master:
    """A mitmproxy master with `addons` and no wire of its own. Needs a running event loop.

    Its log events would format every record once more for addons that do not listen.
    """
    master = Master(MasterOptions())
    master._legacy_log_events.uninstall()
    master.addons.add(*addons)
    return master


class Engine:
    """Serves what is given to `accept`. Needs a running event loop; uvloop's is the fast one.

    Raises OSError or ssl.SSLError when the files of `options.tls` cannot be used.
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
        """Open connections of clients, those in a TLS handshake too."""
        return len(self._worker.connections) + len(self._accepting)

    @property
    def is_draining(self) -> bool:
        """Whether no new request is wanted: what a load balancer is told."""
        return self._worker.is_draining

    def accept(self, client: socket.socket) -> None:
        """Serve a connected socket. Above the cap one under TLS is closed: an answer would cost too much."""
        if self._tls is not None and self.connections >= self._options.connections:
            self.metrics.closed["full"] += 1
            client.close()
            return
        task = self._loop.create_task(self._serve(client))
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    async def _serve(self, client: socket.socket) -> None:
        times: dict[str, float] = {}
        if self._tls is not None:
            times = {"ssl_handshake_timeout": _HANDSHAKE, "ssl_shutdown_timeout": _SHUTDOWN}
        try:
            await self._loop.connect_accepted_socket(
                lambda: ClientConnection(self._worker), client, ssl=self._tls, **times
            )
        except OSError:
            # The client left before it was served, or speaks no TLS that we speak.
            self.metrics.closed["handshake"] += 1
            client.close()

    def write(self, flow: http.HTTPFlow, data: bytes) -> None:
        """Write to the client of a flow beside an answer that has begun, as far as it is still there.

        Beside one with a length nothing is written: it would be taken for a part of that.
        """
        client = self._worker.connections.get(flow.client_conn.id)
        if client is not None and client.writer is not None and client.writer.takes_more:
            client.write(data)

    def reload_tls(self) -> None:
        """Read certificate and key again. New connections use them; when they are bad, the old ones stay."""
        try:
            self._tls = self._load_tls()
        except (OSError, ssl.SSLError) as error:
            logger.error("The TLS files cannot be used, the old ones stay in use: %s", error)

    def _load_tls(self) -> ssl.SSLContext | None:
        if self._options.tls is None:
            return None
        certificate, key = self._options.tls
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(certificate, key)
        return context

    async def drain(self) -> None:
        """Serve no new request, let those under way finish for `drain_timeout`, then end everything."""
        worker = self._worker
        worker.is_draining = True
        for one in list(worker.connections.values()):
            one.close_if_idle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.drain_timeout):
                while self.connections:
                    await asyncio.sleep(deadlines.INTERVAL / 5)
                await worker.settled()
        await self._end()

    async def _end(self) -> None:
        # Streams get their error event, the others an answer.
        for one in list(self._worker.connections.values()):
            one.cancel(_SHUTTING_DOWN)
        await self._are_gone()
        for one in list(self._worker.connections.values()):
            one.abort()
        for task in list(self._accepting):
            task.cancel()
        self._worker.pool.empty()
        await self._are_gone()  # what was cut still tells its addons
        self._sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sweeping

    async def _are_gone(self) -> None:
        """Wait until nothing is under way, but not for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST):
                while self.connections or self.metrics.in_flight:
                    await asyncio.sleep(deadlines.INTERVAL / 25)
                await self._worker.settled()
