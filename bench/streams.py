"""Memory of open event streams: opened, held, weighed."""

import asyncio
import functools
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import uvloop

from bench.contenders import Streams
from bench.exchange import ExchangeFailed
from bench.programs import ProgramFailed
from bench.rounds import FAULTS, Outcome
from bench.say import say
from bench.world import World

_AT_ONCE = 64  # streams that are being opened
_PATIENCE = 120.0  # seconds until all must be open
_WARM_UP = 50  # one of so many is opened and closed before, for what is allocated once


@dataclass(slots=True)
class Weighing:
    """Bytes a stream, by the way in which it is held."""

    count: int
    bytes: dict[str, float] = field(default_factory=dict)


def weigh_all(world: World, count: int, outcome: Outcome) -> Weighing:
    """Open `count` streams in each way that there is, one way after the other."""
    weighing = Weighing(count)
    for way in [way for contender in world.contenders for way in contender.streams]:
        say(f"{count} open streams: {way.name}")
        try:
            weighing.bytes[way.name] = uvloop.run(_weigh(world, way, count))
        except FAULTS as error:
            outcome.failures.append(("streams", way.name, str(error)))
    return weighing


async def _weigh(world: World, way: Streams, count: int) -> float:
    """Resident bytes that the program under test grew by, for each open stream."""
    program = world.program_of(way)
    if program is None:
        raise ProgramFailed("nothing to weigh")
    context = ssl.create_default_context(cafile=way.ca) if way.ca else None
    await _hold(way, context, max(1, count // _WARM_UP), program.resident_bytes)
    before = program.resident_bytes()
    held = await _hold(way, context, count, program.resident_bytes)
    program.check()
    return (held - before) / count


async def _hold(way: Streams, context: ssl.SSLContext | None, count: int, weigh: Callable[[], int]) -> int:
    """What `weigh` says while `count` streams are open. Raises `ExchangeFailed`, OSError."""
    loop, gate = asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE)
    name = "localhost" if context else None

    async def opened() -> _Stream:
        async with gate:
            made = functools.partial(_Stream, way.call.encode(), loop.create_future())
            _, stream = await loop.create_connection(
                made, "127.0.0.1", way.port, ssl=context, server_hostname=name
            )
            held.append(stream)
            await stream.first_event
            return stream

    held: list[_Stream] = []
    try:
        async with asyncio.timeout(_PATIENCE):
            await asyncio.gather(*(opened() for _ in range(count)))
        weighed = weigh()
        lost = sum(stream.is_lost for stream in held)
        if lost:
            raise ExchangeFailed(f"{lost} of {count} streams ended by themselves")
        return weighed
    finally:
        for stream in held:
            stream.transport.abort()


class _Stream(asyncio.Protocol):
    """One open stream, from the client's side."""

    transport: asyncio.Transport
    is_lost = False

    def __init__(self, request: bytes, first_event: asyncio.Future[None]) -> None:
        self._request = request
        self._received = b""
        self.first_event = first_event

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received = (self._received + data)[:4096]
        if b"data: 1" in self._received and not self.first_event.done():
            self.first_event.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        if not self.first_event.done():
            self.first_event.set_exception(ExchangeFailed(f"no event, but {self._received[:200]!r}"))
