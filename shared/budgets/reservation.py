"""What budgets have set aside for one request, and what each of them counts of it in the end."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from shared.budgets.compiled import Candidate, CompiledBudget
from shared.budgets.demand import Demand, amount_of
from shared.limits.values import Limit, LimitState
from shared.model.budgets import CUT, REQUESTS, USD
from shared.usage.prices import Rates
from shared.usage.row import Usage

#: The headers of a response that name the model that took the place of the one asked for, and the most output
#: that its provider was asked for.
DOWNGRADED: Final = "X-Gateway-Downgraded-To"
CAPPED: Final = "X-Gateway-Max-Output"


# How many tokens are priced at a time, so that the price of one is exact.
_PRICED: Final = 1_000_000


class Share(NamedTuple):
    """The part of a reservation that one budget sets aside.

    Attributes:
        budget: the budget.
        name: the name of the budget and its period, in rows.
        limit: the limit to acquire; its cost is the amount.
        asks: whether the budget may reject the request.
        output: the tokens of output in the amount.
    """

    budget: CompiledBudget
    name: str
    limit: Limit
    asks: bool
    output: int

    @property
    def is_metered(self) -> bool:
        """Whether a longer response uses more of it."""
        return self.limit.unit != REQUESTS

    def used(self, usage: Usage, cost_nano: int | None) -> int:
        """What the budget counts in the end."""
        unit = self.limit.unit
        found = 1 if unit == REQUESTS else amount_of(unit, usage, cost_nano)
        return self.limit.cost if found is None else found

    @property
    def cuts(self) -> bool:
        """Whether a stream ends when the budget has no more."""
        return self.asks and self.budget.budget.overrun == CUT


@dataclass(slots=True, kw_only=True)
class Reservation:
    """The reservation of a request that was admitted.

    Attributes:
        id: the lease of all shares, and the id of the request's row.
        shares: those of the budgets that count the request.
        demand: what the request may use.
        model: the model that takes the place of the one asked for; empty: none does.
        max_output: the most tokens of output that the upstream is asked for; None: as the client asks.
        is_unreserved: Redis did not take part, so nothing is set aside there.
        states: the states of the budgets when the request was admitted.
        counted: what each budget counts, by `Share.name`; empty before the end.
    """

    id: str
    shares: Sequence[Share]
    demand: Demand
    model: str = ""
    max_output: int | None = None
    is_unreserved: bool = False
    states: Sequence[LimitState] = ()
    counted: Mapping[str, int] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        """What the client is told of the changes to its request."""
        found = {DOWNGRADED: self.model} if self.model else {}
        return found if self.max_output is None else {**found, CAPPED: str(self.max_output)}

    @property
    def output(self) -> int | None:
        """The tokens of output that all budgets have set aside; None if none of them counts output."""
        metered = [share.output for share in self.shares if share.is_metered]
        return min(metered) if metered else None

    def settle(self, served: Candidate, usage: Usage, cost_nano: int | None) -> Mapping[str, int]:
        """What each budget counts of a request that this target served: 0 if it does not count the target.

        A request counts once, however many calls it took. Where the price turns out not to be known, money
        counts as it was reserved.
        """
        self.counted = {
            share.name: share.used(usage, cost_nano) if share.budget.counts_target(served) else 0
            for share in self.shares
        }
        return self.counted

    @property
    def counted_by_key(self) -> Mapping[str, int]:
        """What each budget counts, by the key of its limit: 0 before the end."""
        return {share.limit.key: self.counted.get(share.name, 0) for share in self.shares}

    def more(self, tokens: int, rates: Rates | None, *, without: Collection[str] = ()) -> Sequence[Limit]:
        """The limits that set aside so many more tokens of output, at the prices of the present target.

        Those of the names in `without` have no more.
        """
        found = []
        for share in self.shares:
            if share.is_metered and share.name not in without:
                amount = self._cost(tokens, rates) if share.limit.unit == USD else tokens
                if amount:
                    found.append(replace(share.limit, cost=amount))
        return found

    def _cost(self, tokens: int, rates: Rates | None) -> int:
        if rates is None:
            return 0
        # The input decides about the price of a token.
        usage = replace(self.demand.usual, output=0, requests=0)
        return rates.cost(replace(usage, output=tokens)) - rates.cost(usage)

    def affordable(self, full: Sequence[tuple[Share, LimitState]], rates: Rates | None) -> int:
        """The tokens of output that all of these budgets still buy; they cannot buy any number."""
        found = []
        for share, state in full:
            left = max(state.remaining, 0)
            price = self._cost(_PRICED, rates) if share.limit.unit == USD else _PRICED
            found.append(left * _PRICED // max(price, 1))
        return min(found, default=0)

    def spent_in(self, states: Sequence[LimitState]) -> Sequence[tuple[Share, LimitState]]:
        """The shares that have no more, in order, with the states that say so."""
        full = {state.limit.key: state for state in states if not state.has_room}
        return [(share, full[share.limit.key]) for share in self.shares if share.limit.key in full]
