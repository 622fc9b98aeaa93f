"""The places in concurrent limits that this process holds."""

from collections.abc import Mapping, Sequence

from shared.limits.values import CONCURRENT, Limit


class HeldLeases:
    """Leases by the key of their limit, each as the limit that it was taken under."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, Limit]] = {}

    @property
    def by_key(self) -> Mapping[str, Mapping[str, Limit]]:
        """key -> lease -> limit."""
        return self._held

    def acquire(self, limits: Sequence[Limit]) -> None:
        """Note that the leases of concurrent limits hold their places."""
        for limit in limits:
            if limit.kind == CONCURRENT:
                self._held.setdefault(limit.key, {})[limit.lease] = limit

    def release(self, limits: Sequence[Limit]) -> None:
        """Note that they do no longer."""
        for limit in limits:
            leases = self._held.get(limit.key)
            if leases is not None:
                leases.pop(limit.lease, None)
                if not leases:
                    del self._held[limit.key]

    def count(self, key: str, besides: str) -> int:
        """How many places of a limit are held here, not counting that of the lease `besides`."""
        leases = self._held.get(key, {})
        return len(leases) - (besides in leases)
