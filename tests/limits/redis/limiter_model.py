"""The independent model of every limiter: plain lists of events, counted anew for each decision."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from shared.limits.values import BUDGET, CONCURRENT, Limit


@dataclass
class Charge:
    """The charge of a window: its bucket, and how much of it is left after refunds."""

    bucket: int
    cost: int


@dataclass
class Reservation:
    """The reservation of a request in a budget, in one call or several, and its end."""

    lease: str
    amount: int
    end: int
    is_lost: bool = False


@dataclass
class BudgetEvents:
    """The reservations of a budget that are not settled, and the sum of those that are."""

    reserved: list[Reservation] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)

    @property
    def held(self) -> int:
        return sum(one.amount for one in self.reserved if not one.is_lost)

    @property
    def used(self) -> int:
        return sum(self.settled) + sum(one.amount for one in self.reserved if one.is_lost)

    @property
    def open(self) -> dict[str, int]:
        """The amount that each lease holds."""
        return {lease: sum(one.amount for one in some) for lease, some in self._open().items()}

    @property
    def lost(self) -> int:
        return len({one.lease for one in self.reserved if one.is_lost})

    def ended(self, now: int) -> bool:
        """Whether a lease has ended without a settle."""
        return any(max(one.end for one in some) <= now for some in self._open().values())

    def count_lost(self, now: int) -> None:
        for some in self._open().values():
            ended = max(one.end for one in some) <= now
            for one in some:
                one.is_lost = ended

    def reserve(self, wanted: Limit, now: int) -> None:
        self.reserved.append(Reservation(wanted.lease, wanted.cost, 0))
        self.renew(wanted, now)

    def renew(self, wanted: Limit, now: int) -> None:
        for one in self._open().get(wanted.lease, []):
            one.end = now + wanted.quota.window_ms * 1000

    def settle(self, lease: str, amount: int, *, counts_always: bool) -> None:
        kept = [one for one in self.reserved if one.lease != lease]
        if counts_always or len(kept) < len(self.reserved):
            self.settled.append(amount)
        self.reserved = kept

    def _open(self) -> dict[str, list[Reservation]]:
        found: dict[str, list[Reservation]] = {}
        for one in self.reserved:
            if not one.is_lost:
                found.setdefault(one.lease, []).append(one)
        return found


@dataclass
class EventList:
    """Charges by key, leases by key as (lease, end), and budgets by key. Times are in microseconds."""

    charges: dict[str, list[Charge]] = field(default_factory=dict)
    leases: dict[str, dict[str, int]] = field(default_factory=dict)
    budgets: dict[str, BudgetEvents] = field(default_factory=dict)

    def acquire(self, limits: Sequence[Limit], now: int) -> list[Limit]:
        """The violated limits; charges all when there is none."""
        for wanted in limits:
            if wanted.kind == BUDGET:
                self.budget(wanted).count_lost(now)
        violated = [wanted for wanted in limits if self.used(wanted, now) + wanted.units > wanted.quota.limit]
        for wanted in limits if not violated else ():
            if wanted.kind == CONCURRENT:
                self.renew(wanted, now)
            elif wanted.kind == BUDGET:
                self.budget(wanted).reserve(wanted, now)
            else:
                if self._is_foreign(wanted, now):
                    self.charges.pop(wanted.key)
                charge = Charge(self.bucket(wanted, now), wanted.cost)
                self.charges.setdefault(wanted.key, []).append(charge)
        return violated

    def used(self, wanted: Limit, now: int) -> int:
        """The used places, without that of the request itself."""
        if wanted.kind == CONCURRENT:
            return sum(lease != wanted.lease for lease in self._running(wanted, now))
        if wanted.kind == BUDGET:
            return self.budget(wanted).used + self.budget(wanted).held
        return sum(charge.cost for charge in self._live(wanted, now))

    def budget(self, wanted: Limit) -> BudgetEvents:
        return self.budgets.setdefault(wanted.key, BudgetEvents())

    def bucket(self, wanted: Limit, now: int) -> int:
        if self._is_foreign(wanted, now):
            return now // width_us(wanted)
        return max(now // width_us(wanted), self._newest(wanted))

    def renew(self, wanted: Limit, now: int) -> None:
        """A request that takes a place clears away those that do not count."""
        if wanted.kind == BUDGET:
            self.budget(wanted).renew(wanted, now)
        else:
            self.leases[wanted.key] = self._running(wanted, now)
            self.leases[wanted.key][wanted.lease] = now + wanted.quota.window_ms * 1000

    def release(self, wanted: Limit) -> None:
        self.leases.get(wanted.key, {}).pop(wanted.lease, None)

    def refund(self, wanted: Limit, now: int, charged_at: int) -> None:
        """From the bucket that was charged, or (when that is not known) the oldest; a counter that holds
        nothing afterwards is none."""
        live = sorted(self._live(wanted, now), key=lambda charge: charge.bucket)
        if charged_at:
            live = [charge for charge in live if charge.bucket == charged_at // width_us(wanted)]
        owed = wanted.cost
        for charge in live:
            taken = min(owed, charge.cost)
            charge.cost -= taken
            owed -= taken
        if not any(charge.cost for charge in self._live(wanted, now)):
            self.charges.pop(wanted.key, None)

    def add(self, wanted: Limit, units: int, now: int, charged_at: int) -> None:
        """To the bucket that was charged, if it counts, or (when that is not known) to the newest."""
        if not charged_at:
            more = replace(wanted, cost=units, quota=replace(wanted.quota, limit=10**15))
            assert not self.acquire([more], now)
            return
        bucket, last = charged_at // width_us(wanted), self.bucket(wanted, now)
        if not self._is_foreign(wanted, now) and last - 64 <= bucket <= last:
            self.charges.setdefault(wanted.key, []).append(Charge(bucket, units))

    def _running(self, wanted: Limit, now: int) -> dict[str, int]:
        last = now + 2 * wanted.quota.window_ms * 1000
        return {lease: end for lease, end in self.leases.get(wanted.key, {}).items() if now < end <= last}

    def live(self, wanted: Limit, now: int) -> dict[int, int]:
        """The units that count, by bucket."""
        found: dict[int, int] = {}
        for charge in self._live(wanted, now):
            if charge.cost:
                found[charge.bucket] = found.get(charge.bucket, 0) + charge.cost
        return found

    def _newest(self, wanted: Limit) -> int:
        return max((charge.bucket for charge in self.charges.get(wanted.key, [])), default=0)

    def _is_foreign(self, wanted: Limit, now: int) -> bool:
        """True when the clock went back by more than a window: what was charged before counts no more."""
        return self._newest(wanted) > now // width_us(wanted) + 64

    def _live(self, wanted: Limit, now: int) -> list[Charge]:
        if self._is_foreign(wanted, now):
            return []
        oldest = self.bucket(wanted, now) - 64
        return [charge for charge in self.charges.get(wanted.key, []) if charge.bucket >= oldest]


def width_us(wanted: Limit) -> int:
    return -(-wanted.quota.window_ms * 1000 // 64)
