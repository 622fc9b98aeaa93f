"""Budgets while Redis does not respond: each process may spend its part of what was left.

The share is a part of the amount that Redis last returned. Without one, nothing is left: others may have
spent it all. Amounts reserved here are reserved in Redis when it responds again. Those used until then are
settled with the rows of the ledger (`LedgerRow.is_unreserved`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from shared.limits.fallback.last_usage import LastUsage
from shared.limits.values import MAX_UNITS, NEVER, OPEN, Limit, LimitState


class BudgetShare:
    """The shares of budgets that one process spends. At most `max_entries` budgets are counted."""

    def __init__(self, known: LastUsage, max_entries: int) -> None:
        self._known = known
        self._max_entries = max_entries
        # key -> the time of the reply that it starts from, and what was spent since then.
        self._spent: dict[str, tuple[int, int]] = {}
        self._unsynced: dict[tuple[str, str], Limit] = {}

    def state(self, limit: Limit, workers: int) -> LimitState:
        """The rest of this process, one of so many workers. When it may spend more is not known."""
        if limit.on_error == OPEN or limit.quota.limit >= MAX_UNITS:
            return LimitState(limit, max(limit.quota.limit, limit.cost), NEVER)
        used, at = self._known.get(limit.key)
        left = max(limit.quota.limit - used, 0) // workers if at else 0
        return LimitState(limit, left - self._spent_since(limit.key, at), NEVER)

    def reserve(self, limit: Limit) -> None:
        """Count what a request reserves, or reserves more."""
        _, at = self._known.get(limit.key)
        spent = self._spent_since(limit.key, at)
        self._spent.pop(limit.key, None)
        self._spent[limit.key] = at, spent + limit.cost
        if len(self._spent) > self._max_entries:
            del self._spent[next(iter(self._spent))]
        before = self._unsynced.get((limit.key, limit.lease))
        self._unsynced[limit.key, limit.lease] = limit if before is None else _plus(before, limit.cost)

    def end(self, limits: Iterable[Limit]) -> None:
        """Forget what was reserved: these requests are over, and their rows are settled."""
        if self._unsynced:
            for limit in limits:
                self._unsynced.pop((limit.key, limit.lease), None)

    def unsynced(self) -> Sequence[Limit]:
        """The reservations of requests that go on, as far as Redis does not know them."""
        return list(self._unsynced.values())

    def mark_synced(self, reserved: Limit) -> None:
        """Note that Redis knows `reserved`. Amounts that were reserved here since then stay unsynced."""
        found = self._unsynced.pop((reserved.key, reserved.lease), None)
        if found is not None and found.cost > reserved.cost:
            self._unsynced[reserved.key, reserved.lease] = _plus(found, -reserved.cost)

    def _spent_since(self, key: str, at: int) -> int:
        since, spent = self._spent.get(key, (0, 0))
        return spent if since == at else 0


def _plus(limit: Limit, more: int) -> Limit:
    return replace(limit, cost=limit.cost + more)
