"""Answers whose events are judged while they are passed on."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence

from mitmproxy import http

from mitm_addons.flows import FlowState
from mitm_addons.stream_end import error_event
from shared.bodies.event_splitter import EventSplitter
from shared.core.errors import make_rejection
from shared.http.body_rejected import BodyRejected
from shared.model.event import Event
from shared.pipeline import Run, Stream

#: Ends the connection of a flow's client once what was written to it is sent.
Cut = Callable[[http.HTTPFlow], None]
Pieces = list[bytes]
# Bytes whose events are judged before others have their turn: 3 ms for the shortest ones (measured).
_TURN = 2048


class StreamRejected(Exception):
    """A judge ended the stream: what it let out and the error event are still to be written."""


class EventStream:
    """The stream function of one answer: called with each piece, and with nothing at the end.

    Where a plugin refuses, an engine that has a `cut` is given the last bytes and then cuts; one without
    is told by `StreamRejected`, and `StreamEnd` writes them. The latter awaits what it is given, so there
    a long piece is judged in turns with everything else that the loop has to do.
    """

    def __init__(
        self,
        flow: http.HTTPFlow,
        state: FlowState,
        run: Run,
        splitter: EventSplitter,
        stream: Stream,
        cut: Cut | None,
    ) -> None:
        self._flow = flow
        self._state = state
        self._run = run
        self._splitter = splitter
        self._stream = stream
        self._cut = cut

    def __call__(self, piece: bytes) -> Pieces | Awaitable[Pieces]:
        if self._run.rejection:
            return []
        if self._cut is None and len(piece) > _TURN:
            return self._in_turns(piece)
        out = self._judged(piece)
        return self._sent_later(out) if inspect.isawaitable(out) else self._sent(out)

    def _judged(self, piece: bytes) -> Sequence[Event] | Awaitable[Sequence[Event]]:
        try:
            events = self._splitter.feed(piece) if piece else self._splitter.end()
        except BodyRejected as error:
            self._run.rejection = make_rejection(
                "content_rejected", f"The upstream's answer was rejected. {error}"
            )
            return []
        return self._stream.feed(events, is_last=not piece)

    async def _sent_later(self, out: Awaitable[Sequence[Event]]) -> Pieces:
        return self._sent(await out)

    async def _in_turns(self, piece: bytes) -> Pieces:
        sent: list[Event] = []
        for start in range(0, len(piece), _TURN):
            out = self._judged(piece[start : start + _TURN])
            sent += await out if inspect.isawaitable(out) else out
            if self._run.rejection:
                break
            await asyncio.sleep(0)
        return self._sent(sent)

    def _sent(self, events: Sequence[Event]) -> Pieces:
        state = self._state
        sent = state.passed_on(b"".join([event.raw for event in events]))
        state.bytes_held_back = self._stream.held
        if self._run.rejection is None:
            return [sent] if sent else []
        if self._cut is None:
            state.pending_bytes = sent
            raise StreamRejected(self._run.rejection.code)
        asyncio.get_running_loop().call_soon(self._cut, self._flow)
        return [sent + error_event(self._flow, state, self._run.rejection)]
