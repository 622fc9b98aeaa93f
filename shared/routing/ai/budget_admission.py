"""Begins the admission of a request to a model by the budgets of its rule.

A budget that is spent may name another model, which is resolved as if the client had asked for it.
"""

from shared.budgets.admission import BudgetAdmission, ModelRequest
from shared.budgets.demand import NOTHING, Demand
from shared.budgets.output_cap import least_output
from shared.budgets.reservation import Reservation
from shared.core.errors import Rejection
from shared.model.config import ApiKey
from shared.model.messages import Exchange
from shared.providers.resolve import Resolution
from shared.providers.usage_fields import USAGE_FIELDS
from shared.routing.ai_exchange import AiExchange
from shared.routing.ai_route import ModelPool


def budget_admission_of(exchange: Exchange, id: str, now: float) -> BudgetAdmission | None:
    """The admission of a request by the budgets of its rule; None if it uses nothing of them."""
    ai = exchange.metered
    return budget_admission(ai, exchange.key, id, now) if isinstance(ai, AiExchange) else None


def budget_admission(ai: AiExchange, key: ApiKey | None, id: str, now: float) -> BudgetAdmission | None:
    """The admission of a request to a model; None if it uses nothing of budgets.

    `id` is that of its row, and `now` the time of Redis.
    """
    resolution, pool, call = ai.resolution, ai.pool, ai.call
    if resolution is None or pool is None or call.id is not None or call.api not in USAGE_FIELDS:
        return None
    others: dict[str, tuple[Resolution, ModelPool]] = {}

    def with_model(name: str) -> ModelRequest | Rejection:
        found = ai.route.resolve(name, call.api, key)
        if isinstance(found, Rejection):
            return found
        others[name] = found
        demand = ai.estimate(found[1], found[0].asked)
        return _request(*found, ai, demand)

    def take(reservation: Reservation) -> None:
        ai.admit(reservation, others[reservation.model] if reservation.model else None)

    demand = NOTHING if ai.route.budgets.counts_requests else ai.demand
    request = _request(resolution, pool, ai, demand)
    return BudgetAdmission(ai.route.budgets, key, request, with_model, id=id, now=now, admitted=take)


def _request(resolution: Resolution, pool: ModelPool, ai: AiExchange, demand: Demand) -> ModelRequest:
    """A request to the targets of a pool, as budgets see it."""
    api, document, asked = ai.call.api, ai.document, resolution.asked
    return ModelRequest(
        api=api,
        asked=asked,
        names=lambda: resolution.names,
        targets=lambda: [one.candidate(asked) for one in pool.targets.values()],
        demand=demand,
        least_output=least_output(api, document) if ai.route.budgets.cap_output else None,
        choices=demand.choices,
    )
