"""Streamed responses whose events are judged while they pass."""

import asyncio
from collections.abc import Awaitable, Sequence

from mitm_addons.flows import FlowState
from shared.core.errors import Rejection, make_rejection
from shared.http.body_rejected import BodyRejected
from shared.http.passing import Pass, awaited
from shared.model.event import Event
from shared.pipeline.run import Run
from shared.pipeline.stream import Stream

Pieces = list[bytes]
# Bytes that are judged before other tasks run: at most 3 ms (measured, the shortest events).
_TURN = 2048


class StreamRejected(Exception):
    """A judge or a budget ended the stream. The last events and the error event are not written yet."""


def stopped(state: FlowState, rejection: Rejection, last: bytes) -> StreamRejected:
    """The error that ends a stream, whose last bytes and error event are not written yet."""
    state.sent.pending = last
    if state.run is not None:
        state.run.rejection = rejection
    return StreamRejected(rejection.code)


class EventStream:
    """The stream function of one response: called with each piece, and with no bytes at the end.

    When a plugin rejects, `StreamRejected` ends the exchange, and `StreamEnd` writes the last bytes. While a
    long piece is judged, other tasks of the event loop run in between.
    """

    def __init__(self, state: FlowState, run: Run, stream: Stream) -> None:
        self._state = state
        self._run = run
        self._stream = stream

    def __call__(self, piece: bytes) -> Pieces | Awaitable[Pieces]:
        if self._run.rejection:
            return []
        if len(piece) > _TURN:
            return self._in_turns(piece)
        out = self._judge(piece)
        return self._send(out) if isinstance(out, list) else self._send_later(out)

    def _judge(self, piece: bytes) -> list[Event] | Awaitable[list[Event]]:
        try:
            events = self._stream.splitter.feed(piece) if piece else self._stream.splitter.end()
        except BodyRejected as error:
            self._run.rejection = make_rejection(
                "content_rejected", f"The upstream's response was rejected. {error}"
            )
            return []
        return self._stream.feed(events, is_last=not piece)

    async def _send_later(self, out: Awaitable[list[Event]]) -> Pieces:
        return self._send(await out)

    async def _in_turns(self, piece: bytes) -> Pieces:
        sent: list[Event] = []
        for start in range(0, len(piece), _TURN):
            out = self._judge(piece[start : start + _TURN])
            sent += out if isinstance(out, list) else await out
            if self._run.rejection:
                break
            await asyncio.sleep(0)
        return self._send(sent)

    def _send(self, events: Sequence[Event]) -> Pieces:
        state = self._state
        sent = state.sent.passed_on(b"".join([event.raw for event in events]))
        state.sent.held_back = self._stream.held
        if self._run.rejection is None:
            return [sent] if sent else []
        state.sent.pending = sent
        raise StreamRejected(self._run.rejection.code)


def in_turns(pass_on: Pass, state: FlowState) -> Pass:
    """`pass_on`, and other tasks of the event loop run in between while a long piece passes."""

    async def passing(piece: bytes) -> Pieces:
        sent: Pieces = []
        try:
            for start in range(0, len(piece), _TURN):
                sent += await awaited(pass_on(piece[start : start + _TURN]))
                await asyncio.sleep(0)
        except StreamRejected:
            state.sent.pending = b"".join([*sent, state.sent.pending])
            raise
        return sent

    return lambda piece: passing(piece) if len(piece) > _TURN else pass_on(piece)
