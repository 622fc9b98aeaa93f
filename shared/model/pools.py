"""The configuration of pools: how one of several targets is chosen, and when another one is tried.

All values are immutable. Durations are seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shared.model.rule_timeouts import RuleTimeouts
from shared.model.sealed import Sealed


class Strategy(StrEnum):
    """The order in which the targets of one priority are tried."""

    WEIGHTED = "weighted"
    LATENCY = "latency"
    LEAST_BUSY = "least_busy"
    ORDER = "order"


class RetryOn(StrEnum):
    """A failure of a target after which another one may be tried.

    CONNECT: no connection: refused, DNS, TLS, timeout.
    RESET: the request was sent, and the connection ended before the first byte of a response.
    TIMEOUT: the first byte is late.
    RATE_LIMIT: 429.
    OVERLOADED: 503 or 529.
    SERVER_ERROR: 500, 502 or 504.
    AUTH: 401 or 403 for the gateway's own key; the next key of the provider is always tried.
    STREAM_START: 200, and then an error, the end, or silence before the first content.
    """

    CONNECT = "connect"
    RESET = "reset"
    TIMEOUT = "timeout"
    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    AUTH = "auth"
    STREAM_START = "stream_start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Affinity:
    """How the calls of one conversation are kept at one target, so that its prompt cache is used.

    Attributes:
        by: sources of the key; the first that a request has counts: ``header:<name>``,
            ``prompt_cache_key``, ``user_id``, ``prefix``.
        spill: a target takes more than this multiple of the mean load only if all others do.
    """

    by: tuple[str, ...] = ("prompt_cache_key", "user_id", "prefix")
    spill: float = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When another target, or the same one, is tried.

    Attributes:
        attempts: the most calls that reach a target for one request.
        on: the failures after which one more is made.
        within: the longest wait before a target is tried again, also if it says when.
        backoff: the wait before a target is tried again, if it does not say when; it doubles each time.
    """

    attempts: int = 3
    on: tuple[RetryOn, ...] = (RetryOn.CONNECT,)
    within: float = 30.0
    backoff: float = 0.05


#: The failures after which a model tries another target, unless it says otherwise. After RESET and TIMEOUT
#: the first target may have generated, and may bill, a response.
AI_RETRY = Retry(
    on=(
        RetryOn.CONNECT,
        RetryOn.OVERLOADED,
        RetryOn.RATE_LIMIT,
        RetryOn.SERVER_ERROR,
        RetryOn.STREAM_START,
        RetryOn.RESET,
        RetryOn.TIMEOUT,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When a target is no longer tried, and for how long.

    Attributes:
        consecutive: so many failures in a row open it.
        rate: so large a part of failures among the last calls opens it.
        of: the fewest calls within `window` for `rate` to count.
        window: the seconds that a call counts.
        open: the seconds it is open at first; each time in a row twice as long.
        longest: the most seconds it is open.
    """

    consecutive: int = 5
    rate: float = 0.5
    of: int = 20
    window: float = 30.0
    open: float = 10.0
    longest: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """How long the beginning of a stream is held back, while another target could still be tried.

    Attributes:
        until: ``content``: up to the first text. ``head``: not at all.
        bytes, time: more is not held back.
    """

    until: str = "content"
    bytes: int = 65_536
    time: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """A probe of each target.

    Attributes:
        path: the path to get; None: no probes.
        ok: the status codes of a target that can serve.
    """

    path: str | None = None
    interval: float = 10.0
    timeout: float = 2.0
    ok: tuple[int, ...] = (200,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPolicy:
    """How a target of a pool is chosen, and when another one is tried. `affinity` None is none."""

    strategy: Strategy = Strategy.WEIGHTED
    affinity: Affinity | None = None
    retry: Retry = Retry()
    breaker: Breaker = Breaker()
    hold: Hold = Hold()
    health: HealthCheck = HealthCheck()


#: The policy of a model that names none.
AI_POLICY = PoolPolicy(affinity=Affinity(), retry=AI_RETRY)


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlTarget:
    """An upstream of a rule, as one target of its pool. `headers` are sealed for its own origin."""

    url: str
    weight: int = 1
    priority: int = 0
    headers: Mapping[str, Sealed] = field(default_factory=dict)
    timeouts: RuleTimeouts = field(default_factory=RuleTimeouts)
