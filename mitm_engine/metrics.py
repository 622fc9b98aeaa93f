"""What a worker counts, ready to be exported."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Metrics:
    """Since the worker's start, but for the gauges `connections`, `in_flight` and `loop_lag`.

    `loop_lag` is how late the last sweep ran, `worst_lag` the latest of all, in seconds. `faults` counts the
    engine's own answers by code, `closed` the client connections that were cut, by reason.
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
