"""The use of budgets, as the settles of this worker show it: for alerts and metrics."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.alerts.alert import Alert, budget_reached
from shared.budgets.reservation import Reservation
from shared.core.memo import BoundedDict
from shared.limits.values import budget_begin
from shared.model.budgets import Budget
from shared.model.config import Tenant

#: The budgets and periods that are watched. A full watch begins anew; an alert that it repeats is added once.
MAX_WATCHED: Final = 4_096
#: A budget whose limit is reached raises an alert, too.
_REACHED: Final = 100


@dataclass(slots=True, kw_only=True)
class _Watched:
    """A budget in a period.

    Attributes:
        budget: the budget.
        tenant: the name of the tenant in metrics.
        limit: its limit, as it was when a request was admitted last.
        ends: the end of the period in seconds since the Unix epoch; None: it has none.
        used: what it has counted.
        alerted: the highest percentage that raised an alert.
    """

    budget: Budget
    tenant: str
    limit: int
    ends: float | None
    used: int = 0
    alerted: int = 0


class BudgetWatch:
    """Tells when a budget reaches its percentages. `now` is the time in seconds since the Unix epoch."""

    def __init__(self, tell: Callable[[Alert], None], now: Callable[[], float]) -> None:
        self._tell, self._now = tell, now
        self._watched = BoundedDict[tuple[str, str], _Watched](MAX_WATCHED)

    def note(self, tenant: Tenant, reservation: Reservation) -> None:
        """Watch the budgets that a request of the tenant has reserved in."""
        for hold, state in zip(reservation.holds, reservation.states, strict=True):
            name, limit = (tenant.id, hold.name), state.limit.quota.limit
            known = self._watched.get(name)
            if known is None:
                ends = hold.limit.resets_at / 1000 or None
                watched = _Watched(
                    budget=hold.compiled.budget, tenant=tenant.subdomain, limit=limit, ends=ends
                )
                self._watched.keep(name, watched)
            else:
                known.budget, known.limit = hold.compiled.budget, limit

    def settled(self, tenant_id: str, name: str, used: int) -> None:
        """A budget, by its name in rows, has used so much."""
        one = self._watched.get((tenant_id, name))
        if one is None:
            return
        one.used = used
        for percent in sorted({*one.budget.at, _REACHED}):
            if percent > one.alerted and used * 100 >= percent * one.limit:
                one.alerted = percent
                self._tell(self._alert(tenant_id, name, one, percent))

    def _alert(self, tenant_id: str, name: str, one: _Watched, percent: int) -> Alert:
        return budget_reached(
            tenant=tenant_id,
            budget_id=one.budget.id,
            name=one.budget.name,
            unit=one.budget.unit,
            percent=percent,
            used=one.used,
            limit=one.limit,
            began=float(budget_begin(name) or 0),
            ends=one.ends,
            at=self._now(),
        )

    def ratios(self, most: int) -> list[tuple[str, str, float]]:
        """The budgets whose use of their limit is highest: the tenant, the name, and the ratio."""
        now = self._now()
        found = [
            (one.tenant, one.budget.name, one.used / one.limit)
            for one in self._watched.values()
            if one.limit and (one.ends is None or now < one.ends)
        ]
        return heapq.nlargest(most, found, key=lambda one: one[2])
