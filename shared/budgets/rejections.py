"""The rejections of requests, and of the rest of a stream, by budgets."""

from datetime import UTC, datetime
from typing import Any, Final

from shared.core.errors import Rejection, make_rejection
from shared.limits.values import LimitState
from shared.model.amounts import amount_text, format_amount
from shared.model.budgets import Budget
from shared.providers.headers import SHOULD_RETRY

# A client that asks again gets the same until the period ends.
_HEADERS: Final = {SHOULD_RETRY: "false"}


def budget_spent(
    budget: Budget, state: LimitState, *, why_not_other: str = "", ends: bool = False
) -> Rejection:
    """The rejection of a request by a budget that has less left than the request may use.

    `why_not_other` says why no other model took its place. `ends`: it ends a stream that has begun.
    """
    limit = state.limit
    unit, number, left = limit.unit, limit.quota.limit, max(state.remaining, 0)
    used = number - state.remaining
    name = f"The budget '{budget.name}'"
    if ends:
        sentence = f"{name} has no more for this response: {_of(unit, used, number)} are used or reserved."
    elif left:
        sentence = (
            f"{name} has {amount_text(unit, left)} left of {amount_text(unit, number)}, and this request may "
            f"use {amount_text(unit, limit.cost)}. Ask for less output, or wait."
        )
    else:
        sentence = f"{name} is spent: {_of(unit, used, number)} are used or reserved."
    at = resets_at(limit.resets_at)
    again = f"It resets at {at}." if at else "It never resets: its limit must be raised."
    message = " ".join(part for part in (sentence, why_not_other, again) if part)
    details: dict[str, Any] = {
        "name": budget.name,
        "unit": unit,
        "limit": format_amount(unit, number),
        "used": format_amount(unit, used),
        "remaining": format_amount(unit, left),
        "requested": format_amount(unit, limit.cost),
        "resets_at": at,
    }
    return make_rejection("quota_exceeded", message, _HEADERS, details={"budget": details})


def price_unknown(budget: Budget, model: str) -> Rejection:
    """The rejection of a request whose price a budget would have to count, and which is not known."""
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


def _of(unit: str, used: int, number: int) -> str:
    """The used part of a limit, such as ``0.5 of 2 USD``."""
    return f"{format_amount(unit, used)} of {amount_text(unit, number)}"
