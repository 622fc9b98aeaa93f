"""The body of a request, passed on to its upstream while it arrives.

Callbacks move the bytes: the client's connection calls when some have arrived, the upstream's when it can
take more. Meanwhile the exchange waits for the response, which may arrive before the body has ended.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from mitm_engine.exchange.whole_body import check_request
from mitm_engine.http1.head_rules import announced_length
from mitm_engine.http1.heads import CONTINUE, LAST_CHUNK, expects_continue
from mitm_engine.http1.request_reader import Incoming
from mitm_engine.options import Terms
from mitm_engine.upstream_connection import UpstreamConnection
from mitm_engine.wire_error import LATE_READER, LATE_REQUEST, WireError

if TYPE_CHECKING:
    from mitm_engine.client_connection import ClientConnection

#: The result of the `stream` function of an addon for a piece of a request's body.
Stream = Callable[[bytes], bytes | Iterable[bytes]]

_REDIRECTION = 300  # the first status that says that the body is not used


class Upload:
    """Passes one body on, from `begin` until `stop`.

    Attributes:
        length: the length of the body; None if it is sent in chunks.
        is_complete: whether the upstream has the whole body.
        has_begun: whether a byte of the body was taken. Then the request cannot be sent again.
        moved: when the upstream could take bytes last, in the loop's time.
        terms: the terms of the flow.
    """

    __slots__ = (
        "_client",
        "_expects_continue",
        "_incoming",
        "_is_held_back",
        "_later",
        "_left",
        "_min_rate",
        "_seen",
        "_since",
        "_stream",
        "_upstream",
        "has_begun",
        "is_complete",
        "length",
        "moved",
        "terms",
    )

    def __init__(
        self, client: "ClientConnection", incoming: Incoming, terms: Terms, stream: object, min_rate: int
    ) -> None:
        """Prepare the body of `incoming`. `stream` is the function of an addon, or True."""
        self._client = client
        self._incoming = incoming
        self.terms = terms
        self._stream: Stream | None = stream if callable(stream) else None
        self._min_rate = min_rate
        self._upstream: UpstreamConnection | None = None
        self._later: asyncio.Handle | None = None
        self._expects_continue = not incoming.size and expects_continue(incoming)
        self._is_held_back = False
        self._seen = incoming.size
        self._since = self.moved = 0.0
        self.length = self._left = announced_length(incoming.fields) or None
        self.has_begun = self.is_complete = False

    def begin(self, upstream: UpstreamConnection) -> None:
        """Pass the body on to `upstream`, which has the head. Raises `WireError`."""
        self._upstream = upstream
        self._client.on_data = upstream.on_writable = self._continue
        if self._expects_continue:
            self._expects_continue = False
            self._client.write(CONTINUE)
        self._since = self.moved = asyncio.get_running_loop().time()
        self._arm()
        self._pass_on()

    def stop(self) -> None:
        """Pass on nothing more. A response after which the body is not used calls this, too."""
        upstream, self._upstream = self._upstream, None
        if upstream is None:
            return
        self._client.on_data = upstream.on_writable = None
        if self._later is not None:
            self._later.cancel()

    def head_arrived(self) -> None:
        """Drop the rest of the body if the head of the response says that it is not used."""
        if self._is_unused() and self._upstream is not None:
            self.stop()
            self._client.want(self._incoming, 0)

    def _is_unused(self) -> bool:
        upstream = self._upstream
        return upstream is not None and upstream.reader.has_head and upstream.reader.status >= _REDIRECTION

    def _continue(self) -> None:
        try:
            self._pass_on()
        except WireError as why:
            self.stop()
            self._client.cancel(why)

    def _pass_on(self) -> None:
        """Pass on what has arrived, as far as the upstream takes it. Raises `WireError`."""
        incoming, upstream = self._incoming, self._upstream
        check_request(incoming, self.terms.request_body)
        if upstream is None or upstream.is_closed or self._is_unused():
            return
        if upstream.is_paused:
            self._is_held_back = True
        elif not upstream.reader.has_head and upstream.has_unread():
            # Perhaps it has rejected the body, and is about to close. A write would then end the connection
            # before the response is read.
            self._later = asyncio.get_running_loop().call_soon(self._continue)
        else:
            pieces = self._client.take(incoming)
            if pieces or (incoming.complete and self._stream is not None):
                self.has_begun = True
            self._send(upstream, self._transformed(pieces, incoming.complete))
            self.moved = asyncio.get_running_loop().time()
            if incoming.complete:
                self._complete(upstream)

    def _transformed(self, pieces: Sequence[bytes | bytearray], is_last: bool) -> Sequence[bytes | bytearray]:
        if self._stream is None:
            return pieces
        sent: list[bytes | bytearray] = []
        try:
            for piece in (*map(bytes, pieces), *([b""] if is_last else ())):
                result = self._stream(piece)
                sent += (result,) if isinstance(result, bytes) else result
        except Exception as error:  # an addon's code
            raise WireError("plugin_failure", f"An addon's stream failed: {error!r}") from error
        return [piece for piece in sent if piece]

    def _send(self, upstream: UpstreamConnection, pieces: Sequence[bytes | bytearray]) -> None:
        size = sum(map(len, pieces))
        if not size:
            return
        if self._left is None:
            upstream.write((b"%x\r\n" % size, *pieces, b"\r\n"))
            return
        self._left -= size
        if self._left < 0:
            raise WireError("plugin_failure", "An addon's stream made the body longer than its head says.")
        upstream.write(pieces)

    def _complete(self, upstream: UpstreamConnection) -> None:
        if self._left:
            raise WireError("plugin_failure", "An addon's stream made the body shorter than its head says.")
        if self._left is None:
            upstream.write((LAST_CHUNK,))
        self.stop()
        self.is_complete = True
        if not upstream.reader.has_head:
            self._client.arm(self.terms.timeouts.first_byte, upstream.end_late)

    def _arm(self) -> None:
        times = self.terms.timeouts
        self._client.arm(min(times.grace, times.first_byte), self._check)

    def _check(self, now: float) -> None:
        """Cancel the exchange if the client sends, or the upstream reads, too slowly."""
        times, size, upstream = self.terms.timeouts, self._incoming.size, self._upstream
        if upstream is None:
            return
        if upstream.is_paused and now - self.moved >= times.first_byte:
            upstream.fail(LATE_READER)
        elif (
            upstream.is_paused
            or self._is_held_back
            or size - self._seen >= self._min_rate * (now - self._since)
        ):
            self._seen, self._since, self._is_held_back = size, now, False
            self._arm()
        elif now - self._since >= times.grace:
            self._client.cancel(LATE_REQUEST)
        else:
            self._arm()
