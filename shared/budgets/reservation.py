"""The amounts that budgets hold for one request, and the amount that each of them counts in the end."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from shared.budgets.compiled import Candidate, CompiledBudget
from shared.budgets.demand import Demand, amount_of
from shared.core.http_tokens import Fields
from shared.limits.values import Limit, LimitState
from shared.model.budgets import CUT, REQUESTS
from shared.usage.prices import Rates
from shared.usage.row import Usage

#: The headers of a response that name the model that took the place of the one asked for, and the most output
#: that its provider was asked for.
DOWNGRADED: Final = b"X-Gateway-Downgraded-To"
CAPPED: Final = b"X-Gateway-Max-Output"


class Hold(NamedTuple):
    """The part of a reservation that one budget holds.

    Attributes:
        compiled: the budget.
        name: its `budget_name`, as rows have it.
        limit: the limit to acquire; its cost is the amount.
        asks: whether the budget may reject the request.
        output: the tokens of output in the amount.
    """

    compiled: CompiledBudget
    name: str
    limit: Limit
    asks: bool
    output: int

    @property
    def is_metered(self) -> bool:
        """Whether a longer response uses more of it."""
        return self.limit.unit != REQUESTS

    def used(self, usage: Usage, cost_nano: int | None) -> int:
        """The amount that the budget counts in the end."""
        unit = self.limit.unit
        found = 1 if unit == REQUESTS else amount_of(unit, usage, cost_nano)
        return self.limit.cost if found is None else found

    @property
    def cuts(self) -> bool:
        """Whether a stream ends when the budget has no more."""
        return self.asks and self.compiled.budget.overrun == CUT


#: A hold whose budget has no more, with the state that says so.
SpentHold = tuple[Hold, LimitState]


@dataclass(slots=True, kw_only=True)
class Reservation:
    """The reservation of a request that was admitted.

    Attributes:
        id: the lease of all holds, and the id of the request's row.
        holds: those of the budgets that count the request.
        demand: what the request may use.
        model: the model that takes the place of the one asked for; empty: none does.
        max_output: the most tokens of output that the upstream is asked for; None: as the client asks.
        is_unreserved: Redis did not take part, so nothing is reserved there.
        states: the states of the budgets when the request was admitted.
        headers: those that tell the client how its request was changed, and how its limits were counted.
        counted: what each budget counts, by `Hold.name`; empty before the end.
    """

    id: str
    holds: Sequence[Hold]
    demand: Demand
    model: str = ""
    max_output: int | None = None
    is_unreserved: bool = False
    states: Sequence[LimitState] = ()
    headers: Fields = ()
    counted: Mapping[str, int] = field(default_factory=dict)

    @property
    def limits(self) -> Sequence[Limit]:
        """The limits under which the holds were acquired."""
        return [hold.limit for hold in self.holds]

    @property
    def output(self) -> int | None:
        """The tokens of output that all budgets have reserved; None if none of them counts output."""
        metered = [hold.output for hold in self.holds if hold.is_metered]
        return min(metered) if metered else None

    def settle(self, served: Candidate, usage: Usage, cost_nano: int | None) -> Mapping[str, int]:
        """The amount that each budget counts of a request that this target served; of another target, 0.

        A request counts once, however many calls it took. Where the price turns out not to be known, money
        counts as it was reserved.
        """
        self.counted = {
            hold.name: hold.used(usage, cost_nano) if hold.compiled.counts_target(served) else 0
            for hold in self.holds
        }
        return self.counted

    @property
    def counted_by_key(self) -> Mapping[str, int]:
        """The amount that each budget counts, by the key of its limit: 0 before the end."""
        return {hold.limit.key: self.counted.get(hold.name, 0) for hold in self.holds}

    def more(self, tokens: int, rates: Rates | None, *, without: Collection[str] = ()) -> Sequence[Limit]:
        """The limits that reserve so many more tokens of output, at the prices of the present target.

        Those of the names in `without` have no more.
        """
        found = []
        for hold in self.holds:
            if hold.is_metered and hold.name not in without:
                amount = self._at(rates).output_amount(hold.limit.unit, tokens)
                if amount:
                    found.append(replace(hold.limit, cost=amount))
        return found

    def affordable(self, full: Sequence[SpentHold], rates: Rates | None) -> int:
        """The tokens of output that all of these budgets still buy; they cannot buy any number."""
        demand = self._at(rates)
        found = [demand.affordable(hold.limit.unit, max(state.remaining, 0)) for hold, state in full]
        return min([tokens for tokens in found if tokens is not None], default=0)

    def _at(self, rates: Rates | None) -> Demand:
        """The demand at the prices of one target."""
        return replace(self.demand, rates=(rates,))

    def spent_in(self, states: Sequence[LimitState]) -> Sequence[SpentHold]:
        """The holds whose budgets have no more, with the states that say so."""
        return spent_in(self.holds, states)


def spent_in(holds: Sequence[Hold], states: Sequence[LimitState]) -> Sequence[SpentHold]:
    """The holds whose budgets have less left than they hold, in order, with the states that say so."""
    full = {state.limit.key: state for state in states if not state.has_room}
    return [(hold, full[hold.limit.key]) for hold in holds if hold.limit.key in full]
