"""A connection to Redis that is made again whenever it is lost."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from shared.core.errors import StoreDown
from shared.redis_client.deadlines import Deadlines
from shared.redis_client.endpoint import Command, Endpoint
from shared.redis_client.protocol import Call, RedisProtocol
from shared.redis_client.script import Script

# Seconds. Pauses grow from the first to the longest and are jittered, lest all workers come back at once.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
# Seconds for a new connection, its greeting included.
_DIAL_TIMEOUT = 1.0
# Seconds without a reply after which a connection counts as dead, although nobody closed it.
_HUNG = 1.0


class RedisConnection:
    """Calls to one Redis, over one connection. One event loop only; connects with the first call.

    A call fails with `StoreDown` after `deadline` seconds, and at once while the last attempt to connect
    has failed and the next one is not due.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        scripts: Sequence[Script],
        deadline: float,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._endpoint = endpoint
        self._loads = [script.load for script in scripts]
        self._deadlines = Deadlines(deadline, self._check_silence)
        self._jitter = jitter
        self._wire: RedisProtocol | None = None
        self._dialer: asyncio.Task[None] | None = None
        self._waiting: list[Call] = []
        self._resting = ""
        self._closed = False

    def call(self, *command: str | bytes | int) -> asyncio.Future[Any]:
        """The reply to a command, which leaves with all others of this turn of the loop. Await it.

        It raises `StoreDown`: `CommandRefused` when Redis answered with an error about this command.
        """
        call = Call(command)
        if self._resting:
            call.fail(StoreDown(f"Redis did not answer: {self._resting}."))
            return call.reply
        self._deadlines.watch(call)
        if self._wire is not None:
            self._wire.send(call)
        else:
            self._waiting.append(call)
            self._dial()
        return call.reply

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | int]) -> asyncio.Future[Any]:
        """What a script answers, as `call`."""
        return self.call(*script.run(keys, arguments))

    async def close(self) -> None:
        """End the connection. Calls without an answer fail."""
        self._closed = True
        self._deadlines.close()
        if self._dialer is not None:
            self._dialer.cancel()
            await asyncio.wait({self._dialer})
        self._fail_waiting("the connection was closed")
        if self._wire is not None:
            self._wire.drop("the connection was closed")
            await self._wire.ended

    def _dial(self, pause: float = 0.0) -> None:
        if self._dialer is None or self._dialer.done():
            self._dialer = asyncio.ensure_future(self._connect(pause))

    async def _connect(self, pause: float) -> None:
        """Try until there is a connection."""
        while self._wire is None:
            if pause:
                await asyncio.sleep(pause * (0.5 + self._jitter() / 2))
            self._resting = ""
            try:
                self._wire = await self._open()
            except (OSError, UnicodeError, StoreDown) as error:
                self._fail_waiting(str(error) or "it did not accept a connection in time")
                pause = min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            if not call.reply.done():
                self._wire.send(call)

    async def _open(self) -> RedisProtocol:
        """A connection that has been greeted and knows the scripts."""
        async with asyncio.timeout(_DIAL_TIMEOUT):
            wire = await self._endpoint.connect(lambda: RedisProtocol(self._loads, self._lost))
            try:
                await asyncio.gather(*(wire.ask(each) for each in self._first_commands()))
                if wire.ended.done():
                    raise StoreDown(wire.fault or "it closed the connection")
            except BaseException:
                wire.drop("the connection could not be used")
                await wire.ended
                raise
        return wire

    def _first_commands(self) -> Sequence[Command]:
        return [*self._endpoint.greeting, *self._loads] or [("PING",)]

    def _lost(self, wire: RedisProtocol) -> None:
        """Connect again: at once, or after a pause when the server is of no use to us."""
        if wire is self._wire:
            self._wire = None
            if not self._closed:
                self._resting = wire.fault
                self._dial(_LONGEST_PAUSE if wire.fault else 0.0)

    def _fail_waiting(self, reason: str) -> None:
        self._resting = reason
        for call in self._waiting:
            call.fail(StoreDown(f"Redis did not answer: {reason}."))
        self._waiting.clear()

    def _check_silence(self) -> None:
        if self._wire is not None and self._wire.silent_for() > _HUNG:
            self._wire.drop("it hangs")
