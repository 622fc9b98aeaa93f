"""The counters of a worker."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Metrics:
    """Counters since the start of the worker, and gauges.

    Attributes:
        connections: open client connections (a gauge).
        accepted: client connections.
        in_flight: open exchanges (a gauge).
        requests: requests, without those that were rejected.
        rejected: requests above the limit of exchanges.
        pool_hits: requests on an idle connection to the upstream.
        pool_misses: requests that needed a new connection to the upstream.
        upstream_connections: connections to upstreams (a gauge).
        loop_lag: how late the last check of the deadlines ran, in seconds (a gauge).
        worst_lag: the largest `loop_lag`.
        faults: errors of the engine, by code.
        closed: client connections that were cut, by reason.
    """

    connections: int = 0
    accepted: int = 0
    in_flight: int = 0
    requests: int = 0
    rejected: int = 0
    pool_hits: int = 0
    pool_misses: int = 0
    upstream_connections: int = 0
    loop_lag: float = 0.0
    worst_lag: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
