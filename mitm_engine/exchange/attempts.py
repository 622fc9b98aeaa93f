"""The attempts of one exchange to get a response from an upstream.

    terms --> once: connect, send, wait for the head --> retry? -- no --> holds? -- no --> the client's
      ^             |                                     |                 |                ^
      |             v                                     |                 v                |
      |           failed --> retry? -- no --> the error   |               held? -- COMMIT ---+
      +------------------------+--------------------------+-----------------+ AGAIN

The policy decides, and writes the next upstream into the request. The engine knows one upstream at a time.
Nothing reaches the client, and no hook sees a response, before the last attempt; after it nothing is tried.
A flow whose terms have no `retries` has one attempt, `once`, about which nothing is asked.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable
from types import NoneType
from typing import TYPE_CHECKING, Any

from mitmproxy import http

from mitm_engine.exchange.attempt import AttemptReport, HeldStep, Hold, Retries
from mitm_engine.exchange.cancellation import raise_cancellation
from mitm_engine.exchange.upload import Upload
from mitm_engine.http1.heads import CHUNKED, request_head, sized
from mitm_engine.http1.last_head import LastHead
from mitm_engine.options import Terms
from mitm_engine.upstream_connection import LARGE, Key, UpstreamConnection
from mitm_engine.wire_error import LATE_CONNECT, LATE_POLICY, LATE_READER, WireError
from shared.core.http_tokens import NO_BODY, WITH_BODY

if TYPE_CHECKING:
    from mitm_engine.client_connection import ClientConnection
    from mitm_engine.worker_state import WorkerState

logger = logging.getLogger(__name__)

_IDEMPOTENT = (b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE")  # RFC 9110, 9.2.2
_SCHEMES = (b"http", b"https")
_CHECKS = 4  # in the time for which an upstream may read nothing
_WITH_BODY = tuple(method.encode() for method in WITH_BODY)
# The codes of errors after which another upstream may do better. All others are the client's or the addons'.
_OF_UPSTREAM = (
    *("upstream_unreachable", "upstream_tls", "upstream_timeout", "upstream_protocol_error"),
    "overloaded",  # there are too many connections to this upstream
)

# The types that the policy returns at once in most cases. To look for an await costs four calls.
_DECISIONS = (bool, NoneType, Hold, HeldStep)


class UpstreamExchange:
    """The side of an exchange that faces upstreams: makes the attempts of `flow`.

    `last_head` is the head of its request, if the client repeats it.

    Attributes:
        terms: the terms of the current attempt.
        upload: the body of the request while it arrives; None if the flow has it.
        upstream: the connection of the current attempt.
    """

    __slots__ = (
        "_attempt",
        "_client",
        "_flow",
        "_held",
        "_is_silent",
        "_last_head",
        "_moved",
        "_unsent",
        "_waiter",
        "_worker",
        "terms",
        "upload",
        "upstream",
    )

    def __init__(
        self,
        worker: "WorkerState",
        client: "ClientConnection",
        flow: http.HTTPFlow,
        terms: Terms,
        upload: Upload | None,
        last_head: LastHead | None,
    ) -> None:
        self._worker = worker
        self._client = client
        self._flow = flow
        self._last_head = last_head
        self.terms = terms
        self.upload = upload
        self.upstream: UpstreamConnection | None = None
        self._attempt: AttemptReport | None = None  # the current one, if the policy is asked

    def release(self) -> None:
        """Return the connection to the pool: the response is complete."""
        if self.upload is not None and not self.upload.is_complete:
            self.drop()
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            self._worker.pool.release(upstream)

    def drop(self) -> None:
        """Close the connection, whatever has arrived on it."""
        if self.upload is not None:
            self.upload.stop()
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()

    # One attempt.

    async def once(self, on_wait: Callable[[], None]) -> UpstreamConnection:
        """Send the request, and wait for the head of the response. Raises `WireError`.

        `on_wait` is called before a wait for addons.
        """
        data, terms, client = self._flow.request.data, self.terms, self._client
        if data.scheme not in _SCHEMES:
            raise WireError("plugin_failure", "An addon set a scheme that is neither http nor https.")
        key = (data.scheme == b"https", data.host, data.port, terms.trust, terms.owner)
        body = data.content or b""
        head = request_head(self._flow.request, self._framing(body), self._last_head)
        reused = self._worker.pool.take(key)
        while True:
            upstream = self.upstream = reused or await self._connect(Key(*key), on_wait)
            self._flow.server_conn = upstream.server
            if (attempt := self._attempt) is not None:
                attempt.is_reused = reused is not None
                attempt.is_sent = attempt.is_sent or not upstream.is_closed
            try:
                client.arm(terms.timeouts.first_byte, upstream.end_late)
                upstream.send(head, body, is_head_request=data.method == b"HEAD")
                client.reads_on = 0.0 if self.upload is not None else terms.reads_on
                if self.upload is not None:
                    self.upload.begin(upstream)
                elif upstream.is_paused or (len(body) > LARGE and upstream.is_sending):
                    await self._send_rest(upstream)
                while not upstream.reader.has_head:
                    await upstream.more()
                if upstream.below_tls is not None:
                    upstream.end_sending()
                return upstream
            except WireError as error:
                if reused is None or not self._may_repeat(upstream, error):
                    raise
            self.drop()
            reused = None

    def _framing(self, body: bytes) -> bytes:
        if not body and self.upload is not None:
            return sized(self.upload.length) or CHUNKED
        self.upload = None  # an addon may have set another body
        is_sized = body or self._flow.request.data.method in _WITH_BODY
        return b"\r\nContent-Length: %d" % len(body) if is_sized else b""

    async def _send_rest(self, upstream: UpstreamConnection) -> None:
        """Wait until the upstream has read most of the request: the timeout of its response begins then.

        An upstream that reads nothing for as long fails.
        """
        self._unsent, self._moved = upstream.unsent, self._worker.pool.loop.time()
        self._arm_check()
        await upstream.written()
        self._client.arm(self.terms.timeouts.first_byte, upstream.end_late)

    def _arm_check(self) -> None:
        self._client.arm(self.terms.timeouts.first_byte / _CHECKS, self._check_reading)

    def _check_reading(self, now: float) -> None:
        upstream = self.upstream
        if upstream is None or upstream.is_closed:
            return
        if (unsent := upstream.unsent) < self._unsent:
            self._unsent, self._moved = unsent, now
        elif now - self._moved >= self.terms.timeouts.first_byte:
            upstream.fail(LATE_READER)
            return
        upstream.check_written()
        self._arm_check()

    def _may_repeat(self, upstream: UpstreamConnection, error: WireError) -> bool:
        """Return whether to send it again: a server may close an idle connection at any time."""
        if upstream.has_response or error.cause != "reset":
            return False
        has_begun = self.upload is not None and self.upload.has_begun
        return self._flow.request.data.method in _IDEMPOTENT and not has_begun

    async def _connect(self, key: Key, on_wait: Callable[[], None]) -> UpstreamConnection:
        seconds = self.terms.timeouts.connect
        self._client.arm(seconds + 1, self._cancel_late_connect)
        return await self._worker.connect(key, self._client.client, seconds, on_wait)

    # All attempts.

    async def until_committed(self, on_wait: Callable[[], None]) -> UpstreamConnection:
        """Make attempts until a response is for the client. Nothing of its body is taken then.

        Raises the `WireError` of the last attempt, or one of the policy.
        """
        flow, number, self._held = self._flow, 0, 0
        try:
            while True:
                number += 1
                self._attempt = attempt = AttemptReport(number)
                self.terms = self._worker.policy.terms(flow)
                if (retries := self.terms.retries) is None:
                    return await self.once(on_wait)
                if self.upload is not None:
                    self.upload.terms = self.terms
                upstream = None
                try:
                    upstream = await self.once(on_wait)
                except WireError as error:
                    self._note_failure(attempt, error)
                else:
                    attempt.status, attempt.fields = upstream.reader.status, upstream.reader.fields
                is_good = upstream is not None and attempt.status < 400 and not retries.judges_all
                if is_good or not await self._is_failure(attempt, upstream, retries):
                    if upstream is None:
                        raise _copy(attempt.error)
                    hold = self._hold(attempt, upstream, retries)
                    if hold is None or await self._commits(hold, attempt, upstream, retries):
                        return upstream
                self._leave()
        finally:
            if self._held:
                self._uncount()

    async def _is_failure(
        self, attempt: AttemptReport, upstream: UpstreamConnection | None, retries: Retries
    ) -> bool:
        """Return whether another attempt follows one that has failed, or that is judged as all are."""
        if upstream is not None and attempt.status in retries.statuses and self.upload is None:
            await self._judge(self._read_error(attempt, upstream, retries), attempt)
            attempt.error = None  # also if the body broke off: the status says what it is
        return await self._is_tried_again(attempt, retries)

    async def _judge[T](self, step: Awaitable[T], attempt: AttemptReport) -> T | None:
        """Return the result of a step of an attempt; None if the upstream failed. Then `error` says why."""
        try:
            return await step
        except WireError as error:
            self._note_failure(attempt, error)
            return None

    def _note_failure(self, attempt: AttemptReport, error: WireError) -> None:
        """Keep an error of the upstream, and raise any other."""
        if error.code not in _OF_UPSTREAM:
            raise error
        attempt.error = _copy(error)

    async def _read_error(
        self, attempt: AttemptReport, upstream: UpstreamConnection, retries: Retries
    ) -> None:
        """Read the beginning of an error, and leave it there for the client."""
        now = self._worker.pool.loop.time
        until, size = now() + retries.error_seconds, 0
        try:
            while size < retries.error_size and (left := until - now()) > 0:
                piece = await self._piece(upstream, size, left)
                if not piece or not self._count(len(piece)):
                    break
                size += len(piece)
        finally:
            attempt.body = (upstream.reader.peek(0) or b"")[: retries.error_size]

    async def _is_tried_again(self, attempt: AttemptReport, retries: Retries) -> bool:
        attempt.has_response = self.upstream is not None and self.upstream.has_response
        if self.upload is not None:
            attempt.is_repeatable = not self.upload.has_begun
        found: Any = self._worker.policy.retry(self._flow, attempt)
        is_wanted: bool = found if type(found) in _DECISIONS else await self._decided(found, retries)
        return bool(is_wanted) and attempt.is_repeatable

    def _hold(self, attempt: AttemptReport, upstream: UpstreamConnection, retries: Retries) -> Any:
        """Return what the policy decides about the beginning of a response; None: it is not held."""
        has_no_body = self._flow.request.data.method == b"HEAD" or attempt.status in NO_BODY
        if has_no_body or attempt.status in retries.statuses or self.upload is not None:
            return None
        if upstream.reader.complete:
            attempt.body = upstream.reader.peek(0) or b""
        return self._worker.policy.holds(self._flow, attempt)

    async def _commits(
        self, found: Any, attempt: AttemptReport, upstream: UpstreamConnection, retries: Retries
    ) -> bool:
        """Return whether a response that may be held goes to the client; if not, another attempt follows."""
        policy, size = self._worker.policy, 0
        hold: Hold | None = found if type(found) in _DECISIONS else await self._decided(found, retries)
        while hold is not None:
            if upstream.reader.held > size:
                piece = upstream.peek(size)
            else:
                seconds = min(hold.seconds, self.terms.timeouts.idle)
                piece = await self._judge(self._piece(upstream, size, seconds), attempt)
            if attempt.error is not None:
                if await self._is_tried_again(attempt, retries):
                    return False
                raise _copy(attempt.error)
            found = policy.held(self._flow, piece)
            step: HeldStep = found if type(found) in _DECISIONS else await self._decided(found, retries)
            if step is HeldStep.AGAIN:
                return False
            if step is HeldStep.COMMIT or not piece:
                return True
            size += len(piece)
            if size > hold.size or not self._count(len(piece)):
                return True
        return True

    async def _decided(self, decision: Any, retries: Retries) -> Any:
        """Wait for a decision of the policy. Raises `WireError` if it takes too long."""
        if not inspect.isawaitable(decision):
            return decision
        self._client.arm(retries.decision_seconds, self._cancel_late_policy)
        found = await decision
        raise_cancellation()
        return found

    async def _piece(self, upstream: UpstreamConnection, seen: int, seconds: float) -> bytes | None:
        """Return what follows the first `seen` bytes of the body, and leave it there.

        It is empty at the end of the body, and None if nothing comes for so many seconds.
        """
        self._is_silent = False
        if (piece := upstream.peek(seen)) is None:
            self._client.arm(seconds, self._end_wait)
        while piece is None and not self._is_silent:
            self._waiter = upstream.more()
            await self._waiter
            piece = upstream.peek(seen)
        return piece

    def _end_wait(self, now: float) -> None:
        self._is_silent = True
        if not self._waiter.done():
            self._waiter.set_result(None)

    def _leave(self) -> None:
        """Let go of the connection of an attempt that another one follows.

        It is kept only if its response was read to the end. Raises `WireError` if the client has left.
        """
        upstream = self.upstream
        if upstream is not None and upstream.reader.complete:
            upstream.reader.take()
            self.release()
        else:
            self.drop()
        self._uncount()
        self._client.reads_on = 0.0
        if self._client.gone:
            raise WireError("client_closed")
        self._flow.server_conn = self._worker.no_server

    def _count(self, size: int) -> bool:
        """Count bytes that are held for the owner. Return whether there is memory for more."""
        try:
            self._worker.held_bytes.add(self.terms.owner, size)
        except WireError:
            return False
        self._held += size
        return True

    def _uncount(self) -> None:
        if self._held:
            self._worker.held_bytes.remove(self.terms.owner, self._held)
            self._held = 0

    # Deadlines.

    def _cancel_late_connect(self, now: float) -> None:
        self._client.cancel(LATE_CONNECT)

    def _cancel_late_policy(self, now: float) -> None:
        self._client.cancel(LATE_POLICY)


def _copy(error: WireError | None) -> WireError:
    """Return the same error without its traceback, which would keep the exchange until a collection."""
    if error is None:
        return WireError("upstream_protocol_error")
    return WireError(error.code, error.detail, error.headers, error.cause)
