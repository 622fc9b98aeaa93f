"""The protocol of Redis. Commands of one turn of the loop leave in one write; replies come in order.

While replies come one by one, the first command of a turn leaves at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, cast

import hiredis

from shared.core.errors import StoreDown
from shared.metrics.names import REDIS_CALLS
from shared.metrics.registry import REGISTRY
from shared.redis_client.endpoint import Command

# Errors of a server that cannot serve any command: it is loading, a replica, or the keys moved. A new
# connection may reach another server.
_SERVER_ERRORS = ("READONLY", "MOVED", "LOADING", "MASTERDOWN", "CLUSTERDOWN")
_INCOMPLETE = object()
_OK, _ERROR, _FAILED = [REGISTRY.value(REDIS_CALLS, outcome) for outcome in ("ok", "error", "failed")]


class ErrorReply(StoreDown):
    """The reply is an error about this one command."""


class LateReply(StoreDown):
    """There was no reply in time. `on_reply` is called with one that comes later and is no error."""

    def __init__(self) -> None:
        super().__init__("Redis did not respond in time.")
        self.on_reply: Callable[[Any], None] = lambda _: None


def raise_store_down(results: Iterable[object]) -> None:
    """Raise the first result that is an error, except `ErrorReply`."""
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, ErrorReply):
            raise result


def pack(command: Command) -> bytes:
    """The command as it is sent."""
    # Its stub knows only commands of one part.
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]
    return packed


class Packed(NamedTuple):
    """A command as it is sent, and the slot of its key in a Cluster."""

    command: bytes
    slot: int = 0


class Call:
    """A packed command without a reply yet. `reply` gets the reply, or `StoreDown`."""

    __slots__ = ("command", "redirections", "reply", "resent", "sent_at")

    def __init__(self, command: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self.command = command
        self.reply: asyncio.Future[Any] = loop.create_future()
        self.resent = False
        self.redirections = 0
        self.sent_at = 0.0

    def fail(self, error: StoreDown) -> None:
        if not self.reply.done():
            (_ERROR if isinstance(error, ErrorReply) else _FAILED).value += 1
            self.reply.set_exception(error)

    def take_late(self, reply: object) -> None:
        """Take a reply after the end of the call."""
        if not self.reply.cancelled() and isinstance(error := self.reply.exception(), LateReply):
            error.on_reply(reply)


#: Called with a call and the error that it got. Returns whether another connection takes the call.
Redirect = Callable[[Call, str], bool]


class RedisProtocol(asyncio.Protocol):
    """One connection. It loads `scripts` again when Redis has lost them.

    Late replies are read, too, so that each reply belongs to its command. `lost` is called at the end, and
    `redirect` with each error: it returns whether another connection takes the call.
    """

    def __init__(
        self,
        scripts: Sequence[Command],
        lost: Callable[["RedisProtocol"], None],
        redirect: Redirect = lambda *_: False,
    ) -> None:
        self._scripts = scripts
        self._lost = lost
        self._redirect = redirect
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._outgoing: list[bytes] = []
        # Whether the last reply came alone. Then no other command is likely in this turn, and to wait for its
        # end would only add to the time of this one.
        self._was_alone = False
        self._sent: deque[Call] = deque()
        self._last_load: Call | None = None
        self._transport: asyncio.Transport | None = None
        #: Done when the connection has ended.
        self.ended: asyncio.Future[None] = self._loop.create_future()
        #: The reason why this client ended the connection; empty when it did not.
        self.fault = ""

    def send(self, call: Call) -> None:
        """Send a command at the end of this turn of the loop, or now if it is likely the only one."""
        call.sent_at = self._loop.time()
        self._sent.append(call)
        if not self._outgoing:
            if self._was_alone:
                self._was_alone = False
                self._write(call.command)
                return
            self._loop.call_soon(self._flush)
        self._outgoing.append(call.command)

    def call(self, command: Command) -> asyncio.Future[Any]:
        call = Call(pack(command), self._loop)
        self.send(call)
        return call.reply

    def silent_for(self) -> float:
        """Seconds that the oldest command has waited for its reply."""
        return self._loop.time() - self._sent[0].sent_at if self._sent else 0.0

    def drop(self, fault: str) -> None:
        """End the connection at once."""
        self.fault = self.fault or fault
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        reason = self.fault or str(exc or "it closed the connection")
        for call in self._sent:
            call.fail(StoreDown(f"Redis did not respond: {reason}."))
        self._sent.clear()
        self.ended.set_result(None)
        self._lost(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            taken = 0
            while (reply := self._reader.gets()) is not _INCOMPLETE:
                self._take(reply)
                taken += 1
            self._was_alone = taken == 1 and not self._sent
        except (hiredis.ProtocolError, IndexError):
            self.drop("its reply is not valid in the protocol of Redis")

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        self._write(b"".join(outgoing))

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _take(self, reply: Any) -> None:
        call = self._sent.popleft()
        if call is self._last_load:
            self._last_load = None
        if isinstance(reply, hiredis.ReplyError):
            self._take_error(call, str(reply))
        elif not call.reply.done():
            _OK.value += 1
            call.reply.set_result(reply)
        else:
            call.take_late(reply)

    def _take_error(self, call: Call, error: str) -> None:
        if error.startswith("NOSCRIPT") and not call.resent:
            if not call.reply.done():
                self._load_and_resend(call)
        elif self._redirect(call, error):
            return
        elif error.startswith(_SERVER_ERRORS):
            call.fail(StoreDown(f"Redis cannot serve: {error}."))
            self.drop(error)
        else:
            call.fail(ErrorReply(f"Redis rejected a command: {error}."))

    def _load_and_resend(self, call: Call) -> None:
        """Load the scripts and send the command again, which Redis has not run."""
        if self._last_load is None:
            for script in self._scripts:
                self._last_load = Call(pack(script), self._loop)
                self._last_load.reply.cancel()  # Its reply is not used.
                self.send(self._last_load)
        call.resent = True
        self.send(call)
