"""The state that all connections of a worker share."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from mitmproxy import connection, http
from mitmproxy.master import Master
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from mitm_engine.connect import Connector
from mitm_engine.exchange.dispatch import Dispatch
from mitm_engine.exchange.turn import Turn
from mitm_engine.exchange.whole_body import HeldBytes
from mitm_engine.metrics import Metrics
from mitm_engine.options import Options, Policy, Terms
from mitm_engine.pool import Pool
from mitm_engine.processes.free_memory import FreeMemory
from mitm_engine.upstream_connection import UpstreamConnection
from mitm_engine.wire_error import LATE_ADDONS, OVERLOADED, WireError, plain_response

if TYPE_CHECKING:
    from mitm_engine.client_connection import ClientConnection

logger = logging.getLogger(__name__)

_FIRST_CHECK = 1.0
_MAX_REJECTED = 256  # connections above the limit that get a response at a time


class WorkerState:
    """Options, addons, pool, counters and connections of one process.

    The table of hooks is built once, from the addons that `master` has now.

    Attributes:
        options: limits of the worker.
        policy: decisions per flow.
        metrics: counters.
        turn: what waits for the end of a turn of the loop.
        dispatch: the hooks of the addons.
        pool: unused connections to upstreams.
        connect: makes connections to upstreams.
        first_terms: the terms of a flow until the addons have seen its head.
        held_bytes: the bodies that are held as a whole.
        first_check: seconds after a response until its client is checked for reading.
        no_server: the server of a flow that has no upstream yet.
        connections: open client connections, by the id of the client.
        held: connections from which nothing is read now, so the loop does not notice when they end.
        rejected: connections above the limit, which got a response and do not count.
        is_draining: whether the worker ends.
        last_request: seconds in which an idle connection may still send a request when the worker ends.
    """

    def __init__(self, master: Master, options: Options, policy: Policy) -> None:
        self.options = options
        self.policy = policy
        self.metrics = Metrics()
        self.turn = Turn(self.metrics, self.finish)
        self.dispatch = Dispatch(master.addons)
        self.pool = Pool(
            self.metrics, self.turn, self._server_ended, options.response_head_limit, options.read_ahead
        )
        self.connect = Connector(self.dispatch, self.pool, options.proxy_authorization)
        self.first_terms = Terms(options.timeouts, request_body=options.read_ahead)
        self.first_check = min(_FIRST_CHECK, options.timeouts.keep_alive)
        self._free_memory = FreeMemory()
        self.held_bytes = HeldBytes(options.held_bytes)
        self.no_server = connection.Server(address=options.unrouted_address)
        self.connections: dict[str, ClientConnection] = {}
        self.held: set[ClientConnection] = set()
        self.rejected: set[ClientConnection] = set()
        self.is_draining = False
        self.last_request = 0.0
        self._aside: set[asyncio.Task[Any]] = set()

    def joined(self, one: "ClientConnection") -> None:
        self.connections[one.client.id] = one
        self.metrics.accepted += 1
        self.metrics.connections = len(self.connections)

    def left(self, one: "ClientConnection") -> None:
        self.connections.pop(one.client.id, None)
        self.held.discard(one)
        self.rejected.discard(one)
        self.metrics.connections = len(self.connections)

    def sweep(self, now: float) -> None:
        """Check what has no deadline of its own; `now` is the loop's time."""
        self.pool.sweep(now)
        self._free_memory.sweep(now)
        for one in list(self.held):
            one.check_client()

    async def serves(self, one: "ClientConnection") -> bool:
        """Call the hook `client_connected`. Return whether the client may be served; if not, it knows why."""
        one.has_connected = True
        if not self.dispatch.client_connected:
            return True
        one.arm(self.options.timeouts.hook, lambda _: one.cancel(LATE_ADDONS))
        why: WireError | None = None
        try:
            await self.dispatch.call(self.dispatch.client_connected, one.client)
        except WireError as error:
            why = error.with_traceback(None)
        except asyncio.CancelledError:
            if (why := one.cancellation.take()) is None:
                raise
        if why is not None:
            one.reject(why)
        elif one.client.error is not None:
            one.abort()  # as mitmproxy does
        return why is None and one.client.error is None

    def reject_connection(self, one: "ClientConnection") -> None:
        """Reject a connection above the limit: with a response, or a reset when too many get one now."""
        self.rejected.add(one)
        if len(self.rejected) > _MAX_REJECTED:
            one.abort()
        else:
            one.reject(OVERLOADED)

    def is_full(self) -> bool:
        """Return whether there is one connection too many."""
        return len(self.connections) - len(self.rejected) > self.options.connections

    def error_response(self, error: WireError, flow: http.HTTPFlow | None) -> http.Response:
        """Return the policy's response for `error`, or a plain one if that fails."""
        try:
            return self.policy.response(error, flow)
        except Exception:  # the client must get a response
            logger.exception("Making the response for %s failed.", error.code)
            return plain_response(error, flow)

    def finish(self, flows: Sequence[http.HTTPFlow]) -> None:
        """Call the final hook of flows, for which no client waits."""
        for waiting in self.dispatch.call_each(self.dispatch.post_response, flows):
            self.run_aside(waiting)

    def run_aside(self, work: Coroutine[Any, Any, None] | None) -> None:
        """Run `work`, if any, without waiting for it; it is canceled after the timeout of a hook."""
        if work is None:
            return
        loop = asyncio.get_running_loop()
        task = asyncio.Task(work, loop=loop, eager_start=True)
        if task.done():
            return
        timeout = loop.call_later(self.options.timeouts.hook, task.cancel)

        def end(task: asyncio.Task[Any]) -> None:
            timeout.cancel()
            self._aside.discard(task)

        self._aside.add(task)
        task.add_done_callback(end)

    async def settled(self) -> None:
        """Wait for everything that `run_aside` started."""
        while self._aside:
            await asyncio.wait(self._aside)

    def _server_ended(self, one: UpstreamConnection) -> None:
        if one.server.state is not connection.ConnectionState.OPEN:
            return
        one.server.state = connection.ConnectionState.CLOSED
        if self.dispatch.server_disconnected:
            data = ServerConnectionHookData(one.server, one.client)
            self.run_aside(self.dispatch.call_all(self.dispatch.server_disconnected, data))
