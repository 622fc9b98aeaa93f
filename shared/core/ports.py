"""What the core asks of the world. Each port has one face: synchronous or asynchronous, never both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.core.limits import Decision, Limit
from shared.core.model import Snapshot


class Clock(Protocol):
    """Time as a parameter, so that tests turn the hands."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, from an arbitrary start."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """One page of tenants in order of creation. `next_cursor` is None on the last one."""

    snapshots: tuple[Snapshot, ...]
    next_cursor: str | None


class ConfigStore(Protocol):
    """The configuration as the admin API uses it. Synchronous.

    Every method raises `errors.StoreDown` when the store does not answer.
    """

    def read(self, tenant_id: str) -> Snapshot | None:
        """All that is stored about a tenant, or None when there is no such tenant."""
        ...

    def write(self, before: Snapshot | None, after: Snapshot | None, *, actor: str) -> Snapshot | None:
        """Replace `before` by `after` in one atomic step, with every index, and announce the change.

        None before is a creation, None after a deletion. `actor` says who writes (``platform``,
        ``key:<id>``). Returns `after` with its new revision.
        The document's version counts up by one when rules, chains or tenant settings changed.

        Raises `errors.Conflict` when the stored revision is not that of `before`, and
        `errors.SubdomainTaken` when `after` claims a subdomain in use or in quarantine.
        """
        ...

    def find_key(self, key_hash: str) -> tuple[str, str] | None:
        """The ids of the tenant and the key with that hash."""
        ...

    def list(self, limit: int, cursor: str | None) -> Page:
        """Tenants in order of creation. Raises ValueError on a cursor that is not ours."""
        ...

    def is_empty(self) -> bool:
        """True when no tenant was ever created."""
        ...

    def ping(self) -> None:
        """Return when the store answers."""
        ...


class ConfigSource(Protocol):
    """The configuration as a proxy worker reads it. Asynchronous."""

    async def tenant_of_subdomain(self, subdomain: str) -> str | None:
        """The id of the tenant that has the subdomain."""
        ...

    async def tenant_of_key(self, key_hash: str) -> str | None:
        """The id of the tenant that owns the key with that hash."""
        ...

    async def read(self, tenant_id: str) -> Snapshot | None:
        """All that is stored about a tenant."""
        ...

    async def changes(self, since: int) -> tuple[int, Sequence[str]]:
        """The number of the newest change, and the tenants that changed after `since`."""
        ...

    async def watch(self, changed: Callable[[str], None], reconnected: Callable[[], None]) -> None:
        """Call `changed` with a tenant's id as soon as it changed. Runs until it is cancelled.

        `reconnected` is called whenever messages may have been lost.
        """
        ...

    async def touch(self, used: Mapping[tuple[str, str], float]) -> None:
        """Note when (tenant id, key id) were last used."""
        ...

    async def close(self) -> None: ...


class Limiter(Protocol):
    """Counts requests against limits. Asynchronous; the clock is the store's.

    The keys of one call differ from each other, and those of one request share a hash tag.
    """

    async def acquire(self, limits: Sequence[Limit]) -> Decision:
        """Charge all the limits, or none of them when one has no room. One round trip.

        When the store does not answer in time, each limit's `on_error` decides: raises
        `errors.StoreDown` if one is ``closed``; otherwise `Decision.degraded` is True.
        """
        ...

    async def peek(self, limits: Sequence[Limit]) -> Decision:
        """What `acquire` would answer now, charging nothing; the states are those before a charge."""
        ...

    async def release(self, limits: Sequence[Limit]) -> None:
        """Give back the places in concurrent limits; others are ignored.

        Never raises `errors.StoreDown`: what the store did not hear is said again in the background.
        """
        ...

    async def renew(self, limits: Sequence[Limit]) -> None:
        """Extend the leases in concurrent limits, or take them again if they ran out; others are ignored.

        Leases that `acquire` took are renewed in the background. Never raises `errors.StoreDown`.
        """
        ...

    async def refund(self, limits: Sequence[Limit], charged: Decision | None = None) -> None:
        """Take back what `acquire` charged to windows; concurrent limits are ignored.

        `charged` is what it answered: it says which bucket to take from. Without it the oldest is taken,
        which gives the room back at once but the rest of the window later. Never below nothing. Never
        raises `errors.StoreDown`: of what the store did not hear, the window's end takes care.
        """
        ...

    async def close(self) -> None: ...


class Sealer(Protocol):
    """Encrypts what must not stand in the store in the clear."""

    def seal(self, secret: str, context: str) -> str:
        """Ciphertext that opens only under the same `context` (tenant, field, origin)."""
        ...

    def open(self, text: str, context: str) -> str:
        """The secret. Raises ValueError when the text was changed, moved, or sealed by an unknown key."""
        ...


class Hasher(Protocol):
    """The keyed hash of API keys: HMAC-SHA256 with a pepper that is not in the store."""

    def __call__(self, secret: str) -> str:
        """``<pepper id>:<hex digest>``."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What an outside service said: status, and at most `max_bytes` of body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetch(Protocol):
    """Calls a service that a tenant named. Synchronous; runs in the thread pool.

    Checks every address of the name before it connects, connects to a checked one only, follows no
    redirects, and raises `errors.OutsideError` on anything that is not an answer.
    """

    def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,
        max_bytes: int,
    ) -> Answer: ...
