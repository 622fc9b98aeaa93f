"""What an engine is told at its start, and what it is told for each flow."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mitmproxy import http

from mitm_engine.wire_error import WireError, plain_response

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Longest waits, in seconds.

    `head`: until a request's head is whole, counted from the connection's start or the head's first byte.
    `grace`: a body, or a reader, slower than `Options.min_rate` bytes a second is cut after this time.
    `keep_alive`: between two requests of a connection. `connect`: TCP and TLS to the upstream.
    `first_byte`: from the last byte of the request to the head of the answer. `idle`: between two pieces
    of an answer. `total`: a whole exchange with the upstream, None for no bound. `hook`: all addons at one
    hook.
    """

    head: float = 10.0
    grace: float = 10.0
    keep_alive: float = 75.0
    connect: float = 5.0
    first_byte: float = 300.0
    idle: float = 300.0
    total: float | None = None
    hook: float = 60.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for one flow. Asked once, after `requestheaders`.

    `request_body` and `response_body` are the largest bodies that are buffered, in bytes. `trust` names a PEM
    file with the certificate authorities that the upstream is verified with, None for the public ones.
    """

    timeouts: Timeouts = field(default_factory=Timeouts)
    request_body: int = 20 * MIB
    response_body: int = 20 * MIB
    trust: str | None = None


_DEFAULT_TERMS = Terms()


def _same_terms(flow: http.HTTPFlow) -> Terms:
    return _DEFAULT_TERMS


@dataclass(frozen=True, slots=True)
class Policy:
    """What whoever embeds the engine decides for a flow.

    `response` puts a fault into an answer (None: there is no flow, since the head could not be read).
    `terms` gives what holds for a flow.
    """

    response: Callable[[WireError, http.HTTPFlow | None], http.Response] = plain_response
    terms: Callable[[http.HTTPFlow], Terms] = _same_terms


@dataclass(frozen=True, slots=True)
class Options:
    """Limits of one worker. Sizes are in bytes.

    Attributes:
        line_limit: the longest request line.
        head_limit: the longest request head.
        field_limit: the most header fields of a request.
        answer_head_limit: the longest head of an upstream's response.
        read_ahead: how much is read of a body before it is asked for.
        pipelined: the most requests that wait on one connection.
        min_rate: the slowest body or reader, in bytes per second.
        connections: the most client connections of a worker.
        in_flight: the most exchanges of a worker at a time.
        always_served: request targets that are served above `connections` and `in_flight`.
        timeouts: the longest waits.
        drain_timeout: how long open exchanges may take after SIGTERM, in seconds.
        unrouted_address: where a flow leads that no addon has routed.
        tls: the files of certificate and key for clients, None for plain HTTP.
    """

    line_limit: int = 8 * KIB
    head_limit: int = 32 * KIB
    field_limit: int = 100
    response_head_limit: int = 64 * KIB
    read_ahead: int = 64 * KIB
    pipelined: int = 32
    min_rate: int = 1 * KIB
    connections: int = 10_000
    in_flight: int = 5_000
    always_served: frozenset[bytes] = frozenset()
    timeouts: Timeouts = field(default_factory=Timeouts)
    drain_timeout: float = 30.0
    unrouted_address: tuple[str, int] = ("gateway.invalid", 80)
    tls: tuple[Path, Path] | None = None
