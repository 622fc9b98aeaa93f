"""What clients are told when a budget rejects a request or ends a stream."""

from datetime import UTC, datetime
from typing import Any, Final

from shared.core.errors import Rejection, make_rejection
from shared.limits.values import LimitState
from shared.model.amounts import amount_text, format_amount
from shared.model.budgets import Budget
from shared.providers.headers import SHOULD_RETRY

# A client that asks again gets the same until the period ends.
_HEADERS: Final = {SHOULD_RETRY: "false"}


def spent(budget: Budget, state: LimitState, *, instead: str = "", ends: bool = False) -> Rejection:
    """The rejection of a request by a budget that has less left than the request may use.

    `instead` says why no other model took its place. `ends`: it ends a stream that has begun.
    """
    limit = state.limit
    unit, number, left = limit.unit, limit.quota.limit, max(state.remaining, 0)
    used = number - state.remaining
    name = f"The budget '{budget.name}'"
    if ends:
        sentence = f"{name} has no more for this response: {_share(unit, used, number)} are used or reserved."
    elif left:
        sentence = (
            f"{name} has {amount_text(unit, left)} left of {amount_text(unit, number)}, and this request may "
            f"use {amount_text(unit, limit.cost)}. Ask for less output, or wait."
        )
    else:
        sentence = f"{name} is spent: {_share(unit, used, number)} are used or reserved."
    at = resets_at(limit.resets_at)
    again = f"It resets at {at}." if at else "It never resets: its limit must be raised."
    message = " ".join(part for part in (sentence, instead, again) if part)
    rejection = make_rejection("quota_exceeded", message, _HEADERS)
    details: dict[str, Any] = {
        "name": budget.name,
        "unit": unit,
        "limit": format_amount(unit, number),
        "used": format_amount(unit, used),
        "remaining": format_amount(unit, left),
        "requested": format_amount(unit, limit.cost),
        "resets_at": at,
    }
    return Rejection(
        rejection.status, rejection.code, message, headers=rejection.headers, details={"budget": details}
    )


def price_unknown(budget: Budget, model: str) -> Rejection:
    """The rejection of a request whose price a budget would have to count, and nobody knows."""
    return make_rejection(
        "unpriced_model",
        f"The price of the model {model} is not known, and the budget '{budget.name}' counts money. Set the "
        "price of the model, or let the budget allow models without one.",
    )


def resets_at(milliseconds: int) -> str | None:
    """The time at which a period ends, in UTC; None if it never does.

    >>> resets_at(1_798_761_600_000), resets_at(0)
    ('2027-01-01T00:00:00Z', None)
    """
    if not milliseconds:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _share(unit: str, used: int, number: int) -> str:
    """How much of a limit, such as ``0.5 of 2 USD``."""
    return f"{format_amount(unit, used)} of {amount_text(unit, number)}"
