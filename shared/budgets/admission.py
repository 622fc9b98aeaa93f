"""Decides whether budgets admit a request: it is asked before and after the limiter.

limits --> acquired, with all other limits of the request
  ^             |
  |             +--> admitted: the reservation
  |             +--> a budget is spent: another model takes the place of the one asked for, once,
  +----------------  or less output is asked for, once; else the request is rejected
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, NamedTuple

from shared.budgets.compiled import LEASE_MS, Candidate, CompiledBudget, RuleBudgets
from shared.budgets.demand import Demand
from shared.budgets.rejections import budget_spent, price_unknown
from shared.budgets.reservation import CAPPED, DOWNGRADED, Hold, Reservation, SpentHold, spent_in
from shared.core.errors import Rejection
from shared.core.http_tokens import Fields
from shared.limits.headers import mode_header
from shared.limits.values import BUDGET, Decision, LimitState, Quota
from shared.model.budgets import DOWNGRADE, USD
from shared.model.config import ApiKey
from shared.model.messages import Exchange, Expected, Metered, encoded

# The value of `reserve` that sets the most output aside.
_MAX: Final = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """A request to a model, as budgets see it.

    Attributes:
        api: its API.
        asked: the name of its model.
        names: returns the names of the models that may serve it, as `shared.model.messages.Exchange.models`.
        targets: returns the targets that may serve it. Both are seldom needed.
        demand: what it may use.
        least_output: the fewest tokens of output that it can be lowered to; None: it cannot be lowered.
        choices: how many responses it asks for at a time.
    """

    api: str
    asked: str
    names: Callable[[], tuple[str, ...]]
    targets: Callable[[], Sequence[Candidate]]
    demand: Demand
    least_output: int | None = 1
    choices: int = 1


class _Changed(NamedTuple):
    """A request whose demand has changed, as rate limits see it: see `shared.model.messages.Metered`."""

    demand: Demand
    metered: Metered

    def expected(self, unit: str) -> Expected | None:
        return self.demand.expected(unit)

    def used(self, unit: str) -> int | None:
        return self.metered.used(unit)


#: The same request to a model of another name, or why that cannot be.
WithModel = Callable[[str], ModelRequest | Rejection]


class Again(Enum):
    """The limiter is to be asked again, with the present `holds`."""

    AGAIN = "again"


AGAIN: Final = Again.AGAIN

#: The end of a request's admission: it has a reservation, or is rejected. None: another limit rejects it.
Judged = Reservation | Rejection | None


class BudgetAdmission:
    """The budgets of one request, until they have decided.

    Attributes:
        request: the request as it is now.
        id: the lease.
        holds: what the limiter is asked for; each is acquired as its `limit`.
    """

    __slots__ = (
        *("_admitted", "_asked", "_capped", "_with_model", "_key", "_model", "_now", "_rule", "_unasked"),
        *("id", "request", "holds"),
    )

    def __init__(
        self,
        rule: RuleBudgets,
        key: ApiKey | None,
        request: ModelRequest,
        with_model: WithModel,
        *,
        id: str,
        now: float,
        admitted: Callable[[Reservation], None] = lambda _: None,
    ) -> None:
        """`now` is the time of Redis, in seconds since the Unix epoch: it tells the period.

        `admitted` gets the reservation of a request that is admitted.
        """
        self._rule, self._key, self._with_model, self._admitted = rule, key, with_model, admitted
        self.request, self.id, self._now, self._asked = request, id, now, request.asked
        self._model = ""
        self._capped: int | None = None
        self._unasked: Sequence[CompiledBudget] = ()
        self.holds: Sequence[Hold] = ()

    def prepare(self) -> Rejection | None:
        """Work out `holds`. Returns why the request cannot be counted."""
        request, holds = self.request, []
        for one in self._rule.of(self._key, request.api, request.asked, request.targets):
            if one.budget.unit == USD and not request.demand.rates:
                continue  # it costs nothing, as with a client's own credential
            hold = self._hold(one, asks=one.asks and one not in self._unasked)
            if hold is None:
                return price_unknown(one.budget, request.asked)
            holds.append(hold)
        self.holds = holds
        return None

    def _hold(self, one: CompiledBudget, *, asks: bool) -> Hold | None:
        """The hold of a budget; None for money if the price is not known.

        An amount that is only a guess is never more than the limit: otherwise no request would be admitted.
        """
        budget, demand = one.budget, self.request.demand
        usage = demand.most if budget.reserve == _MAX else demand.usual
        output, amount = usage.output, demand.amount(budget.unit, usage)
        if amount is None:
            if asks and budget.unpriced != "allow":
                return None
            amount = 0
        present = one.at(self._now)
        most = present.number
        if asks and amount > most and not demand.is_bounded:
            least = demand.least_of(budget.unit) or 0
            if least < most:
                output = demand.affordable(budget.unit, most - least) or 0
            amount = max(most, least)
        limit = one.limit(amount, self.id, self._now, asks=asks)
        return Hold(compiled=one, name=present.name, limit=limit, asks=asks, output=output)

    def changed(self, exchange: Exchange) -> Exchange:
        """The exchange as other limits count it, once the request has changed."""
        used = exchange.metered
        metered = None if used is None else _Changed(self.request.demand, used)
        return exchange.asking(exchange.request, self.request.names(), metered)

    def states(self, decision: Decision) -> Sequence[LimitState]:
        """The states of the budgets in a decision, as they are shown: what is left is not below 0."""
        by_key = {state.limit.key: state for state in decision.states}
        return [self._own_state(hold, by_key[hold.limit.key]) for hold in self.holds]

    def _own_state(self, hold: Hold, state: LimitState) -> LimitState:
        if hold.asks:
            return state if state.remaining >= 0 else state._replace(remaining=0)
        quota = Quota(hold.compiled.at(self._now).number, LEASE_MS)
        used = state.limit.quota.limit - state.remaining
        limit = replace(hold.limit, quota=quota)
        return LimitState(limit, max(quota.limit - used, 0), state.reset_after_ms)

    def judge(self, decision: Decision) -> Judged | Again:
        """The consequence of the limiter's decision on `holds` and others. None: another limit rejects."""
        if decision.violated is None:
            return self._admit(decision)
        if any(state.limit.kind != BUDGET and not state.has_room for state in decision.states):
            return None
        found = spent_in(self.holds, decision.states)
        hold, state = found[0]
        if hold.compiled.budget.on_spent == DOWNGRADE and not self._model:
            return self._downgrade(found)
        if self._capped is None and self._cap(found):
            return self.prepare() or AGAIN
        return budget_spent(hold.compiled.budget, state)

    def _admit(self, decision: Decision) -> Reservation:
        kept, capped = self.states(decision), self._capped
        if self.request.least_output is not None:
            most = self.request.demand.most.output
            left = [self._left(hold, state) for hold, state in zip(self.holds, kept, strict=True)]
            capped = min([one for one in (*left, capped) if one is not None and one < most], default=capped)
        model = "" if self._model == self._asked else self._model
        output = None if capped is None else max(capped // self.request.choices, 1)
        reservation = Reservation(
            id=self.id,
            holds=self.holds,
            demand=self.request.demand,
            model=model,
            max_output=output,
            is_unreserved=decision.degraded,
            states=kept,
            headers=_told(model, output, decision) if model or output or decision.degraded else (),
        )
        self._admitted(reservation)
        return reservation

    def _left(self, hold: Hold, state: LimitState) -> int | None:
        """The tokens of output that an admitted request may bring at most; None: any number."""
        if not (hold.asks and hold.compiled.budget.cap_output and hold.is_metered):
            return None
        more = self.request.demand.affordable(hold.limit.unit, state.remaining)
        return None if more is None else hold.output + more

    def _downgrade(self, found: Sequence[SpentHold]) -> Rejection | Again:
        """Let the model of the first budget take the place of the one asked for."""
        first, state = found[0]
        model = first.compiled.budget.downgrade_to or ""
        other = self._with_model(model)
        if isinstance(other, Rejection):
            return budget_spent(first.compiled.budget, state, why_not_other=other.message)
        self._model, self.request = model, other
        self._unasked = [
            hold.compiled
            for hold, _ in found
            if hold.compiled.budget.on_spent == DOWNGRADE and hold.compiled.budget.downgrade_to == model
        ]
        return self.prepare() or AGAIN

    def _cap(self, found: Sequence[SpentHold]) -> bool:
        """Ask for as much output as all of these budgets still buy. Returns False if that is too little."""
        request, demand = self.request, self.request.demand
        if request.least_output is None or not demand.most.output:
            return False
        output, without = demand.most.output, replace(demand.usual, output=0)
        for hold, state in found:
            if not hold.compiled.budget.cap_output or not hold.is_metered:
                return False
            unit = hold.limit.unit
            left = demand.affordable(unit, state.remaining - (demand.amount(unit, without) or 0))
            output = min(output, output if left is None else left)
        if output < request.least_output * request.choices:
            return False
        self._capped = output
        self.request = replace(request, demand=demand.capped(output))
        return True


def _told(model: str, most_output: int | None, decision: Decision) -> Fields:
    """The headers about the admission of a request."""
    found = [*mode_header(decision)]
    if model:
        found.append((DOWNGRADED, encoded(model)))
    if most_output is not None:
        found.append((CAPPED, b"%d" % most_output))
    return tuple(found)
