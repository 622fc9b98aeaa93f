"""Forwards the body of a response as it arrives.

A piece is forwarded in the callback that brings it, while the task of the exchange waits in one future. To
wake the task for each piece would take longer than all that is done with most of them. Nor does a write wait
for the end of the turn, which has nothing to add to it. A piece that arrives as a chunk of its own, as events
do, is neither parsed by llhttp nor put into a new chunk, unless an addon changes it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from mitm_engine.http1.response_writer import ResponseWriter
from mitm_engine.upstream_connection import UpstreamConnection

if TYPE_CHECKING:
    from mitm_engine.client_connection import ClientConnection


class BodyStream:
    """The body of one response, on its way from `upstream` to `client`."""

    __slots__ = (
        "_client",
        "_has_ended",
        "_idle",
        "_is_blocked",
        "_on_late",
        "_slow",
        "_upstream",
        "_waiter",
        "_writer",
    )

    def __init__(
        self,
        client: "ClientConnection",
        upstream: UpstreamConnection,
        writer: ResponseWriter,
        *,
        idle: float,
        on_late: Callable[[float], None],
    ) -> None:
        """Make the stream of a response that `writer` has begun.

        `on_late` is called when nothing arrives for `idle` seconds.
        """
        self._client, self._upstream, self._writer = client, upstream, writer
        self._idle, self._on_late = idle, on_late
        self._waiter: asyncio.Future[None] | None = None
        self._slow: Awaitable[None] | None = None  # an addon that is not done with a piece
        self._is_blocked = False  # the client has to read first
        self._has_ended = False

    async def forward(self, on_wait: Callable[[], None]) -> None:
        """Forward the body; its last bytes are left for `ResponseWriter.end`. Raises `WireError`.

        `on_wait` is called before a wait for addons.
        """
        self._upstream.stream = self
        try:
            self._forward()
            while self._slow is not None or not self._has_ended:
                if self._slow is not None:
                    slow, self._slow = self._slow, None
                    on_wait()
                    await slow
                elif self._is_blocked:
                    self._upstream.hold()
                    await self._client.drained()
                else:
                    await self._arrival()
                    continue
                if not self._has_ended:
                    self._forward()
        finally:
            self._upstream.stream = self._waiter = None

    def _forward(self, content: bytes = b"", chunk: bytes = b"") -> bool:
        """Forward what has arrived. Return whether the next thing is to wait for more. Raises `WireError`."""
        upstream, reader = self._upstream, self._upstream.reader
        self._is_blocked = False
        if (piece := content or reader.take()) is not None:
            self._slow = self._writer.piece(piece, chunk)
            if self._slow is not None:
                return False
            if not self._client.can_write:
                self._is_blocked = True  # what the client has still to read is in the transport
                return False
        if reader.complete:
            self._slow = self._writer.piece(b"")
            self._has_ended = True
            return False
        upstream.raise_failure()
        return True

    def _arrival(self) -> asyncio.Future[None]:
        """Return a future that is done when `go_on` has met something that has to be awaited, or the end."""
        self._upstream.resume()
        self._writer.flush(at_once=True)
        self._client.arm(self._idle, self._on_late)
        self._waiter = waiter = asyncio.get_running_loop().create_future()
        return waiter

    def go_on(self, content: bytes = b"", chunk: bytes = b"") -> bool:
        """Forward more, after something has arrived. Return whether it was possible now.

        That may be the `content` of a whole `chunk`, which the reader has not seen.
        """
        waiter = self._waiter
        if waiter is None or waiter.done():
            return False
        try:
            goes_on = self._forward(content, chunk)
        except Exception as error:  # noqa: BLE001 -- the task of the exchange raises it
            waiter.set_exception(error.with_traceback(None))
            return True
        if goes_on:
            self._writer.flush(at_once=True)
            self._client.arm(self._idle, self._on_late)
        else:
            waiter.set_result(None)
        return True
