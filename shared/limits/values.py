"""Rate limits as values: limits as settings name them, counters, and what a limiter decides.

Requests, tokens and money per window are counted by a bucketed sliding window, concurrent requests by leases.
Both are explained in docs/explanation/limits.md. A budget is one number for a period of the calendar: a
request reserves an amount under a lease, and what it used in the end is settled with its row of the ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from shared.core.empty import EMPTY
from shared.core.globs import matches_path
from shared.model.budgets import METERED, REQUESTS
from shared.model.messages import Request

#: The wait when no wait helps: the cost is above the limit.
NEVER = -1
#: The kinds of limits: requests per window, concurrent requests, and what may be used in a period.
WINDOW, CONCURRENT, BUDGET = "window", "concurrent", "budget"
#: The largest number that a script counts exactly. A budget with this limit counts and never rejects.
MAX_UNITS = 2**53 - 1
#: The choices for a limit while Redis does not respond: counts of this process, admission, rejection.
LOCAL, OPEN, CLOSED = "local", "open", "closed"
#: The wait after a rejection by a concurrent limit: when a slot becomes free is not known.
CONCURRENT_RETRY_MS = 1000

# Values that a client can choose anew with each request, without end.
_CHOSEN = frozenset({"method", "path", "model", "header"})


@dataclass(frozen=True, slots=True)
class Quota:
    """`limit` units in any window of `window_ms` milliseconds. A limit of 0 blocks.

    In a concurrent limit: `limit` requests at a time. A lease lasts `window_ms` milliseconds unless it is
    renewed. In a budget: `limit` units in its period, reserved under such leases.
    """

    limit: int
    window_ms: int


@dataclass(frozen=True, slots=True)
class LimitSpec:
    """A limit as settings describe it.

    Attributes:
        name: what clients see: ``global``, ``per_ip``, ``per_header:X-Team`` ...
        quota: how many units in which window.
        by: requests that are equal in all of these share a counter: ``ip``, ``key``, ``method``,
            ``path``, ``model``, or ``header:<name in lower case>``.
        kind: ``window`` or ``concurrent``.
        on_missing: for requests without the header: ``shared`` (one counter for all of them), ``skip``
            (not counted) or ``deny`` (rejected).
        glob: a limit of models counts those whose first match in `globs` is this one, as they are written or
            in any case.
        globs: all globs of models of the same settings, the most precise first.
        unit: what is counted, such as ``requests``; money in nano-USD.
    """

    name: str
    quota: Quota
    _: KW_ONLY
    by: tuple[str, ...] = ()
    kind: str = WINDOW
    on_missing: str = "shared"
    glob: str = ""
    globs: tuple[str, ...] = ()
    unit: str = REQUESTS

    @property
    def is_metered(self) -> bool:
        """True when it counts what requests to models use, and not the requests."""
        return self.unit in METERED

    @property
    def is_client_chosen(self) -> bool:
        """True when a client chooses the counter by what it sends."""
        return any(one.partition(":")[0] in _CHOSEN for one in self.by)


@dataclass(frozen=True, slots=True)
class LimitMatch:
    """The requests that a limit counts: of these methods, below these paths. Empty means all.

    `paths` are globs for the normalized path, as `globs.matches_path` reads them.
    """

    methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def takes(self, request: Request) -> bool:
        """True when the limit counts this request."""
        if self.methods and request.method not in self.methods:
            return False
        return not self.paths or any(matches_path(glob, request.path) for glob in self.paths)

    @property
    def text(self) -> str:
        """A text that is equal for equal sets of requests; empty for all requests."""
        if self == EVERY:
            return ""
        return f" {','.join(sorted({*self.methods}))} {' '.join(sorted({*self.paths}))}"


#: All requests.
EVERY = LimitMatch()


@dataclass(frozen=True, slots=True)
class Limit:
    """One counter that a request is charged to.

    Attributes:
        key: the counter's key in Redis. Without the quota, so that a changed limit keeps its usage.
            That of a budget is `budget_key`.
        scope: ``rule``, ``gateway`` or ``budget``, as clients see it.
        name: ``global``, ``per_ip``, … or that of the budget, as clients see it.
        window: the window as text; empty for a concurrent limit and a budget.
        cost: what this request uses of a window, or reserves in a budget, in the unit.
        lease: the name under which an exchange holds its slot in a concurrent limit, or what it reserved in a
            budget. Unique; in a budget it is the id of the exchange's row in the ledger.
        on_error: the choice while Redis does not respond: ``local``, ``open`` or ``closed``.
        label: the name in headers; empty when scope and name are enough.
        resets_at: the end of a budget's period, in milliseconds since the Unix epoch; 0: it has no end.
        unit: what is counted, such as ``requests``; money in nano-USD.
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
    resets_at: int = 0
    unit: str = REQUESTS

    @property
    def units(self) -> int:
        """The part of the limit that one request uses: its cost, or one slot."""
        return 1 if self.kind == CONCURRENT else self.cost


class LimitState(NamedTuple):
    """A counter after a decision: how much is left, and the time until there is more.

    `reset_after_ms` ends when something is freed. When less is left than the limit's cost, it ends when
    such a request has room (`NEVER`: it never has). It is 0 when nothing is used, and for a concurrent
    limit. Before a charge, `remaining` of a concurrent limit includes the slot that the request holds.

    For a budget, `reset_after_ms` ends with the period (`NEVER`: it has no end, or less than the cost as its
    limit), and `remaining` is below 0 when more was used than its limit.
    """

    limit: Limit
    remaining: int
    reset_after_ms: int

    @property
    def used(self) -> int:
        """The amount that counts of the limit: in a budget what is used and what is reserved."""
        return self.limit.quota.limit - self.remaining

    @property
    def has_room(self) -> bool:
        """True when another request of the same cost would be admitted now."""
        return self.remaining >= self.limit.units

    @property
    def retry_after_ms(self) -> int:
        """The milliseconds that a client waits after this limit rejected it, or `NEVER`."""
        if self.limit.kind == CONCURRENT and self.reset_after_ms != NEVER:
            return CONCURRENT_RETRY_MS
        return self.reset_after_ms


class Decision(NamedTuple):
    """The decision of a limiter about one request.

    Attributes:
        allowed: the request is admitted.
        states: the state of each limit, in the order given.
        violated: the first limit without room; None when the request is admitted.
        retry_after_ms: the longest wait of the limits without room; `NEVER` when one has less than the cost.
        degraded: Redis did not respond, and this process decided alone.
        charged_at: the time of the charge, in microseconds of the counting clock; 0 without one.
        charged: for a rejection, the units that count in each window, by the key of the limit and by bucket
            (`sliding_window`), if they are known.
        decided_at: the time of that, in microseconds of the counting clock.
    """

    allowed: bool
    states: Sequence[LimitState]
    violated: Limit | None = None
    retry_after_ms: int = 0
    degraded: bool = False
    charged_at: int = 0
    charged: Mapping[str, Mapping[int, int]] = EMPTY
    decided_at: int = 0


def budget_name(budget_id: str, begin: int) -> str:
    """The name of a budget in the period that begins then, in seconds since the Unix epoch: rows have it."""
    return f"{budget_id}:{begin}"


def budget_begin(name: str) -> int | None:
    """The begin of the period in a `budget_name`; None for a name of another form.

    >>> budget_begin("bud_1:1796083200"), budget_begin("bud_1")
    (1796083200, None)
    """
    begin = name.rpartition(":")[2]
    return int(begin) if begin.removeprefix("-").isdecimal() else None


def budget_key(tenant_id: str, name: str) -> str:
    """The key of a budget with that `budget_name`.

    The tenant's id is the hash tag, as in the keys of other limits.
    """
    return f"bud:{{{tenant_id}}}:{name}"


def budget_keys(key: str) -> tuple[str, str, str, str]:
    """The keys of the budget with that `budget_key`: its numbers, leases, their amounts, and the lost leases.

    `limits/redis/budget.lua` says what is in them.
    """
    return key, f"{key}:leases", f"{key}:amounts", f"{key}:lost"


def label_of(scope: str, name: str) -> str:
    """The name of a limit in headers.

    >>> label_of("gateway", "per_ip"), label_of("rule", "global")
    ('gw-per_ip', 'rule-global')
    """
    return f"{'gw' if scope == 'gateway' else scope}-{name}"


def decide(states: Sequence[LimitState]) -> Decision:
    """The decision that follows from the counters before anything is charged."""
    spent = [state for state in states if not state.has_room]
    if not spent:
        return Decision(True, states)
    retry_after = [state.retry_after_ms for state in spent]
    return Decision(False, states, spent[0].limit, NEVER if NEVER in retry_after else max(retry_after))
