"""Comments in an event stream while its upstream is silent, so that no balancer ends the connection."""

import asyncio
from typing import Any

from mitmproxy import http

from mitm_addons.flows import FlowState
from mitm_addons.stream_end import Write, framed
from shared.http.media_type import MediaType

# Readers ignore a line that begins with a colon (HTML standard, 9.2.6).
_COMMENT = b": keepalive\n\n"
# The longest time, in seconds, that a stream which broke off is kept in memory for its next check.
_MAX_PAUSE = 15.0


class StreamKeepAlive:
    """Starts to watch streams. `write` writes to the client of a flow."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def __call__(self, flow: http.HTTPFlow, state: FlowState, seconds: float) -> None:
        """Watch the response of the flow, unless it is not plain events."""
        response = flow.response
        if response is None or not callable(response.stream):
            return
        kind = MediaType.parse(response.headers.get("content-type", ""))
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if kind.is_event_stream and coding == "identity":
            response.stream = _Watched(flow, state, response, self._write, seconds)


class _Watched:
    """A stream function that notes when the last piece came, and a timer that looks for silence."""

    def __init__(
        self, flow: http.HTTPFlow, state: FlowState, response: http.Response, write: Write, seconds: float
    ) -> None:
        self._flow, self._state, self._response = flow, state, response
        self._stream: Any = response.stream
        self._write, self._seconds = write, seconds
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._timer = self._wait()

    def __call__(self, piece: bytes) -> Any:
        self._last = self._loop.time()
        if not piece:
            self._timer.cancel()
        return self._stream(piece)

    def _wait(self) -> asyncio.TimerHandle:
        pause = self._last + self._seconds - self._loop.time()
        return self._loop.call_later(min(pause, _MAX_PAUSE), self._check)

    def _check(self) -> None:
        if not self._flow.live:
            return
        if self._loop.time() >= self._last + self._seconds:
            self._last = self._loop.time()
            sent = self._state.sent
            # Inside an event there is no room for a comment; the next look is after the same time.
            if sent.is_between_events and not sent.is_over:
                self._write(self._flow, framed(self._response, sent.passed_on(_COMMENT)))
        self._timer = self._wait()
