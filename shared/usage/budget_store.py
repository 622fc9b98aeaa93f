"""Budgets as they stand in Redis, read for the admin API and the check, and changed by operators.

Synchronous. `shared/limits/redis/budget.lua` says what is stored. Requests reserve by the limiter, and settle
by the settler.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import Final, NamedTuple

from redis import Redis

from shared.core.durations import HOUR_SECONDS
from shared.limits.values import budget_key, budget_keys
from shared.usage.keys import batch_key, ledger_key
from shared.usage.row import INCREASE, REPAIR, RESET, Adjustment, LedgerRow, adjustment_row

_FOLDER: Final = Path(__file__).parent / "lua"
# How long a change is known, so that one whose reply was lost is not made twice.
_KNOWN_MS: Final = 1_000 * HOUR_SECONDS
# Budgets that one call of a script reads.
_PAGE: Final = 200
# A key of a budget. Its name is what rows have.
_KEY: Final = re.compile(r"bud:\{([^}]+)\}:(.+?)(?::leases|:amounts|:lost)?")


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget in one period, in its unit.

    Attributes:
        used: what was settled, and what lost leases had reserved.
        held: what requests have reserved that go on.
        lost: the number of leases that ended without a settle.
        over: how much more is used than the limit.
    """

    used: int
    held: int
    lost: int
    over: int


class BudgetSnapshot(NamedTuple):
    """A budget and its leases at one moment.

    Attributes:
        last_row: the id of the last entry of the ledger at that moment; empty: there was none.
        is_there: whether the budget is stored. It is not long after its period.
        used, held, lost: as in `BudgetState`.
        leases, amounts: the number of leases, and of amounts that they have reserved.
        reserved: the sum of those.
        lost_leases, lost_sum: the number of those that are lost, and what they had reserved.
        repairs: how often an operator repaired it.
    """

    last_row: str
    is_there: bool
    used: int
    held: int
    lost: int
    leases: int
    amounts: int
    reserved: int
    lost_leases: int
    lost_sum: int
    repairs: int = 0


class BudgetStore:
    """All budgets, by their `budget_name`. The client must return bytes. Raises redis-py's errors."""

    def __init__(self, client: Redis, *, now: int = 0) -> None:
        """`now` injects the time, in microseconds, for tests; 0: that of the server."""
        self._client = client
        self._now = now
        self._adjust, self._repair, self._states, self._snapshot = (
            client.register_script((_FOLDER / f"{name}.lua").read_text(encoding="utf-8"))
            for name in ("adjust", "repair", "states", "snapshot")
        )

    def states(self, tenant_id: str, limits: Mapping[str, int]) -> dict[str, BudgetState]:
        """The states of budgets by their names; `limits` has the limit of each. One round trip."""
        keys = [key for name in limits for key in budget_keys(budget_key(tenant_id, name))]
        numbers = batched(self._states(keys=keys, args=[self._now]), 3) if keys else ()
        return {
            name: BudgetState(used, held, lost, max(used - limit, 0))
            for (name, limit), (used, held, lost) in zip(limits.items(), numbers, strict=True)
        }

    def reset(self, tenant_id: str, name: str, *, actor: str, row_id: str, now: float) -> int:
        """Let a budget begin again, and note it in the ledger. Returns what was used.

        A change with the same `row_id` is made once. Running calls stay reserved, and calls that
        are settled meanwhile count.
        """
        while True:
            used = int(self._client.hget(budget_key(tenant_id, name), "used") or 0)
            change = Adjustment(action=RESET, amount=-used, actor=actor)
            row = adjustment_row(id=row_id, time=now, tenant=tenant_id, budgets={name: -used}, change=change)
            if self._write(tenant_id, name, used, row):
                return used

    def note_increase(
        self, tenant_id: str, name: str, *, amount: int, actor: str, row_id: str, now: float
    ) -> None:
        """Note in the ledger that the limit of a budget grew. The limit itself is the configuration's."""
        change = Adjustment(action=INCREASE, amount=amount, actor=actor)
        row = adjustment_row(id=row_id, time=now, tenant=tenant_id, budgets={name: 0}, change=change)
        self._write(tenant_id, name, 0, row)

    def repair(
        self,
        tenant_id: str,
        name: str,
        snapshot: BudgetSnapshot,
        *,
        missing: int,
        actor: str,
        row_id: str,
        now: float,
    ) -> bool:
        """Make a budget what its rows and leases give, and note it in the ledger.

        `missing` is what its rows give above what it has used, by `snapshot`. Requests may go on meanwhile.
        Returns False, and changes nothing, when it was repaired since.
        """
        change = Adjustment(action=REPAIR, amount=missing, actor=actor)
        # The rows are right as they are, so this one counts nothing.
        row = adjustment_row(id=row_id, time=now, tenant=tenant_id, budgets={name: 0}, change=change)
        keys = [ledger_key(tenant_id), *budget_keys(budget_key(tenant_id, name))]
        return bool(self._repair(keys=keys, args=[missing, snapshot.repairs, row.encoded()]))

    def _write(self, tenant_id: str, name: str, amount: int, row: LedgerRow) -> bool:
        keys = [budget_key(tenant_id, name), ledger_key(tenant_id), batch_key(tenant_id, row.id)]
        return bool(self._adjust(keys=keys, args=[amount, row.encoded(), _KNOWN_MS]))

    def names(self, tenant_id: str | None = None) -> dict[str, set[str]]:
        """The names of all budgets by tenant; or of one tenant. It looks at all keys."""
        found: dict[str, set[str]] = {}
        pattern = budget_key(tenant_id or "*", "*")
        for key in self._client.scan_iter(match=pattern, count=1_000):
            if parts := _KEY.fullmatch(key.decode(errors="replace")):
                found.setdefault(parts[1], set()).add(parts[2])
        return found

    def snapshots(self, tenant_id: str, names: Iterable[str]) -> Iterator[tuple[str, BudgetSnapshot]]:
        """Yield budgets with what was stored at one moment, some at a time."""
        for some in batched(sorted(names), _PAGE):
            keys = [key for name in some for key in budget_keys(budget_key(tenant_id, name))]
            last, *found = self._snapshot(keys=[ledger_key(tenant_id), *keys])
            for name, numbers in zip(some, found, strict=True):
                yield name, BudgetSnapshot(last.decode(), bool(numbers[0]), *map(int, numbers[1:]))
