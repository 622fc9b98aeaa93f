"""What all connections of a worker share: the hub of its process."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Protocol

from mitmproxy import connection, http
from mitmproxy.master import Master
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from mitm_engine.connect import Connector
from mitm_engine.deadlines import Waiting
from mitm_engine.exchange.dispatch import Dispatch
from mitm_engine.metrics import Metrics
from mitm_engine.options import Options, Policy, Terms
from mitm_engine.pool import Pool
from mitm_engine.upstream_connection import UpstreamConnection
from mitm_engine.wire_error import WireError, plain_response

logger = logging.getLogger(__name__)


class CurrentExchange(Protocol):
    """An answer on its way."""

    @property
    def takes_more(self) -> bool:
        """Whether an addon may write beside it now."""
        ...


class Connected(Waiting, Protocol):
    """A client's connection, as the hub sees it. `writer` is that of the newest response."""

    client: connection.Client
    writer: CurrentExchange | None

    def write(self, data: bytes) -> None: ...

    def close_if_idle(self) -> None: ...

    def abort(self) -> None: ...

    def cancel(self, why: WireError) -> None: ...

    def look(self) -> None: ...


class WorkerState:
    """Options, addons, the pool and the counters of one process; and who is connected.

    The addons are those of `master` at this moment: the table of hooks is built once.
    """

    def __init__(self, master: Master, options: Options, policy: Policy) -> None:
        self.options = options
        self.policy = policy
        self.metrics = Metrics()
        self.dispatch = Dispatch(master.addons)
        self.pool = Pool(self.metrics, self._server_ended, options.response_head_limit, options.read_ahead)
        self.connect = Connector(self.dispatch, self.pool)
        # What holds until an addon has looked at the request.
        self.first_terms = Terms(options.timeouts, request_body=options.read_ahead)
        # Stands for the upstream of a flow that has none.
        self.nobody = connection.Server(address=options.unrouted_address)
        self.connections: dict[str, Connected] = {}
        # Those of which nothing is read for now, and who therefore could leave unseen.
        self.held: set[Connected] = set()
        # Those above the cap, which were told so and take nobody's place.
        self.rejected: set[Connected] = set()
        self.is_draining = False
        self._aside: set[asyncio.Task[Any]] = set()

    def joined(self, one: Connected) -> None:
        self.connections[one.client.id] = one
        self.metrics.accepted += 1
        self.metrics.connections = len(self.connections)

    def left(self, one: Connected) -> None:
        self.connections.pop(one.client.id, None)
        self.held.discard(one)
        self.rejected.discard(one)
        self.metrics.connections = len(self.connections)

    def sweep(self, now: float) -> None:
        """What has to be looked at again and again; `now` is the loop's time."""
        self.pool.sweep(now)
        for one in list(self.held):
            one.look()

    def is_full(self) -> bool:
        """Whether this connection is one too many."""
        return len(self.connections) - len(self.rejected) > self.options.connections

    def error_response(self, why: WireError, flow: http.HTTPFlow | None) -> http.Response:
        """The answer for a fault, by whoever embeds us; a plain one when that fails."""
        try:
            return self.policy.response(why, flow)
        except Exception:  # the client must get a response
            logger.exception("Making the response for %s failed.", why.code)
            return plain_response(why, flow)

    def run_aside(self, work: Coroutine[Any, Any, None] | None) -> None:
        """Run `work`, if there is any, without waiting for it; what needs no waiting is done on return.

        It is given up after the time that a hook may take.
        """
        if work is None:
            return
        loop = asyncio.get_running_loop()
        task = asyncio.Task(work, loop=loop, eager_start=True)
        if task.done():
            return
        limit = loop.call_later(self.options.timeouts.hook, task.cancel)

        def end(task: asyncio.Task[Any]) -> None:
            limit.cancel()
            self._aside.discard(task)

        self._aside.add(task)
        task.add_done_callback(end)

    async def settled(self) -> None:
        """Wait for all that runs aside."""
        while self._aside:
            await asyncio.wait(self._aside)

    def _server_ended(self, one: UpstreamConnection) -> None:
        if one.server.state is not connection.ConnectionState.OPEN:
            return
        one.server.state = connection.ConnectionState.CLOSED
        if self.dispatch.server_disconnected:
            data = ServerConnectionHookData(one.server, one.client)
            self.run_aside(self.dispatch.call_all(self.dispatch.server_disconnected, data))
