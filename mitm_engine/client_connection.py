"""One connection of a client: requests are read ahead, and answered one after the other."""

import asyncio
import logging
from collections.abc import Callable

from mitmproxy import connection

from mitm_engine.deadlines import NEVER
from mitm_engine.exchange.exchange import Exchange
from mitm_engine.exchange.flows import make_client
from mitm_engine.http1.heads import closing_response
from mitm_engine.http1.request_reader import Incoming, RequestReader
from mitm_engine.read_rate import ReadRate, has_left, reset, unread
from mitm_engine.wire_error import LATE_ADDONS, OVERLOADED, WireError
from mitm_engine.worker_state import CurrentExchange, WorkerState

logger = logging.getLogger(__name__)

#: What an answered client may still send of a body that nobody reads: seconds, and bytes. Closed at once,
#: the kernel would throw away the answer with what is unread (RFC 9112, 9.6).
LINGER, LINGER_BYTES = 2.0, 1024 * 1024
_PARTING = 1.0  # seconds for the last request on an idle connection of a worker that ends
_REFUSED = 256  # connections above the cap that are told so at a time; the others are cut at once
_LOOK = 1.0  # seconds after an answer until we look whether it is being read
_LOOKS = 4  # in the time that a client may stand still

_GONE = WireError("client_closed")


def _ignore(now: float) -> None:
    """Nothing is late."""


class ClientConnection(asyncio.Protocol):
    """The protocol of a connection.

    `gone` says that nobody is there to read an answer; `writer` writes the newest response.
    """

    __slots__ = (
        "_cancelled",
        "_end",
        "_ending",
        "_greeted",
        "_is_held",
        "_late",
        "_late_end",
        "_linger_left",
        "_loop",
        "_pace",
        "_reader",
        "_task",
        "_waiter",
        "_worker",
        "can_write",
        "client",
        "deadline",
        "gone",
        "transport",
        "writer",
    )

    def __init__(self, worker: WorkerState) -> None:
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._reader = RequestReader(worker.options)
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._cancelled: WireError | None = None
        self.writer: CurrentExchange | None = None
        self.can_write = True
        self._is_held = self._greeted = self._ending = False
        self._linger_left: int | None = None
        self._pace = ReadRate()
        self._late: Callable[[float], None] = self.cut
        self._late_end: Callable[[float], None] = _ignore
        self.client: connection.Client = None  # type: ignore[assignment]  # until connection_made
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # likewise
        self.deadline = self._end = NEVER
        self.gone = False

    # Deadlines: one at a time, and what happens when it passes.

    def arm(self, seconds: float, late: Callable[[float], None]) -> None:
        """Call `late` with the time when nothing else was armed for `seconds`."""
        deadline = self._loop.time() + seconds
        self.deadline = deadline if deadline < self._end else self._end
        self._late = late

    def end_within(self, seconds: float, late: Callable[[float], None]) -> None:
        """Call `late` when the exchange under way takes longer, whatever it waits for then."""
        self._end = self._loop.time() + seconds
        self._late_end = late

    def expire(self, now: float) -> None:
        self.deadline = NEVER
        if now < self._end:
            self._late(now)
        else:
            self._end = NEVER
            self._late_end(now)

    def cut(self, now: float) -> None:
        self._worker.metrics.closed["late"] += 1
        self.abort()

    @property
    def is_last(self) -> bool:
        """Whether no request is served after the one under way."""
        return (self._reader.stopped and not self._reader.queue) or self._worker.is_draining

    def cancel(self, why: WireError) -> None:
        """End the exchange under way with `why`, or with what ended it before."""
        if self._task is not None and not self._ending:
            self._cancelled = self._cancelled or why
            self._task.cancel()

    def ends(self) -> None:
        """The exchange under way is at its end: nothing cancels it any more."""
        self._ending, self._end = True, NEVER

    def take_cancellation(self) -> WireError | None:
        """Why the running task was cancelled; None when it was not by us."""
        why, task = self._cancelled, asyncio.current_task()
        if why is not None and task is not None:
            for _ in range(task.cancelling()):  # more than one when an addon swallowed the first
                task.uncancel()
        return why

    # Reading.

    def want(self, incoming: Incoming, limit: int) -> None:
        """Collect the body of `incoming`, up to `limit` bytes."""
        self._reader.want(incoming, limit)
        if self._is_held and self._reader.unwanted <= self._worker.options.read_ahead:
            self._resume()

    def _hold(self) -> None:
        self._is_held = True
        self.transport.pause_reading()
        self._worker.held.add(self)

    def _resume(self) -> None:
        self._is_held = False
        self._worker.held.discard(self)
        self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if self._linger_left is not None:
            self._linger(len(data))
            return
        if reader.stopped:
            return
        reader.feed(data)
        if reader.unwanted > self._worker.options.read_ahead and not self._is_held:
            self._hold()
        if self._task is None:
            if reader.queue:
                self._start()
            elif not reader.idle and self._late in (self._close_idle, self._resting, self._slow_rest):
                self.arm(self._worker.options.timeouts.head, self.cut)

    def _start(self) -> None:
        """Serve what is in the queue, beginning now: what needs no waiting is done when this returns."""
        self.deadline = NEVER
        task = asyncio.Task(self._serve(), loop=self._loop, eager_start=True)
        self._task = None if task.done() else task

    async def _serve(self) -> None:
        try:
            if self._greeted or await self._greet():
                await self._respond_to_all()
        except Exception:  # a connection that nobody serves must not stay
            logger.exception("A connection failed.")
            self.abort()
        finally:
            self._task = None
            if self.gone:
                self._goodbye()

    async def _greet(self) -> bool:
        """Announce the client to the addons. False when it is not to be served."""
        self._greeted = True
        dispatch = self._worker.dispatch
        if not dispatch.client_connected:
            return True
        self.arm(self._worker.options.timeouts.hook, self._late_greeting)
        try:
            await dispatch.call(dispatch.client_connected, self.client)
        except WireError as error:
            self.refuse(error)
            return False
        except asyncio.CancelledError:
            why = self.take_cancellation()
            if why is None:
                raise
            self.refuse(why)
            return False
        if self.client.error is not None:
            self.abort()  # as mitmproxy has it
        return self.client.error is None

    async def _respond_to_all(self) -> None:
        reader, worker = self._reader, self._worker
        while reader.queue:
            incoming = reader.queue.pop(0)
            if incoming.fault is not None and not incoming.method:
                self.refuse(incoming.fault)
                return
            keeps = await Exchange(worker, self, incoming).run()
            self._cancelled, self._ending, self.writer = None, False, None
            self._end, self._late_end = NEVER, _ignore
            reader.open_requests -= 1
            if not keeps or self.gone:
                self.finish(whole=incoming.complete)
                return
            if not incoming.wanted:
                self.want(incoming, 0)  # nobody reads its body any more
        self._rest()

    def _rest(self) -> None:
        """Nothing to answer: wait for the next request, or end."""
        if self._reader.stopped or self._worker.is_draining:
            self.finish(whole=True)
        elif self._reader.idle:
            self.arm(min(_LOOK, self._worker.options.timeouts.keep_alive), self._resting)
        else:
            self.arm(self._worker.options.timeouts.head, self.cut)

    def _resting(self, now: float) -> None:
        """Give the client its time for the next request, once it has read the last answer."""
        if unread(self.transport):
            self._watch_reader(self._slow_rest)
        else:
            self.arm(max(self._worker.options.timeouts.keep_alive - _LOOK, 0), self._close_idle)

    def _slow_rest(self, now: float) -> None:
        if unread(self.transport):
            self._slow_reader(now)
        else:
            self._resting(now)

    def _close_idle(self, now: float) -> None:
        self._close()

    def _late_greeting(self, now: float) -> None:
        self.cancel(LATE_ADDONS)

    # Writing.

    def write(self, data: bytes) -> None:
        if not self.gone:
            self.transport.write(data)

    async def drained(self) -> None:
        """Wait until the client has read enough. One that reads too slowly is cut off."""
        if self.can_write or self.gone:
            return
        self._watch_reader()
        while not self.can_write and not self.gone:
            self._waiter = self._loop.create_future()
            await self._waiter
        self.deadline = NEVER

    def _watch_reader(self, late: Callable[[float], None] | None = None) -> None:
        """Look again and again whether the client reads."""
        self._pace.begin(self.transport, self._loop.time())
        self.arm(self._worker.options.timeouts.grace / _LOOKS, late or self._slow_reader)

    def _slow_reader(self, now: float) -> None:
        """Cut the client off when it has read too little for too long."""
        min_rate, grace = self._worker.options.min_rate, self._worker.options.timeouts.grace
        if self._pace.is_too_slow(self.transport, now, min_rate, grace):
            self._worker.metrics.closed["slow_reader"] += 1
            self.abort()
        else:
            self.arm(grace / _LOOKS, self._late)

    def refuse(self, why: WireError) -> None:
        """Answer what could not be read as a request, and close: what follows cannot be trusted."""
        self._worker.metrics.faults[why.code] += 1
        try:
            self.write(closing_response(self._worker.error_response(why, None)))
        except WireError:
            self.abort()
        else:
            self.finish(whole=False)

    def finish(self, *, whole: bool) -> None:
        """The last answer is written: close; when the request was not `whole`, after it was read away."""
        if self.gone:
            return
        if whole:
            self._close()
            return
        self._linger_left = LINGER_BYTES
        self.arm(LINGER, self._close_idle)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self._is_held:
            self._resume()

    def close_if_idle(self) -> None:
        """Close when no request is under way or has begun, and none was sent before its client could know."""
        if self._task is None and self._reader.idle and self._linger_left is None:
            self.arm(_PARTING, self._close_idle)

    def _close(self) -> None:
        """Close when the client has read what was written. One that does not read is cut off."""
        if self.transport.is_closing():
            return  # asyncio's TLS transport forgets its connection at a second close
        self.transport.close()
        self._watch_reader()

    def abort(self) -> None:
        """End the connection so that what was sent cannot look complete."""
        reset(self.transport)

    def look(self) -> None:
        """See whether the client has left: the loop tells us nothing while reading is held."""
        if not self.transport.is_closing() and has_left(self.transport):
            self._leave()
            self.transport.abort()

    def _linger(self, count: int) -> None:
        self._linger_left = (self._linger_left or 0) - count
        if self._linger_left <= 0:
            self._close()

    # What else the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self.client = make_client(peer, own, self._worker.options.unrouted_address)
        if tls := transport.get_extra_info("ssl_object"):
            self.client.tls = True
            self.client.timestamp_tls_setup = self.client.timestamp_start
            self.client.tls_version, self.client.cipher = tls.version(), tls.cipher()[0]
        self._worker.joined(self)
        if self._worker.is_full():
            self._turn_away()
            return
        if self._worker.is_draining:
            self.close_if_idle()
        else:
            self.arm(self._worker.options.timeouts.head, self.cut)

    def _turn_away(self) -> None:
        rejected = self._worker.rejected
        rejected.add(self)
        if len(rejected) > _REFUSED:
            self.abort()
        else:
            self.refuse(OVERLOADED)

    def eof_received(self) -> bool:
        # Whoever ends its side while it waits has given up, as nginx takes it; the transport closes.
        self._leave()
        if self._task is None:
            self._watch_reader()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._leave()
        self.writer = None  # it knows us
        self._reader.close()
        self._worker.left(self)
        if self._task is None:
            self._goodbye()

    def _leave(self) -> None:
        self.gone = True
        self.cancel(_GONE)
        self._wake()

    def _goodbye(self) -> None:
        """Nobody is served any more; the transport may still have something to deliver."""
        if self.client.id in self._worker.connections:
            self._watch_reader()
        else:
            self._late = _ignore  # a method of its own would keep this object alive
        dispatch = self._worker.dispatch
        if self._greeted and dispatch.client_disconnected:
            self._greeted = False
            self.client.state = connection.ConnectionState.CLOSED
            self._worker.run_aside(dispatch.call_all(dispatch.client_disconnected, self.client))

    def pause_writing(self) -> None:
        self.can_write = False

    def resume_writing(self) -> None:
        self.can_write = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
