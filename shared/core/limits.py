"""Rate limits as values: how much, of what, and what a limiter said.

The algorithm is a bucketed sliding window. It and its figures are explained in docs/rate-limiting.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quota:
    """`limit` requests in any window of `window_ms` milliseconds. A limit of 0 blocks."""

    limit: int
    window_ms: int


@dataclass(frozen=True, slots=True)
class Limit:
    """One counter that a request is charged to.

    `key` names the counter in the store and never holds the number, so that editing the number keeps
    the usage. `scope` (``rule`` or ``gateway``) and `name` (``global``, ``per_ip``, …) are what the
    client is told. `cost` is what this request uses, in whole requests.
    """

    key: str
    quota: Quota
    scope: str
    name: str
    window: str
    cost: int = 1


@dataclass(frozen=True, slots=True)
class LimitState:
    """A counter after a decision: how much is left, and in how many milliseconds something frees up."""

    limit: Limit
    remaining: int
    reset_after_ms: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What a limiter says about one request.

    `violated` is the first limit without room in the order given, None when the request is admitted.
    `retry_after_ms` is the longest wait of all violated limits; -1 means never (the cost is above the
    limit). `states` has one entry a limit, in the order given.
    """

    allowed: bool
    states: Sequence[LimitState]
    violated: Limit | None = None
    retry_after_ms: int = 0
