"""The only translator between mitmproxy's flows and the gateway's values."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mitmproxy import connection, http

from mitm_addons.ai.budget_stream import BudgetStream
from mitm_addons.response_copy import ResponseCopy
from mitm_engine.exchange.flows import EngineFlow
from mitm_engine.options import Terms
from shared.core.errors import Rejection
from shared.core.memo import Memo
from shared.http.forwarding import plugin_view
from shared.http.sent_secrets import SentSecrets
from shared.http.trace_context import TraceContext
from shared.model.config import Cors
from shared.model.messages import Headers, Request, Response
from shared.pipeline.run import Run
from shared.providers.calls import ANTHROPIC, OPENAI_RESPONSES, OWN
from shared.providers.errors import (
    EventNumbers,
    error_body,
    is_last_event,
    speaks_anthropic,
    speaks_responses,
)
from shared.routing.admission import Admitted, Call
from shared.routing.ai_exchange import AiExchange
from shared.routing.compile import Gateway
from shared.routing.outgoing import LastOutgoing
from shared.routing.pool_exchange import PoolExchange
from shared.routing.upstream import Upstream

# Bytes of a body that is forwarded as it arrives: as much as is read ahead of any body.
_KEPT = 65_536
_REQUEST_ID, _TRACE_PARENT = b"x-request-id", b"traceparent"
# Bytes at the end of a stream that are kept: more than its last event has, unless that repeats the response.
_LAST = 256


class KnownHead:
    """The parsed form of a head that a client repeats on its connection; the engine keeps it with the head.

    Attributes:
        call: the call that it makes.
        client, closes, is_http10: as in `FlowState`.
        headers: the newest head.
        id_place: the place of the request's id in the head; None if the gateway makes it.
        admitted: the last admission; None if it depended on more than the head and the configuration.
        has_trace: the head names a trace, and a valid one.
        line: the members of its line in the access log that are the same for each request that is admitted as
            `line_of`.
        outgoing: what its requests become for their upstream.
        terms: those of its requests before and after their upstream was chosen, each with the admission and
            the upstream that they are for.
    """

    __slots__ = (
        *("_moved", "_view", "_viewed", "admitted", "call", "client", "closes", "has_trace", "headers"),
        *("id_place", "is_http10", "line", "line_of", "outgoing", "terms"),
    )

    def __init__(self, call: Call, state: "FlowState") -> None:
        self.call, self.headers = call, call.headers
        self.client, self.closes, self.is_http10 = state.client, state.closes, state.is_http10
        names = [name.lower() for name, _ in call.headers.fields]
        self.id_place = names.index(_REQUEST_ID) if _REQUEST_ID in names else None
        self.has_trace = _TRACE_PARENT in names
        self.admitted: Admitted | None = None
        self.outgoing: LastOutgoing | None = None
        self.line: dict[str, Any] = {}
        self.line_of: Admitted | None = None
        self.terms: dict[bool, tuple[Admitted, Upstream | None, Terms]] = {}
        self._viewed: Headers | None = None
        self._view = Headers()
        self._moved: list[tuple[int, int]] = []

    def view(self, headers: Headers) -> Headers:
        """Return `plugin_view` of a repetition. Fields as in the last one are not indexed again."""
        if self._viewed is None:
            self._view = plugin_view(headers)
            places = {id(field): place for place, field in enumerate(headers.fields)}
            # Where the fields of the view stand in the head; credentials, which do not vary, are masked.
            self._moved = [
                (at, places[id(field)]) for at, field in enumerate(self._view.fields) if id(field) in places
            ]
        elif headers is not self._viewed:
            fields, newest = list(self._view.fields), headers.fields
            for at, place in self._moved:
                fields[at] = newest[place]
            self._view = self._view.renewed(tuple(fields))
        self._viewed = headers
        return self._view


# The next three have slots. An attribute with a default in its class takes twice as long to be read.


@dataclass(slots=True, eq=False, repr=False)
class UpstreamCall:
    """The call of the upstream, as far as it has come.

    Attributes:
        upstream: where the request was forwarded to; None if it was not.
        forwarded: when the request was forwarded; None if it was not.
        address: the address that was tried last.
        tried: the number of addresses that were tried.
        cause: why there is no upstream to connect to, in one word.
        detail: the same as a sentence.
        status: the status that the upstream sent.
        head: when the head of its response had come.
        id: its own id of the request.
        secrets: what is taken out of its error; None: nothing.
        ended: when its response was complete.
    """

    upstream: Upstream | None = None
    forwarded: float | None = None
    address: str | None = None
    tried: int = 0
    cause: str | None = None
    detail: str | None = None
    status: int | None = None
    head: float | None = None
    id: bytes | None = None
    secrets: SentSecrets | None = None
    ended: float | None = None


@dataclass(slots=True, eq=False, repr=False)
class SentBody:
    """The body of the response, as far as the client has got it.

    Attributes:
        monotonic: the clock of `FlowState.started`.
        size: its bytes.
        first: when its first byte was passed on.
        last_bytes: the last bytes sent of a stream; they have its last event if that is short.
        is_events: it is a stream of events, and passed on at once.
        has_error: the client got an error event.
        pending: events that plugins released before one of them ended the stream.
        held_back: the most bytes that plugins held back at a time.
        copy: the stream so far, for entries in shadow mode.
        numbers: reads the numbers of the events that were sent; None: they have none.
    """

    monotonic: Callable[[], float] = float
    size: int = 0
    first: float | None = None
    last_bytes: bytes = b""
    is_events: bool = False
    has_error: bool = False
    pending: bytes = b""
    held_back: int = 0
    copy: ResponseCopy | None = None
    numbers: EventNumbers | None = None

    @property
    def is_between_events(self) -> bool:
        """Whether the last event of the stream was sent whole."""
        return not self.last_bytes or self.last_bytes.endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))

    @property
    def is_over(self) -> bool:
        """Whether the client has the event after which it reads no more."""
        is_last = is_last_event(self.last_bytes) if self.numbers is None else self.numbers.is_over
        return is_last and self.is_between_events

    def passed_on(self, piece: bytes) -> bytes:
        """Count a piece of the response that is sent now, and return it."""
        if not piece:
            return piece
        if not self.size:
            self.first = self.monotonic()
        size = len(piece)
        self.size += size
        self.last_bytes = piece[-_LAST:] if size >= _LAST else (self.last_bytes + piece)[-_LAST:]
        if self.numbers is not None:
            self.numbers.feed(piece)
        return piece


@dataclass(slots=True, eq=False, repr=False)
class FlowState:
    """The gateway's state of a flow: a plain attribute, which mitmproxy neither copies nor dumps.

    Attributes:
        request_id: sent to the upstream and to the client.
        started: when the request arrived.
        client: the client's address.
        monotonic: the clock of `started`.
        headers: the head as the client sent it.
        known: what was read in this head before; None unless the client repeats it.
        trace: its place in a trace; None: it has none.
        path: the normalized path.
        closes: the client wants the connection closed after this exchange.
        is_http10: the client speaks HTTP/1.0.
        is_health_check: the response is that of the health addon, and is not logged.
        announced: the Content-Length of the request; 0 without one.
        body_limit: the largest request body, in bytes.
        received: bytes of the request body.
        arrived: when the request body had come; None if there is none, or if it was forwarded as it came.
        first_pieces: a short JSON body that was forwarded as it arrived; else empty.
        gateway: the tenant that was called, also of a rejected request.
        key_hash: the hash of the presented API key.
        has_valid_key: the request has a valid key of the tenant.
        cors: the web pages that may read the response; None: none.
        admitted: the tenant, rule and key of the request.
        run: the run of the rule's plugins.
        view: the head as the plugins saw it first.
        plugins_began: when the plugins of a stage began; 0 between stages.
        plugins_seconds: how long those of all stages took, without single events of streams.
        ai: the request to a model; None on a rule with a target.
        budget_stream: its response, while budgets count it.
        pooled: the request that has several targets; `ai`, or one of a rule with `targets`.
        call: the call of the upstream.
        sent: what the client has got of the response.
        source: the origin of the response: ``upstream``, ``gateway`` or ``plugin:<name>``.
        code: the error code that was sent.
        pending_rejection: replaces the response as soon as the engine can do that.
        over: when the exchange was over, by the clock of `started`.
        over_at: the same in seconds since the Unix epoch.
    """

    # The request, as it was read.
    request_id: str
    started: float
    client: str
    monotonic: Callable[[], float] = float
    headers: Headers = field(default_factory=Headers)
    known: KnownHead | None = None
    trace: TraceContext | None = None
    path: str = ""
    closes: bool = False
    is_http10: bool = False
    is_health_check: bool = False
    announced: int = 0
    body_limit: int = 0
    received: int = 0
    arrived: float | None = None
    first_pieces: bytes = b""

    # The findings and decisions about it.
    gateway: Gateway | None = None
    key_hash: str | None = None
    has_valid_key: bool = False
    cors: Cors | None = None
    admitted: Admitted | None = None
    run: Run | None = None
    view: Headers | None = None
    plugins_began: float = 0.0
    plugins_seconds: float = 0.0
    ai: AiExchange | None = None
    budget_stream: BudgetStream | None = None
    pooled: PoolExchange | None = None

    # The call of the upstream, and the response.
    call: UpstreamCall = field(default_factory=UpstreamCall)
    sent: SentBody = field(init=False)
    source: str = "upstream"
    code: str | None = None
    pending_rejection: Rejection | None = None
    over: float = 0.0
    over_at: float = 0.0

    def __post_init__(self) -> None:
        self.sent = SentBody(self.monotonic)

    def plugins_ended(self) -> None:
        """Count the time of the plugins of a stage."""
        self.plugins_seconds += self.monotonic() - self.plugins_began
        self.plugins_began = 0.0

    def awaits_head(self, flow: http.HTTPFlow) -> bool:
        """Whether the request was sent to an upstream that has not responded."""
        has_connection = flow.server_conn.timestamp_tcp_setup is not None
        return has_connection and self.call.forwarded is not None and self.call.status is None

    def came_in(self, piece: bytes) -> bytes:
        """Count a piece of a request body that is forwarded as it arrives, and return it."""
        self.received += len(piece)
        # The log reads the model in a short JSON body, however the network cut it.
        is_first = self.received == len(piece)
        if self.received <= _KEPT and (self.first_pieces or (is_first and piece.startswith(b"{"))):
            self.first_pieces += piece
        else:
            self.first_pieces = b""
        return piece


class GatewayFlow(EngineFlow):
    """A flow of the engine of `mitm_engine`, with the attribute that this module gives all of mitmproxy's.

    Attributes:
        gateway_state: the state; None for a flow that never reached `requestheaders`.
    """

    __slots__ = ("gateway_state",)

    def __init__(self) -> None:
        self.gateway_state: FlowState | None = None


http.HTTPFlow.gateway_state = http.HTTPFlow.last_head = None  # type: ignore[attr-defined]


def begin(flow: GatewayFlow, state: FlowState) -> FlowState:
    flow.gateway_state = state
    return state


def state_of(flow: http.HTTPFlow) -> FlowState | None:
    """Return the state of a flow. Where each call counts, a `GatewayFlow` has it as an attribute."""
    state: FlowState | None = flow.gateway_state  # type: ignore[attr-defined]
    return state


def state_of_client(client: connection.Client) -> FlowState | None:
    """Return the state of the flow that was forwarded: a client has one exchange at a time."""
    return getattr(client, "gateway_state", None)


def head_of(message: http.Message) -> Headers:
    return Headers.of(message.data.headers.fields)


def set_head(message: http.Message, headers: Headers) -> None:
    message.data.headers.fields = headers.fields


def request_of(flow: http.HTTPFlow, path: str, headers: Headers) -> Request:
    """Return the request as plugins see it; the body is None until it has been read."""
    data = flow.request.data
    mark = data.path.find(b"?")  # `in` takes three times as long
    query = data.path[mark + 1 :].decode("latin-1") if mark >= 0 else ""
    return Request(_METHODS[data.method], path, headers, query, data.content)


def method_of(flow: http.HTTPFlow) -> str:
    """Return the method in upper case, as mitmproxy does."""
    return _METHODS[flow.request.data.method]


_METHODS: Memo[bytes, str] = Memo(lambda method: method.decode("latin-1").upper())


def put_response(flow: http.HTTPFlow, response: Response) -> None:
    """Set `response` as that of the flow, framed by the length of its body."""
    made = http.Response.make(response.status, b"")
    kept = [(n, v) for n, v in response.headers if n.lower() not in ("content-length", "transfer-encoding")]
    body = response.body or b""
    set_head(made, Headers([*kept, ("Content-Length", str(len(body)))]))
    made.raw_content = body
    flow.response = made


def set_body(response: http.Response, body: bytes) -> None:
    """Set another body of a response that is collected, whatever its length."""
    response.data.content = body
    if "transfer-encoding" not in response.headers:
        response.headers["content-length"] = str(len(body))


def reject_flow(flow: http.HTTPFlow, rejection: Rejection) -> None:
    """Set `rejection` as the flow's response, in the shape that the client's SDK reads."""
    state = state_of(flow)
    request_id = state.request_id if state else "unknown"
    if state:
        state.source, state.code, state.pending_rejection = rejection.source, rejection.code, None
    trace = state.trace if state else None
    body = error_body(rejection, request_id, anthropic=is_anthropic(flow), trace_id=trace and trace.trace_id)
    head = [("Content-Type", "application/json"), *rejection.headers.items()]
    put_response(flow, Response(rejection.status, Headers(head), body))


def is_anthropic(flow: http.HTTPFlow) -> bool:
    """Return whether the client's SDK reads errors in Anthropic's shape."""
    state = state_of(flow)
    if state is not None and state.ai is not None and state.ai.call.api not in OWN:
        return state.ai.call.api in ANTHROPIC  # the path of the flow may be that of another API
    return speaks_anthropic(flow.request.data.path, flow.request.headers)


def has_numbers(flow: http.HTTPFlow, state: FlowState) -> bool:
    """Return whether the events of the client's stream have numbers."""
    if state.ai is not None:
        return state.ai.call.api == OPENAI_RESPONSES
    return speaks_responses(flow.request.data.path)
