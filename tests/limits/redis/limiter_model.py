"""The independent model of every limiter: plain lists of events, counted anew for each decision."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.limits.values import CONCURRENT, Limit


@dataclass
class Charge:
    """What was charged to a window: in which bucket, and how much of it is left after refunds."""

    bucket: int
    cost: int


@dataclass
class EventList:
    """Charges by key, and leases by key as (lease, end). Times are in microseconds."""

    charges: dict[str, list[Charge]] = field(default_factory=dict)
    leases: dict[str, dict[str, int]] = field(default_factory=dict)

    def acquire(self, limits: Sequence[Limit], now: int) -> list[Limit]:
        """The violated limits; charges all when there is none."""
        violated = [wanted for wanted in limits if self.used(wanted, now) + wanted.units > wanted.quota.limit]
        for wanted in limits if not violated else ():
            if wanted.kind == CONCURRENT:
                self.renew(wanted, now)
            else:
                if self._is_foreign(wanted, now):
                    self.charges.pop(wanted.key)
                charge = Charge(self.bucket(wanted, now), wanted.cost)
                self.charges.setdefault(wanted.key, []).append(charge)
        return violated

    def used(self, wanted: Limit, now: int) -> int:
        """What is used, besides the place that the request holds itself."""
        if wanted.kind == CONCURRENT:
            return sum(lease != wanted.lease for lease in self._running(wanted, now))
        return sum(charge.cost for charge in self._live(wanted, now))

    def bucket(self, wanted: Limit, now: int) -> int:
        if self._is_foreign(wanted, now):
            return now // width_us(wanted)
        return max(now // width_us(wanted), self._newest(wanted))

    def renew(self, wanted: Limit, now: int) -> None:
        """Whoever takes a place clears away those that do not count."""
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
