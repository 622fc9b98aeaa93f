"""One request and its response, from the first hook to the last byte.

requestheaders -> body -> request -> upstream -> responseheaders -> body -> response -> post_response.
All errors of an exchange are handled in `Exchange.run`, which fails closed.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Iterator
from typing import TYPE_CHECKING

from mitmproxy import http
from mitmproxy.flow import Error

from mitm_engine.closing import LINGER
from mitm_engine.exchange.attempts import UpstreamExchange
from mitm_engine.exchange.body_stream import BodyStream
from mitm_engine.exchange.dispatch import Killed, Method
from mitm_engine.exchange.flows import make_flow, make_response
from mitm_engine.exchange.turn import FEW, pause
from mitm_engine.exchange.upload import Upload
from mitm_engine.exchange.whole_body import WholeBodies, check_request
from mitm_engine.http1.head_rules import announced_length
from mitm_engine.http1.request_reader import Incoming
from mitm_engine.http1.response_writer import ResponseWriter
from mitm_engine.upstream_connection import UpstreamConnection
from mitm_engine.wire_error import (
    CAUSE,
    LATE_ADDONS,
    LATE_BODY,
    LATE_EXCHANGE,
    OVERLOADED,
    WireError,
)
from shared.core.errors import BODY_TOO_LONG

if TYPE_CHECKING:
    from mitm_engine.client_connection import ClientConnection
    from mitm_engine.worker_state import WorkerState

logger = logging.getLogger(__name__)

# The longest body, in bytes, that is not counted as held once it is here. More is read ahead of any body.
_AT_ONCE = 16_384
_UNEXPECTED = WireError("plugin_failure", "The exchange failed.")
# The client of a response that was read on is gone.
_LEFT = "client_closed"


class Exchange:
    """Runs once. `run` returns whether the client's connection can serve another request."""

    __slots__ = (
        "_attempts",
        "_bodies",
        "_client",
        "_flow",
        "_flushing",
        "_hooks",
        "_incoming",
        "_terms",
        "_unreached",
        "_upload",
        "_worker",
        "_writer",
    )

    def __init__(self, worker: "WorkerState", client: "ClientConnection", incoming: Incoming) -> None:
        self._worker = worker
        self._hooks = worker.dispatch
        self._client = client
        self._incoming = incoming
        self._terms = worker.first_terms
        self._bodies: WholeBodies | None = None
        self._upload: Upload | None = None
        # The addons that `response` has not reached: once it has begun, `error` is for them only.
        self._unreached: Iterator[Method] | None = None
        self._attempts: UpstreamExchange | None = None
        self._flushing: asyncio.Handle | None = None
        self._flow = make_flow(
            worker.policy.new_flow(),
            client.client,
            worker.no_server,
            incoming,
            worker.options.unrouted_address,
        )
        self._writer = client.writer = ResponseWriter(client, incoming)

    @property
    def linger(self) -> float:
        """For how many seconds a client may send the rest of its request after the response."""
        return self._terms.linger

    @property
    def rest(self) -> float:
        """How much of its body a client that is known may still send, in bytes."""
        if self._terms.linger <= LINGER:
            return 0
        announced = announced_length(self._incoming.fields)
        return announced - self._incoming.size if announced else math.inf

    async def run(self) -> bool:
        """Serve the request. Raises nothing but a cancellation from outside."""
        metrics, writer = self._worker.metrics, self._writer
        options = self._worker.options
        if metrics.in_flight >= options.in_flight and self._incoming.target not in options.always_served:
            metrics.rejected += 1
            self._write(self._worker.error_response(OVERLOADED, self._flow))
            return writer.keeps
        metrics.requests += 1
        metrics.in_flight += 1
        try:
            if (stream := await self._steps()) is not None:
                await stream
        except (WireError, Killed) as error:
            await self._fail(error if isinstance(error, WireError) else None)
        except asyncio.CancelledError:
            why = self._client.cancellation.take()
            if why is None:
                raise
            await self._fail(why)
        except Exception:  # an unexpected error must not let the request through
            logger.exception("An exchange failed.")
            await self._fail(_UNEXPECTED)
        finally:
            metrics.in_flight -= 1
            if self._attempts is not None and self._attempts.upstream is not None:
                self._attempts.drop()
            if self._bodies is not None:
                self._bodies.release()
            self._client.on_data = None
            self._flow.live = False
            client, turn = self._client, self._worker.turn
            client.ended = self._flow
            if client.gone or not turn.defers(turn.ends, client):
                client.finish_flow()
        return writer.keeps

    async def _steps(self) -> Awaitable[None] | None:
        """Serve the request, up to a stream. Return that: it needs no frame of these steps while it flows."""
        hooks, flow, wait = self._hooks, self._flow, self._arm_hook
        if (waiting := hooks.call_flow(hooks.requestheaders, flow, wait)) is not None:
            await waiting
        self._terms = terms = self._worker.policy.terms(flow)
        incoming = self._incoming
        if flow.response is None and flow.request.stream and not incoming.complete:
            self._prepare_upload()
            if (waiting := hooks.call_flow(hooks.request, flow, wait)) is not None:
                await waiting
        elif (is_here := incoming.complete and incoming.size <= terms.request_body) or flow.response is None:
            if not is_here:
                await self._collect_body()
            self._take_body()
            if (waiting := hooks.call_flow(hooks.request, flow, wait)) is not None:
                await waiting
        if flow.response is None:
            if self._worker.metrics.in_flight > FEW:
                await pause()
            return await self._forward()
        # The response of an addon goes out at once, and the rest of the body is not read.
        if (waiting := hooks.call_flow(hooks.responseheaders, flow, wait)) is not None:
            await waiting
        await self._send_whole()
        return None

    def _prepare_upload(self) -> None:
        """Leave the body to an `Upload`, which begins when the upstream has the head."""
        incoming, terms = self._incoming, self._terms
        check_request(incoming, terms.request_body)
        min_rate = self._worker.options.min_rate
        self._upload = Upload(self._client, incoming, terms, self._flow.request.stream, min_rate)

    async def _collect_body(self) -> None:
        if self._incoming.complete:
            raise WireError("body_too_large", BODY_TOO_LONG.format(self._terms.request_body))
        await self._whole_bodies().collect_request()

    def _take_body(self) -> None:
        incoming, data = self._incoming, self._flow.request.data
        if not incoming.wanted:
            self._client.want(incoming, self._terms.request_body)
        data.content = b"".join(incoming.pieces)
        data.timestamp_end = data.timestamp_start
        incoming.pieces.clear()

    def _whole_bodies(self) -> WholeBodies:
        if self._bodies is None:
            self._bodies = WholeBodies(self._worker, self._client, self._incoming, self._terms)
        return self._bodies

    # To the upstream and back.

    async def _forward(self) -> Awaitable[None] | None:
        flow, terms = self._flow, self._terms
        if terms.timeouts.total is not None:
            self._client.end_within(terms.timeouts.total, self._cancel_late_exchange)
        self._attempts = attempts = UpstreamExchange(
            self._worker, self._client, flow, terms, self._upload, self._incoming.last_head
        )
        if terms.retries is None:
            upstream = await attempts.once(self._arm_hook)
        else:
            upstream = await attempts.until_committed(self._arm_hook)
            self._terms = attempts.terms
        if attempts.upload is not None:
            attempts.upload.head_arrived()
        reader = upstream.reader
        response = make_response(reader.version, reader.status, reader.reason, reader.fields)
        flow.response = response
        if (waiting := self._hooks.call_flow(self._hooks.responseheaders, flow, self._arm_hook)) is not None:
            await waiting
        if flow.response is not response:
            # An addon replaced the response, so the rest of the upstream's is not needed.
            attempts.drop()
        elif response.stream:
            return self._stream(attempts, upstream, response)
        else:
            if reader.complete and reader.held <= min(self._terms.response_body, _AT_ONCE):
                response.data.content = reader.take() or b""
            else:
                response.data.content = await self._whole_bodies().collect_response(upstream, self._terms)
            attempts.release()
            response.data.timestamp_end = response.data.timestamp_start
        await self._send_whole()
        return None

    async def _stream(
        self, attempts: UpstreamExchange, upstream: UpstreamConnection, response: http.Response
    ) -> None:
        """Forward the body as it arrives; the hook `response` runs before the last byte is sent."""
        writer = self._writer
        writer.begin(response)
        if upstream.reader.complete:
            # Most bodies are here as a whole: they need no stream. An empty piece is the end.
            whole = upstream.take()
            for piece in (whole, b"") if whole else (b"",):
                if (waiting := writer.piece(piece)) is not None:
                    self._arm_hook()
                    await waiting
                if not self._client.can_write:
                    await self._client.drained()
        else:
            if writer.keeps:
                self._client.reader.forget()
            idle = self._terms.timeouts.idle
            stream = BodyStream(self._client, upstream, writer, idle=idle, on_late=self._cancel_late_body)
            await stream.forward(self._arm_hook)
        attempts.release()
        try:
            self._unreached = iter(self._hooks.response)
            if (waiting := self._hooks.call_flow(self._unreached, self._flow, self._hold_end)) is not None:
                await waiting
        finally:
            if self._flushing is not None:
                self._flushing.cancel()
        if self._client.reads_on and self._client.gone:
            raise WireError(_LEFT)
        writer.end()
        if not self._client.can_write:
            await self._client.drained()

    async def _send_whole(self) -> None:
        self._unreached = iter(self._hooks.response)
        if (waiting := self._hooks.call_flow(self._unreached, self._flow, self._arm_hook)) is not None:
            await waiting
        if self._flow.response is None:
            raise WireError("plugin_failure", "An addon removed the response.")
        if self._client.reads_on and self._client.gone:
            raise WireError(_LEFT)
        self._writer.whole(self._flow.response)
        if not self._client.can_write:
            await self._client.drained()

    # Ends.

    async def _fail(self, why: WireError | None) -> None:
        """Send the response for `why`, or break off a response that has begun.

        `why` is None if an addon killed the flow.
        """
        flow, writer = self._flow, self._writer
        self._client.begin_end()
        if self._attempts is not None:
            self._attempts.drop()
        if why is not None and not _is_killed(flow):
            self._worker.metrics.faults[why.code] += 1
            flow.error = Error(str(why))
            flow.metadata[CAUSE] = why.cause
        if writer.has_begun:
            # An addon may write an error event, after what it has passed on.
            writer.flush()
        if self._hooks.error:
            await self._call_error()
        if why is None or writer.has_begun or _is_killed(flow):
            writer.break_off()
        elif not self._client.gone:
            flow.response = self._worker.error_response(why, flow)
            self._write(flow.response)

    async def _call_error(self) -> None:
        hooks, unreached = self._hooks, self._unreached
        methods = hooks.error if unreached is None else hooks.error_without(unreached)
        addons = hooks.call_all(methods, self._flow)
        if addons is None:
            return
        seconds = self._terms.timeouts.hook
        self._client.arm(seconds + 1, self._client.cut)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await addons

    def _write(self, response: http.Response) -> None:
        """Write the engine's own response."""
        try:
            self._writer.whole(response)
        except WireError:
            self._client.abort()

    # Deadlines.

    def _cancel_late_hook(self, now: float) -> None:
        self._client.cancel(LATE_ADDONS)

    def _cancel_late_body(self, now: float) -> None:
        self._client.cancel(LATE_BODY)

    def _cancel_late_exchange(self, now: float) -> None:
        self._client.cancel(LATE_EXCHANGE)

    def _arm_hook(self) -> None:
        self._client.arm(self._terms.timeouts.hook, self._cancel_late_hook)

    def _hold_end(self) -> None:
        """Let an addon that waits hold back only the end of the response."""
        self._arm_hook()
        self._flushing = asyncio.get_running_loop().call_soon(self._writer.flush)


def _is_killed(flow: http.HTTPFlow) -> bool:
    return flow.error is not None and flow.error.msg == Error.KILLED_MESSAGE
