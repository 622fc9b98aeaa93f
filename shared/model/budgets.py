"""Budgets: how much the calls of a tenant may use in a period of the calendar.

All values are immutable. Amounts are integers: nano-USD (1e-9 USD), tokens or requests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

#: The units of a budget.
USD, TOKENS, REQUESTS = "usd", "tokens", "requests"
#: More units of a rate limit: the tokens of requests or of responses alone.
INPUT_TOKENS, OUTPUT_TOKENS = "input_tokens", "output_tokens"
#: The units of which only a request to a model uses any. How much is known when it has ended.
METERED = frozenset({USD, TOKENS, INPUT_TOKENS, OUTPUT_TOKENS})
#: The action for a request when nothing is left.
REJECT, ALERT, DOWNGRADE = "reject", "alert", "downgrade"
#: Whether a response ends when nothing is left, or is finished.
CUT, FINISH = "cut", "finish"
#: The side that made a budget, and may change it.
TENANT, PLATFORM = "tenant", "platform"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetScope:
    """The requests that a budget counts: those that have all of these. Empty: all of the tenant.

    Attributes:
        key: the id of an API key, or of the first one of those that replaced each other (`ApiKey.line`).
        user: the `user` of the key, never that of a request.
        model: a glob of models, matched like those of ``per_model``.
        provider: the name of a provider.
        rule: the id of a rule.
        tags: names and values of the key's metadata.
    """

    key: str | None = None
    user: str | None = None
    model: str | None = None
    provider: str | None = None
    rule: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Increase:
    """An amount that is added to a limit for a time.

    Attributes:
        amount: in the unit of the budget.
        until: when it ends, in seconds since the Unix epoch; None: never.
        by: the author.
        at: when it was made.
    """

    amount: int
    until: float | None = None
    by: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much of a unit may be used per period.

    Attributes:
        name: unique in the tenant.
        owner: `TENANT` or `PLATFORM`.
        scope: the requests that it counts.
        unit: `USD`, `TOKENS` or `REQUESTS`.
        limit: the amount per period, without increases.
        period: ``day``, ``week``, ``month``, ``quarter``, ``year``, ``total`` or a number of days (``30d``).
        timezone: the IANA name of the time zone in which a period begins at midnight.
        starts: the first day of the first period (``2026-12-01``), for ``total`` and numbers of days.
        on_spent: `REJECT`, `ALERT` or `DOWNGRADE`.
        downgrade_to: the model that takes the place of the one asked for.
        at: the percentages of the limit that raise an alert, in order.
        overrun: `CUT` or `FINISH`.
        on_error: the choice while Redis does not respond: ``local``, ``closed`` or ``open``.
        reserve: the output that is reserved when a request says none: ``p95`` or ``max``.
        cap_output: whether `max_tokens` is lowered to what is left.
        unpriced: `REJECT` or ``allow`` calls without a known price.
        increases: added to the limit while they last.
    """

    id: str
    name: str
    owner: str = TENANT
    scope: BudgetScope = BudgetScope()
    unit: str
    limit: int
    period: str
    timezone: str = "UTC"
    starts: str | None = None
    on_spent: str = REJECT
    downgrade_to: str | None = None
    at: tuple[int, ...] = ()
    overrun: str = CUT
    on_error: str = "local"
    reserve: str = "p95"
    cap_output: bool = False
    unpriced: str = REJECT
    increases: tuple[Increase, ...] = ()
    created_at: float = 0.0
    updated_at: float = 0.0
    tags: tuple[str, ...] = ()
