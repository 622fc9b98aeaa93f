"""Rate limits as values: how much, of what, and what a limiter said.

Requests in a time are counted by a bucketed sliding window, requests at a time by leases. Both are
explained in docs/rate-limiting.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

#: What a wait is when no wait helps: the cost is above the limit.
NEVER = -1
#: The kinds of limits: requests in a time, requests at a time.
WINDOW, CONCURRENT = "window", "concurrent"
#: What holds for a limit while the store does not answer: counts of this process, admission, refusal.
LOCAL, OPEN, CLOSED = "local", "open", "closed"
#: Nobody knows when a place at a time becomes free, so a refused client is told to wait so long.
CONCURRENT_RETRY_MS = 1000


@dataclass(frozen=True, slots=True)
class Quota:
    """`limit` requests in any window of `window_ms` milliseconds. A limit of 0 blocks.

    Of a concurrent limit: `limit` requests at a time, whose leases last `window_ms` milliseconds unless
    they are renewed.
    """

    limit: int
    window_ms: int


@dataclass(frozen=True, slots=True)
class Limit:
    """One counter that a request is charged to.

    `key` names the counter in the store and never holds the number, so that editing the number keeps
    the usage. `scope` (``rule`` or ``gateway``) and `name` (``global``, ``per_ip``, …) are what the
    client is told. `cost` is what this request uses of a window, in whole requests. `lease` is the name,
    unique an exchange, under which it holds its place in a concurrent limit. `on_error` says what holds
    while the store does not answer: ``local``, ``open`` or ``closed``. `label` is its name in headers, where
    that of scope and name is not enough.
    """

    key: str
    quota: Quota
    scope: str
    name: str
    window: str
    cost: int = 1
    kind: str = WINDOW
    lease: str = ""
    on_error: str = LOCAL
    label: str = ""

    @property
    def units(self) -> int:
        """How much of the limit one request takes: its cost, or one place."""
        return 1 if self.kind == CONCURRENT else self.cost


class LimitState(NamedTuple):
    """A counter after a decision: how much is left, and how long until there is more.

    `reset_after_ms` is the wait until something frees up; when less is left than the limit's cost, until
    a request of that cost has room (`NEVER` when it never has). 0 when nothing is used, and of a
    concurrent limit, where nobody knows. Before a charge, the places of a concurrent limit that remain
    include the one that the request holds already.
    """

    limit: Limit
    remaining: int
    reset_after_ms: int

    @property
    def has_room(self) -> bool:
        """True when another request of the same cost would be admitted now."""
        return self.remaining >= self.limit.units

    @property
    def retry_after_ms(self) -> int:
        """What a client waits that this limit refused, or `NEVER`."""
        if self.limit.kind == CONCURRENT and self.reset_after_ms != NEVER:
            return CONCURRENT_RETRY_MS
        return self.reset_after_ms


class Decision(NamedTuple):
    """What a limiter says about one request.

    `violated` is the first limit without room in the order given, None when the request is admitted.
    `retry_after_ms` is the longest wait of all violated limits; `NEVER` (-1) means that the cost is above
    one of them. `states` has one entry a limit, in the order given. `degraded` is True when the store did
    not answer and this process decided alone. `charged_at` is when the limits were charged, in microseconds
    by the clock of whoever counted; 0 when they were not.
    """

    allowed: bool
    states: Sequence[LimitState]
    violated: Limit | None = None
    retry_after_ms: int = 0
    degraded: bool = False
    charged_at: int = 0


def label_of(scope: str, name: str) -> str:
    """What headers call a limit.

    >>> label_of("gateway", "per_ip"), label_of("rule", "global")
    ('gw-per_ip', 'rule-global')
    """
    return f"{'gw' if scope == 'gateway' else scope}-{name}"


def decide(states: Sequence[LimitState]) -> Decision:
    """The decision that follows from the counters as they are before anything is charged."""
    spent = [state for state in states if not state.has_room]
    if not spent:
        return Decision(True, states)
    waits = [state.retry_after_ms for state in spent]
    return Decision(False, states, spent[0].limit, NEVER if NEVER in waits else max(waits))
