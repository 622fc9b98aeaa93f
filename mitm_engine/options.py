"""The options of an engine, and its policy for each flow."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mitmproxy import http

from mitm_engine.exchange.attempt import AttemptReport, HeldStep, Hold, Retries
from mitm_engine.exchange.flows import EngineFlow
from mitm_engine.wire_error import WireError, plain_response
from shared.core.addresses import Network
from shared.core.http_tokens import UNROUTED

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts in seconds.

    Attributes:
        head: from the start of the connection, or the first byte of a request, to the end of its head.
        grace: how long a body, or a reader, may be slower than `Options.min_rate`.
        keep_alive: between two requests of a connection.
        connect: TCP and TLS to the upstream.
        first_byte: from the last byte of the request to the head of the response.
        idle: between two pieces of a response.
        total: the whole exchange, with all its attempts; None for no limit.
        hook: all addons of one hook.
    """

    head: float = 10.0
    grace: float = 10.0
    keep_alive: float = 75.0
    connect: float = 5.0
    first_byte: float = 600.0
    idle: float = 300.0
    total: float | None = None
    hook: float = 60.0


@dataclass(frozen=True, slots=True)
class Terms:
    """The limits of one flow, determined after `requestheaders`; with `retries`, again for each attempt.

    The limits of the client's side, `timeouts.total` and the owner of held bytes are those of the first time.

    Attributes:
        timeouts: its timeouts.
        request_body: the largest request body, in bytes.
        response_body: the largest response body that is buffered, in bytes.
        trust: a PEM file with the authorities that verify the upstream; None for the public ones.
        linger: how long the rest of an unread body may take after its response, in seconds.
        owner: whose connections to upstreams the flow may use.
        retries: how its attempts are judged; None: it has one attempt, and nothing is asked about it.
        reads_on: for how many seconds its response is read on after the client has left.
    """

    timeouts: Timeouts = field(default_factory=Timeouts)
    request_body: int = 50 * MIB
    response_body: int = 50 * MIB
    trust: str | None = None
    owner: str = ""
    linger: float = 2.0
    retries: Retries | None = None
    reads_on: float = 0.0


_DEFAULT_TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Policy:
    """The decisions of the program that embeds the engine.

    The last three are for flows whose terms have `retries`. They may return something to await. If one of
    them raises, the exchange fails; with a `WireError` it fails with that one.

    Attributes:
        response: makes the response for an error; its flow is None if the head could not be read.
        terms: returns the limits of a flow.
        retry: whether the request is sent again. Asked when an attempt has failed without a head, with each
            head before `responseheaders` (see `Retries.judges_all`), and when a body breaks off that is held.
            For True, the policy has written the next upstream into ``flow.request.data``, and has waited as
            long as it wants.
        holds: how long the beginning of this response is kept from the client; None: not at all. It is told
            the whole body of one that is already here.
        held: what to do with the beginning, for each further piece: empty at the end of the body, and None
            after a silence. For AGAIN, the policy has done the same as for True.
        new_flow: makes a flow. The engine sets the attributes of `EngineFlow`.
    """

    response: Callable[[WireError, http.HTTPFlow | None], http.Response] = plain_response
    terms: Callable[[http.HTTPFlow], Terms] = lambda _: _DEFAULT_TERMS
    retry: Callable[[http.HTTPFlow, AttemptReport], bool | Awaitable[bool]] = lambda *_: False
    holds: Callable[[http.HTTPFlow, AttemptReport], Hold | Awaitable[Hold | None] | None] = lambda *_: None
    held: Callable[[http.HTTPFlow, bytes | None], HeldStep | Awaitable[HeldStep]] = lambda *_: HeldStep.COMMIT
    new_flow: Callable[[], EngineFlow] = EngineFlow


@dataclass(frozen=True, slots=True)
class Options:
    """Limits of one worker; sizes are in bytes.

    Attributes:
        line_limit: the longest request line.
        head_limit: the longest request head.
        field_limit: the most header fields of a request.
        varying: headers, in lower case, whose value may vary while a client repeats its head, and the match
            of a value of at most 128 bytes.
        response_head_limit: the longest head of an upstream's response.
        read_ahead: how much of a body is read before it is needed.
        held_bytes: how much of whole bodies all exchanges may hold together; those of one owner, half of it.
        pipelined: the most queued requests of one connection.
        min_rate: the minimum rate of a body or a reader, in bytes per second.
        connections: the most client connections of a worker.
        in_flight: the most exchanges of a worker at a time.
        always_served: request targets that are served above `in_flight`.
        timeouts: the timeouts.
        drain_timeout: how long open exchanges may take after SIGTERM, in seconds.
        unrouted_address: the target of a flow that no addon has routed.
        tls: the files of certificate and key for clients; None for plain HTTP.
        balancers: networks of the load balancers whose connections begin with a header of the PROXY protocol
            v2; no other connection is served. None: connections have no header.
        proxy_authorization: the credentials for the proxy of a connection with `server.via`.
    """

    line_limit: int = 8 * KIB
    head_limit: int = 32 * KIB
    field_limit: int = 100
    varying: Mapping[bytes, Callable[[bytes], object]] = field(default_factory=dict)
    response_head_limit: int = 64 * KIB
    read_ahead: int = 64 * KIB
    held_bytes: int = 512 * MIB
    pipelined: int = 32
    min_rate: int = 1 * KIB
    connections: int = 10_000
    in_flight: int = 5_000
    always_served: frozenset[bytes] = frozenset()
    timeouts: Timeouts = field(default_factory=Timeouts)
    drain_timeout: float = 30.0
    unrouted_address: tuple[str, int] = UNROUTED
    tls: tuple[Path, Path] | None = None
    balancers: Sequence[Network] | None = None
    proxy_authorization: str | None = field(default=None, repr=False)
