"""Bodies that are collected as a whole, because an addon needs them so."""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from mitm_engine.http1.body_chunks import gather
from mitm_engine.http1.head_rules import announced_length
from mitm_engine.http1.heads import CONTINUE, expects_continue
from mitm_engine.http1.request_reader import Incoming
from mitm_engine.options import Terms
from mitm_engine.upstream_connection import UpstreamConnection
from mitm_engine.wire_error import LATE_BODY, LATE_REQUEST, WireError
from shared.core.errors import BODY_TOO_LONG, RESPONSE_TOO_LONG

if TYPE_CHECKING:
    from mitm_engine.client_connection import ClientConnection
    from mitm_engine.worker_state import WorkerState


class HeldBytes:
    """Counts the bytes of bodies that are held as a whole, by the owner of their exchange.

    All owners together may hold `limit`, and one of them `most_of_one`: half of it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.most_of_one = limit // 2
        self.total = 0
        self._by_owner: Counter[str] = Counter()

    def add(self, owner: str, count: int) -> None:
        """Count more bytes. Raises `WireError` when they exceed a limit; then they are not counted."""
        if self.total + count > self._limit or self._by_owner[owner] + count > self.most_of_one:
            raise WireError("overloaded", "The bodies of other requests fill the memory.")
        self.total += count
        self._by_owner[owner] += count

    def remove(self, owner: str, count: int) -> None:
        self.total -= count
        self._by_owner[owner] -= count
        if not self._by_owner[owner]:
            del self._by_owner[owner]


class WholeBodies:
    """Collects the bodies of one exchange that have not arrived with their heads, and counts their bytes.

    They count for the owner until `release`: by Content-Length, or as they arrive. None can be longer than
    what one owner may hold.
    """

    __slots__ = ("_client", "_held", "_incoming", "_most", "_seen", "_terms", "_worker")

    def __init__(
        self, worker: "WorkerState", client: "ClientConnection", incoming: Incoming, terms: Terms
    ) -> None:
        self._worker = worker
        self._client = client
        self._incoming = incoming
        self._terms = terms
        self._most = worker.held_bytes.most_of_one
        self._held = 0  # bytes that are counted
        self._seen = incoming.size  # bytes of the request's body at the last check

    def release(self) -> None:
        if self._held:
            self._worker.held_bytes.remove(self._terms.owner, self._held)
            self._held = 0

    async def collect_request(self) -> None:
        """Wait for the whole body of the request. Raises `WireError`."""
        incoming, client = self._incoming, self._client
        limit = min(self._terms.request_body, self._most)
        check_request(incoming, limit)
        self._hold(announced_length(incoming.fields) or incoming.size)
        client.want(incoming, limit)
        client.on_data = self._count_request
        if not incoming.size and expects_continue(incoming):
            client.write(CONTINUE)
        client.arm(self._terms.timeouts.grace, self._check_rate)
        while not incoming.complete and incoming.fault is None and incoming.size <= limit:
            incoming.waiter = asyncio.get_running_loop().create_future()
            await incoming.waiter
        client.on_data = None
        check_request(incoming, limit)

    async def collect_response(self, upstream: UpstreamConnection, terms: Terms) -> bytes:
        """Return the whole body of the response, within `terms`. Raises `WireError`."""
        pieces: list[bytes | bytearray] = []
        before, size, reader = self._held, 0, upstream.reader
        limit = min(terms.response_body, self._most)
        if not reader.complete:
            self._hold_response(announced_length(reader.fields), before, limit)
        while True:
            piece = upstream.take()
            if piece is None:
                self._client.arm(terms.timeouts.idle, self._cancel_late_body)
                await upstream.more()
                continue
            if not piece:
                return b"".join(pieces)
            size += len(piece)
            self._hold_response(size, before, limit)
            gather(pieces, piece)

    def _hold(self, count: int) -> None:
        self._worker.held_bytes.add(self._terms.owner, count)
        self._held += count

    def _hold_response(self, size: int, before: int, limit: int) -> None:
        """Count a response of `size` bytes; `before` were counted without it. Raises `WireError`."""
        if size > limit:
            raise WireError("response_too_large", RESPONSE_TOO_LONG.format(limit))
        if before + size > self._held:
            self._hold(before + size - self._held)

    def _count_request(self) -> None:
        """Count what has arrived of a body without a length."""
        if (more := self._incoming.size - self._held) > 0:
            try:
                self._hold(more)
            except WireError as why:
                self._client.cancel(why)

    def _check_rate(self, now: float) -> None:
        """Cancel a request whose body arrives too slowly."""
        grace, size = self._terms.timeouts.grace, self._incoming.size
        if size - self._seen < self._worker.options.min_rate * grace:
            self._client.cancel(LATE_REQUEST)
        else:
            self._seen = size
            self._client.arm(grace, self._check_rate)

    def _cancel_late_body(self, now: float) -> None:
        self._client.cancel(LATE_BODY)


def check_request(incoming: Incoming, limit: int) -> None:
    """Raise `WireError` if a body is malformed, or too long: by its length, or as far as it has arrived."""
    if (fault := incoming.fault) is not None:
        # A new error to raise: raised itself, it would keep its request until the next collection.
        raise WireError(fault.code, fault.detail, fault.headers)
    if incoming.size > limit or announced_length(incoming.fields) > limit:
        raise WireError("body_too_large", BODY_TOO_LONG.format(limit))
