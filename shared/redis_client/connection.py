"""A connection to Redis that reconnects when it is lost, and the deadlines of its calls."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from shared.core.errors import StoreDown
from shared.redis_client.endpoint import Command, Endpoint
from shared.redis_client.protocol import Call, LateReply, Packed, Redirect, RedisProtocol, pack
from shared.redis_client.script import Script

# Seconds between two attempts. They double, with jitter, so that the workers do not reconnect all at once.
_MIN_PAUSE, _MAX_PAUSE = 0.05, 1.0
# Seconds. A loop that was blocked reads the replies that have arrived before it fails their calls.
_GRACE = 0.001


class RedisConnection:
    """Calls one Redis over one connection. One event loop only; connects with the first call.

    A call fails with `StoreDown` after `deadline` seconds. After a failed attempt to connect, calls fail at
    once until the next attempt.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        scripts: Sequence[Script],
        deadline: float,
        jitter: Callable[[], float] = random.random,
        redirect: Redirect = lambda *_: False,
        trouble: Callable[[], None] = lambda: None,
        sends_text: bool = False,
    ) -> None:
        """Scripts are sent by their digest, or as a whole if `sends_text`: some proxies take no other ones.

        `redirect` is that of a `RedisProtocol`. `trouble` is called when the server does not respond."""
        self._endpoint = endpoint
        self._texts = {script.digest: script.text for script in scripts if sends_text}
        self._loads = [] if sends_text else [script.load for script in scripts]
        self._deadlines = Deadlines(deadline, self._drop_hung)
        self._jitter = jitter
        self._redirect = redirect
        self._trouble = trouble
        self._protocol: RedisProtocol | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._unsent: list[Call] = []
        self._unavailable = ""
        self._closed = False

    def call(self, *command: str | bytes | int) -> asyncio.Future[Any]:
        """The future reply to a command. Under load all commands of one turn of the loop are sent together.

        It raises `StoreDown`, or `ErrorReply` when the reply is an error about this command.
        """
        return self.send_packed(self.pack(*command))

    def pack(self, *command: str | bytes | int) -> Packed:
        """The command for `send_packed`."""
        if self._texts and command[0] == "EVALSHA":
            command = ("EVAL", self._texts[str(command[1])], *command[2:])
        return Packed(pack(command))

    def send_packed(self, packed: Packed) -> asyncio.Future[Any]:
        """The future reply to a command that is packed once and may be sent often, as `call`."""
        loop = asyncio.get_running_loop()
        call = Call(packed.command, loop)
        if self._unavailable:
            call.fail(StoreDown(f"Redis did not respond: {self._unavailable}."))
            return call.reply
        self._deadlines.watch(call, loop)
        if self._protocol is not None:
            self._protocol.send(call)
        else:
            self._unsent.append(call)
            self._connect()
        return call.reply

    def run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[str | bytes | int]
    ) -> asyncio.Future[Any]:
        """The future reply of a script, as `call`."""
        return self.call(*script.command(keys, arguments))

    def send(self, call: Call, before: Command | None = None) -> None:
        """Take a call of another connection, whose deadline it keeps, with a command right `before` it.

        That command is left out if there is no connection yet.
        """
        if self._unavailable:
            call.fail(StoreDown(f"Redis did not respond: {self._unavailable}."))
        elif self._protocol is None:
            self._unsent.append(call)
            self._connect()
        else:
            if before is not None:
                self._protocol.call(before).cancel()  # Its reply is not used.
            self._protocol.send(call)

    async def close(self) -> None:
        """End the connection. Calls without a reply fail."""
        self._closed = True
        self._deadlines.close()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait({self._connecting})
        self._fail_unsent("the connection was closed")
        if self._protocol is not None:
            self._protocol.drop("the connection was closed")
            await self._protocol.ended

    def _connect(self, pause: float = 0.0) -> None:
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.ensure_future(self._try_to_connect(pause))

    async def _try_to_connect(self, pause: float) -> None:
        while self._protocol is None:
            if pause:
                await asyncio.sleep(pause * (0.5 + self._jitter() / 2))
            self._unavailable = ""
            try:
                self._protocol = await self._open()
            except (OSError, UnicodeError, StoreDown) as error:
                self._fail_unsent(str(error) or "it did not accept a connection in time")
                self._trouble()
                pause = min(max(2 * pause, _MIN_PAUSE), _MAX_PAUSE)
        unsent, self._unsent = self._unsent, []
        for call in unsent:
            if not call.reply.done():
                self._protocol.send(call)

    async def _open(self) -> RedisProtocol:
        """A connection that has logged in and loaded the scripts."""
        async with asyncio.timeout(1.0):
            protocol = await self._endpoint.connect(
                lambda: RedisProtocol(self._loads, self._lost, self._redirect)
            )
            try:
                commands = [*self._endpoint.login, *self._loads] or [("PING",)]
                await asyncio.gather(*map(protocol.call, commands))
                if protocol.ended.done():
                    raise StoreDown(protocol.fault or "it closed the connection")
                if self._endpoint.must_be_primary and (await protocol.call(("ROLE",)))[0] != b"master":
                    raise StoreDown("it is a replica")
            except BaseException:
                protocol.drop("the connection could not be used")
                await protocol.ended
                raise
        return protocol

    def _lost(self, protocol: RedisProtocol) -> None:
        """Reconnect: at once, or after a pause when this client closed the connection."""
        if protocol is self._protocol:
            self._protocol = None
            if not self._closed:
                self._unavailable = protocol.fault
                self._trouble()
                # Another server may be the primary already.
                pause = _MIN_PAUSE if self._endpoint.must_be_primary else _MAX_PAUSE
                self._connect(pause if protocol.fault else 0.0)

    def _fail_unsent(self, reason: str) -> None:
        self._unavailable = reason
        for call in self._unsent:
            call.fail(StoreDown(f"Redis did not respond: {reason}."))
        self._unsent.clear()

    def _drop_hung(self) -> None:
        if self._protocol is not None and self._protocol.silent_for() > 1.0:
            self._protocol.drop("no reply for over a second")


class Deadlines:
    """Fails calls without a reply after `seconds`, and calls `missed` then."""

    def __init__(self, seconds: float, missed: Callable[[], None]) -> None:
        self._seconds = seconds
        self._missed = missed
        self._new: list[Call] = []
        self._calls: deque[tuple[float, Call]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, call: Call, loop: asyncio.AbstractEventLoop) -> None:
        """Start the time of a call at the end of this turn of the loop, when the call is sent."""
        if not self._new:
            # The clock of uvloop stands still within a turn, so after a long turn the call would be late.
            loop.call_soon(self._begin, loop)
        self._new.append(call)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._calls.clear()

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + self._seconds
        new, self._new = self._new, []
        self._calls += [(due, call) for call in new]
        if self._timer is None:
            self._timer = loop.call_at(due, self._check)

    def _check(self) -> None:
        while self._calls and self._calls[0][1].reply.done():
            self._calls.popleft()
        loop = asyncio.get_running_loop()
        if not self._calls:
            self._timer = None
        elif self._calls[0][0] > loop.time():
            self._timer = loop.call_at(self._calls[0][0], self._check)
        else:
            self._timer = loop.call_later(_GRACE, self._fail_late, loop.time())

    def _fail_late(self, due: float) -> None:
        missed = False
        while self._calls and self._calls[0][0] <= due:
            _, call = self._calls.popleft()
            missed = missed or not call.reply.done()
            call.fail(LateReply())
        self._check()
        if missed:
            self._missed()
