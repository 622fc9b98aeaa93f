"""Rate limits as values: how much, of what, and what a limiter said.

The algorithm is a bucketed sliding window. It and its figures are explained in docs/rate-limiting.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

#: What a wait is when no wait helps: the cost is above the limit.
NEVER = -1


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
    """A counter after a decision: how much is left, and how long until there is more.

    `reset_after_ms` is the wait until something frees up; when less is left than the limit's cost, until
    a request of that cost has room (`NEVER` when it never has). 0 when nothing is used.
    """

    limit: Limit
    remaining: int
    reset_after_ms: int

    @property
    def has_room(self) -> bool:
        """True when another request of the same cost would be admitted now."""
        return self.remaining >= self.limit.cost


@dataclass(frozen=True, slots=True)
class Decision:
    """What a limiter says about one request.

    `violated` is the first limit without room in the order given, None when the request is admitted.
    `retry_after_ms` is the longest wait of all violated limits; `NEVER` (-1) means that the cost is above
    one of them. `states` has one entry a limit, in the order given.
    """

    allowed: bool
    states: Sequence[LimitState]
    violated: Limit | None = None
    retry_after_ms: int = 0


def decide(states: Sequence[LimitState]) -> Decision:
    """The decision that follows from the counters as they are before anything is charged."""
    spent = [state for state in states if not state.has_room]
    if not spent:
        return Decision(True, states)
    waits = [state.reset_after_ms for state in spent]
    return Decision(False, states, spent[0].limit, NEVER if NEVER in waits else max(waits))
