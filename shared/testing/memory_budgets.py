"""Budgets in the memory of one process: for tests. Times are whole microseconds."""

from dataclasses import dataclass, field

from shared.limits.values import NEVER, Limit, LimitState


@dataclass(slots=True)
class MemoryBudget:
    """One budget in one period.

    Attributes:
        used: what was settled, and what leases had reserved that ended without a settle.
        leases: the end and the amount of each that holds something.
        healed: the amounts of those that ended without a settle.
    """

    used: int = 0
    leases: dict[str, tuple[int, int]] = field(default_factory=dict)
    healed: dict[str, int] = field(default_factory=dict)

    @property
    def held(self) -> int:
        """What is reserved."""
        return sum(amount for _, amount in self.leases.values())

    def state(self, limit: Limit, now: int) -> LimitState:
        """The state of the limit that it is."""
        never = limit.cost > limit.quota.limit or not limit.resets_at
        wait = NEVER if never else max(-(-(limit.resets_at * 1000 - now) // 1000), 0)
        return LimitState(limit, limit.quota.limit - self.used - self.held, wait)

    def reserve(self, limit: Limit, now: int) -> None:
        """Reserve the cost of the limit under its lease, whether there is room or not."""
        _, amount = self.leases.get(limit.lease, (0, 0))
        self.leases[limit.lease] = (now + limit.quota.window_ms * 1000, amount + limit.cost)

    def renew(self, limit: Limit, now: int) -> None:
        """Extend the lease, if it holds something."""
        if limit.lease in self.leases:
            self.leases[limit.lease] = (now + limit.quota.window_ms * 1000, self.leases[limit.lease][1])

    def settle(self, lease: str, amount: int, *, counts_always: bool = False) -> None:
        """Count what a lease used in the end: once, unless it `counts_always`."""
        if counts_always or lease in self.leases or lease in self.healed:
            self.used += amount - self.healed.pop(lease, 0)
            self.leases.pop(lease, None)

    def heal(self, now: int) -> None:
        """Count as used what leases have reserved that ended."""
        for lease in [lease for lease, (end, _) in self.leases.items() if end <= now]:
            _, amount = self.leases.pop(lease)
            self.healed[lease] = self.healed.get(lease, 0) + amount
            self.used += amount
