"""The connection of a client: it reads requests ahead, and serves them one after the other."""

import asyncio
import logging
from collections.abc import Callable

from mitmproxy import connection, http

from mitm_engine.closing import LINGER, Closing
from mitm_engine.deadlines import NEVER
from mitm_engine.exchange.cancellation import Cancellation
from mitm_engine.exchange.exchange import Exchange
from mitm_engine.exchange.flows import make_client
from mitm_engine.exchange.turn import SHORT
from mitm_engine.http1.heads import closing_response
from mitm_engine.http1.request_reader import TLS_HELLO, Incoming, RequestReader
from mitm_engine.http1.response_writer import ResponseWriter
from mitm_engine.read_rate import ReadRate, has_input, has_left, reset, unread
from mitm_engine.wire_error import LATE_REQUEST, WireError
from mitm_engine.worker_state import WorkerState

logger = logging.getLogger(__name__)

_CHECKS = 4  # in the time that a client may read too slowly


def _ignore(now: float) -> None:
    """Do nothing when a deadline passes."""


class ClientConnection(asyncio.Protocol):
    """The protocol of a connection.

    Attributes:
        client: mitmproxy's view of the client.
        transport: the transport of the event loop.
        reader: reads the requests.
        writer: writes the newest response; None between two exchanges.
        can_write: whether the client reads fast enough.
        cancellation: that of the current exchange.
        ended: the flow of the last exchange, while its final hooks wait for the end of the turn.
        gone: whether nobody is there to read a response.
        has_connected: whether the hook `client_connected` was called.
        reads_on: for how many seconds the response of the upstream is read on then.
        on_data: called when bytes have arrived, while an exchange uses them at once.
        deadline: when `expire` is due, in the loop's time.
    """

    __slots__ = (
        *("_awaits_request", "_closing", "_end", "_is_held", "_is_lost", "_loop"),
        *("_on_deadline", "_on_end", "_read_rate", "_task", "_unwritten", "_waiter"),
        *("_worker", "can_write", "cancellation", "client", "deadline", "ended", "gone"),
        *("has_connected", "on_data", "reader", "reads_on", "transport", "writer"),
    )

    def __init__(self, worker: WorkerState) -> None:
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self.reader = RequestReader(worker.options)
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.writer: ResponseWriter | None = None
        self.on_data: Callable[[], None] | None = None
        self.can_write = True
        self.cancellation = Cancellation()
        self._awaits_request = self.has_connected = self._is_held = self._is_lost = self.gone = False
        self._closing: Closing | None = None
        self._unwritten: list[bytes] = []  # until the end of the turn
        self.ended: http.HTTPFlow | None = None
        self._read_rate = ReadRate()
        self._on_deadline: Callable[[float], None] = self.cut
        self._on_end: Callable[[float], None] = _ignore
        self.client: connection.Client = None  # type: ignore[assignment]  # until connection_made
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # likewise
        self.deadline = self._end = NEVER
        self.reads_on = 0.0

    # Deadlines: one at a time.

    def arm(self, seconds: float, on_deadline: Callable[[float], None]) -> None:
        """Call `on_deadline` with the time after `seconds`, unless another deadline is set before."""
        deadline = self._loop.time() + seconds
        self.deadline = deadline if deadline < self._end else self._end
        self._on_deadline = on_deadline

    def end_within(self, seconds: float, on_end: Callable[[float], None]) -> None:
        """Call `on_end` with the time after `seconds`, whatever the exchange waits for then."""
        self._end = self._loop.time() + seconds
        self.deadline = min(self.deadline, self._end)
        self._on_end = on_end

    def expire(self, now: float) -> None:
        self.deadline = NEVER
        if now < self._end:
            self._on_deadline(now)
        else:
            self._end = NEVER
            self._on_end(now)

    def cut(self, now: float) -> None:
        self._worker.metrics.closed["late"] += 1
        self.abort()

    @property
    def is_last(self) -> bool:
        """Whether no request is served after the current one. One that has begun is."""
        reader, is_draining = self.reader, self._worker.is_draining
        return (reader.stopped and not reader.queue) or (is_draining and reader.open_requests <= 1)

    def cancel(self, why: WireError) -> None:
        """End the current exchange with `why`, unless it is already ending."""
        if self._task is not None:
            self.cancellation.cancel(self._task, why)

    def begin_end(self) -> None:
        """Let nothing cancel the current exchange any more."""
        self.cancellation.is_ending, self._end = True, NEVER

    # Reading.

    def want(self, incoming: Incoming, limit: int) -> None:
        """Collect the body of `incoming`, up to `limit` bytes."""
        self.reader.want(incoming, limit)
        if self._is_held and self.reader.unwanted <= self._worker.options.read_ahead:
            self.resume()

    def take(self, incoming: Incoming) -> list[bytes | bytearray]:
        """Return what has arrived of a body that is not collected."""
        pieces = self.reader.take(incoming)
        if self._is_held and self.reader.unwanted <= self._worker.options.read_ahead:
            self.resume()
        return pieces

    def resume(self) -> None:
        """Read on; nothing changes if nothing is held."""
        self._is_held = False
        self._worker.held.discard(self)
        self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        reader = self.reader
        if self._closing is not None:
            self._closing.received(data)
            return
        if reader.stopped:
            return
        reader.feed(data)
        if self.on_data is not None:
            self.on_data()
        if reader.unwanted > self._worker.options.read_ahead and not self._is_held:
            self._is_held = True
            self.transport.pause_reading()
            self._worker.held.add(self)
        if self._task is None:
            if reader.queue:
                # Serve the queue, as far as possible before this returns.
                self.deadline, self._awaits_request = NEVER, False
                task = asyncio.Task(self._serve(), loop=self._loop, eager_start=True)
                self._task = None if task.done() else task
            elif self._awaits_request and not reader.idle:
                self._awaits_request = False
                self.arm(self._worker.options.timeouts.head, self._close_idle)

    async def _serve(self) -> None:
        """Respond to the requests of the queue, one after the other."""
        reader, worker = self.reader, self._worker
        try:
            if not self.has_connected and not await worker.serves(self):
                return
            while reader.queue:
                if self.ended is not None:
                    self.finish_flow()
                incoming = reader.queue.pop(0)
                if incoming.fault is not None and not incoming.method:
                    self.reject(incoming.fault)
                    return
                exchange = Exchange(worker, self, incoming)
                keeps = await exchange.run()
                self.cancellation.why, self.cancellation.is_ending, self.writer = None, False, None
                self._end, self._on_end, self.reads_on = NEVER, _ignore, 0.0
                reader.open_requests -= 1
                if not keeps or self.gone:
                    self.finish(whole=incoming.complete, rest=exchange.rest, seconds=exchange.linger)
                    return
                if not incoming.wanted:
                    self.want(incoming, 0)  # nothing reads its body any more
            self._rest()
        except Exception:  # else the connection would stay open, and nothing would serve it
            logger.exception("A connection failed.")
            self.abort()
        finally:
            self._task = None
            if self._is_lost:
                self._worker.left(self)
            if self.gone:
                self._disconnect()

    def finish_flow(self) -> None:
        """Call the final hooks of the last exchange, if they were not called."""
        ended, self.ended = self.ended, None
        if ended is not None:
            self._worker.finish((ended,))

    def _rest(self) -> None:
        """Wait for the next request, or close."""
        timeouts = self._worker.options.timeouts
        if self.reader.stopped:
            self.finish(whole=True)
        elif not self.reader.idle:
            self.arm(timeouts.head, self._close_idle)
        elif self._worker.is_draining:  # since the head of the last response was written
            self._await_last_request()
        else:
            self._awaits_request = True
            self.arm(self._worker.first_check, self._keep_alive)

    def _await_last_request(self) -> None:
        self._awaits_request = True
        self.arm(self._worker.last_request, self._close_idle)

    def _keep_alive(self, now: float) -> None:
        """Start the keep-alive timeout once the client has read the last response."""
        self.reader.forget()
        if unread(self.transport):
            self.check_reading(self._check_before_keep_alive)
        else:
            self.arm(self._worker.options.timeouts.keep_alive - self._worker.first_check, self._close_idle)

    def _check_before_keep_alive(self, now: float) -> None:
        if unread(self.transport):
            self.cut_slow_reader(now)
        else:
            self._keep_alive(now)

    # Writing.

    def write(self, data: bytes, *, at_once: bool = False) -> None:
        if self.gone:
            return
        turn, is_short = self._worker.turn, len(data) <= SHORT
        if is_short and not at_once and (self._unwritten or turn.defers(turn.writers, self)):
            self._unwritten.append(data)
            return
        if self._unwritten:
            self.flush()
        self.transport.write(data)

    def flush(self) -> None:
        """Write what waits for the end of the turn."""
        data = b"".join(self._unwritten)
        self._unwritten.clear()
        if data and not self.gone:
            self.transport.write(data)

    async def drained(self) -> None:
        """Wait until the client has read enough. A client that reads too slowly is cut."""
        if self.can_write or self.gone:
            return
        self.check_reading()
        while not self.can_write and not self.gone:
            self._waiter = self._loop.create_future()
            await self._waiter
        self.deadline = NEVER

    def check_reading(self, check: Callable[[float], None] | None = None) -> None:
        """Check periodically whether the client reads."""
        self._read_rate.begin(self.transport, self._loop.time())
        self.arm(self._worker.options.timeouts.grace / _CHECKS, check or self.cut_slow_reader)

    def cut_slow_reader(self, now: float) -> None:
        """Cut the client when it has read too little for too long."""
        min_rate, grace = self._worker.options.min_rate, self._worker.options.timeouts.grace
        if self._read_rate.is_too_slow(self.transport, now, min_rate, grace):
            self._worker.metrics.closed["slow_reader"] += 1
            self.abort()
        else:
            self.arm(grace / _CHECKS, self._on_deadline)

    def reject(self, why: WireError) -> None:
        """Respond to data that is not a request, and close: the bytes after it cannot be trusted."""
        self._worker.metrics.faults[why.code] += 1
        try:
            if why is not TLS_HELLO:
                self.write(closing_response(self._worker.error_response(why, None)))
        except WireError:
            self.abort()
        else:
            self.finish(whole=False)

    def finish(self, *, whole: bool, rest: float = 0, seconds: float = LINGER) -> None:
        """Close after the last response; if the request was not read as a `whole`, after its rest."""
        if self.gone:
            return
        self.flush()
        self._awaits_request = False
        self._closing = Closing(self, self._worker)
        if whole:
            self._closing.close()
        else:
            self._closing.linger(rest, seconds, self._worker.options.min_rate)

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a request."""
        return self._task is None and self._closing is None and self.reader.idle

    def close_if_idle(self) -> None:
        """Close soon if there is no request; one that the client has already sent is still served."""
        if self.is_idle:
            self._await_last_request()
        elif self._closing is not None:
            self._closing.hurry()

    def _close_idle(self, now: float) -> None:
        """Close, unless bytes have arrived that the loop has not read yet. Reject an incomplete head."""
        if has_input(self.transport):
            self.arm(0, self._close_idle)
        elif self.reader.idle:
            self.finish(whole=True)
        else:
            self._worker.metrics.closed["late"] += 1
            self.reject(LATE_REQUEST)

    def abort(self) -> None:
        """End the connection so that the response cannot look complete."""
        self.flush()
        reset(self.transport)

    def check_client(self) -> None:
        """End the connection if the client has left: the loop does not notice while reading is held."""
        if not self.transport.is_closing() and has_left(self.transport):
            self._leave()
            self.transport.abort()

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.client = make_client(transport, self._worker.options.unrouted_address)
        self._worker.joined(self)
        if self.client.peername is None:
            self.abort()  # it has left already, and nothing knows its address any more
        elif self._worker.is_full():
            self._worker.reject_connection(self)
        elif self._worker.is_draining:
            self.close_if_idle()
        else:
            self.arm(self._worker.options.timeouts.head, self._close_idle)

    def eof_received(self) -> bool:
        # A client that ends its side while it waits has given up, as in nginx. The transport closes.
        self._leave()
        if self._task is None:
            self.check_reading()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._leave()
        self.writer = self._closing = None  # breaks reference cycles
        self.reader.close()
        self._is_lost = True
        if not self.reads_on or self._task is None:
            self._worker.left(self)
        if self._task is None:
            self._disconnect()

    def _leave(self) -> None:
        if not self.reads_on:
            self._end_left()
        elif not self.gone and self._loop.time() + self.reads_on < self._end:
            self.end_within(self.reads_on, self._end_left)
        self.gone = True
        self._wake()

    def _end_left(self, now: float = NEVER) -> None:
        self.cancel(WireError("client_closed"))

    def _disconnect(self) -> None:
        """Call the hook `client_disconnected`. The transport may still have data to send."""
        self.finish_flow()
        if self.client.id in self._worker.connections:
            self.check_reading()
        else:
            self._on_deadline = _ignore  # a method of its own would keep this object alive
        dispatch = self._worker.dispatch
        if self.has_connected and dispatch.client_disconnected:
            self.has_connected = False
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
