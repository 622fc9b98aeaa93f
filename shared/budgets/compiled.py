"""Budgets as a rule uses them: which requests they count, and as which limits.

A request has several targets that may serve it. A budget of a model or a provider counts it if any of them is
of that model or provider: so no target is called whose budget was not asked. In the end only the budgets of
the target that served count what was used.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from shared.budgets.periods import effective_limit, period_of
from shared.core.globs import matches_glob
from shared.core.memo import BoundedDict
from shared.limits.values import BUDGET, MAX_UNITS, Limit, Quota, budget_key, budget_name
from shared.model.budgets import ALERT, REQUESTS, Budget
from shared.model.config import ApiKey

#: How long a reservation holds, in milliseconds, unless it is renewed: that of a worker that has died ends.
LEASE_MS: Final = 60_000
# Choices of budgets that are kept per rule: clients choose the names of models.
_MAX_KEPT: Final = 1_000


class Candidate(NamedTuple):
    """A target that may serve a request.

    Attributes:
        provider: the name of its provider.
        names: the names of its model, with and without the provider, and the name that was asked for.
    """

    provider: str
    names: tuple[str, ...]


class Present(NamedTuple):
    """A budget from `since` until before `until`, in which nothing of it changes.

    Attributes:
        since, until: seconds since the Unix epoch.
        name: its name in rows of the ledger that are reserved then.
        key: that of its limit.
        number: its limit, with increases.
        quota: the same as the limiter has it; of a budget that never rejects, the largest one.
        resets_at: the end of its period in milliseconds; 0: it has none.
    """

    since: float
    until: float
    name: str
    key: str
    number: int
    quota: Quota
    resets_at: int


#: The demand on a budget that never rejects.
_COUNTS_ONLY: Final = Quota(MAX_UNITS, LEASE_MS)


class CompiledBudget:
    """A budget of a tenant, as it is at present.

    Attributes:
        budget: the budget as stored.
        asks: whether it may reject a request. Another one only counts.
    """

    __slots__ = ("_glob", "_present", "_tenant_id", "asks", "budget")

    def __init__(self, budget: Budget, tenant_id: str) -> None:
        self.budget = budget
        self.asks = budget.on_spent != ALERT
        self._tenant_id = tenant_id
        self._glob = None if budget.scope.model is None else budget.scope.model.casefold()
        self._present: Present | None = None

    def counts_rule(self, rule_id: str) -> bool:
        """Whether it counts requests to a rule."""
        return self.budget.scope.rule in (None, rule_id)

    def counts_key(self, key: ApiKey | None) -> bool:
        """Whether it counts requests with an API key, or without one."""
        scope = self.budget.scope
        if key is None:
            return scope.key is None and scope.user is None and not scope.tags
        return (
            scope.key in (None, key.line)
            and scope.user in (None, key.user)
            and all(key.metadata.get(name) == value for name, value in scope.tags.items())
        )

    def counts_target(self, target: Candidate) -> bool:
        """Whether it counts a request that this target serves. The case of names does not matter."""
        if self.budget.scope.provider not in (None, target.provider):
            return False
        glob = self._glob
        return glob is None or any(matches_glob(glob, name.casefold()) for name in target.names)

    def at(self, now: float) -> Present:
        """The budget at the time `now`, in seconds since the Unix epoch."""
        present = self._present
        if present is None or not present.since <= now < present.until:
            present = self._present = self._work_out(now)
        return present

    def _work_out(self, now: float) -> Present:
        budget, (start, end) = self.budget, period_of(self.budget, now)
        changes = [one.until for one in budget.increases if one.until is not None and one.until > now]
        name, number = budget_name(budget.id, start), min(effective_limit(budget, now), MAX_UNITS)
        return Present(
            since=now,
            until=min([*changes, math.inf if end is None else end]),
            name=name,
            key=budget_key(self._tenant_id, name),
            number=number,
            quota=Quota(number, LEASE_MS) if self.asks else _COUNTS_ONLY,
            resets_at=0 if end is None else end * 1_000,
        )

    def limit(self, amount: int, lease: str, now: float, *, asks: bool = True) -> Limit:
        """The limit that reserves an amount under a lease. Unless it `asks`, it never rejects."""
        budget, present = self.budget, self.at(now)
        return Limit(
            present.key,
            present.quota if asks else _COUNTS_ONLY,
            scope=BUDGET,
            name=budget.name,
            window="",
            cost=amount if amount < MAX_UNITS else MAX_UNITS,
            kind=BUDGET,
            lease=lease,
            on_error=budget.on_error,
            resets_at=present.resets_at,
            unit=budget.unit,
        )


class RuleBudgets:
    """The budgets that may count the requests to one rule. One event loop uses it.

    Attributes:
        every: the budgets.
        counts_requests: none of them counts anything else, so nobody needs to know what a request may use.
        cap_output: whether one of them may lower the output that a request asks for.
    """

    def __init__(self, budgets: Iterable[Budget], tenant_id: str, rule_id: str) -> None:
        compiled = [CompiledBudget(budget, tenant_id) for budget in budgets]
        self.every: Sequence[CompiledBudget] = [one for one in compiled if one.counts_rule(rule_id)]
        self.counts_requests = all(one.budget.unit == REQUESTS for one in self.every)
        self.cap_output = any(one.budget.cap_output for one in self.every)
        self._kept = BoundedDict[tuple[str | None, str, str], Sequence[CompiledBudget]](_MAX_KEPT)

    def of(
        self, key: ApiKey | None, api: str, asked: str, targets: Callable[[], Iterable[Candidate]]
    ) -> Sequence[CompiledBudget]:
        """Those that count a request with an API key, which one of these targets will serve.

        The key, the API and the name that was asked for must determine the targets. A key must not change for
        the life of this object.
        """
        name = (None if key is None else key.id, api, asked)
        if name in self._kept:
            return self._kept[name]
        may_serve = tuple(targets())
        found = [one for one in self.every if one.counts_key(key) and any(map(one.counts_target, may_serve))]
        return self._kept.keep(name, found)
