"""The ports through which the configuration is read and written."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Protocol

from shared.config_store.history.audit import SignedEntry
from shared.config_store.history.edit import Edit
from shared.config_store.history.versions import VersionNote
from shared.config_store.idempotency import Claim
from shared.config_store.records.contents import Content
from shared.config_store.records.together import Together, Written
from shared.model.config import PlatformToken, PlatformTokens, Snapshot
from shared.model.providers import Discovered, PlatformDocument

#: The most plans that are kept per owner.
MAX_PLANS: Final = 100


def newest_within(sizes: Sequence[int], most_bytes: int) -> int:
    """How many plans are kept of those with these sizes, the newest first. The newest one always is."""
    fitting = sum(total <= most_bytes for total in accumulate(sizes))
    return min(max(1, fitting), MAX_PLANS)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of tenants in order of creation. `next_cursor` is None on the last one."""

    snapshots: tuple[Snapshot, ...]
    next_cursor: str | None


class History(Protocol):
    """The versions of contents, and the audit log. An owner is the id of a tenant, or ``platform``.

    Every method raises `errors.StoreDown` when Redis does not respond.
    """

    def notes(self, owner: str, limit: int, before: int | None = None) -> Sequence[VersionNote]:
        """The newest versions, or those before a number, the newest first."""
        ...

    def note(self, owner: str, number: int) -> VersionNote | None:
        """One version; None when it is not kept."""
        ...

    def content(self, owner: str, note: VersionNote) -> Content | None:
        """The content of a version; None when it has gone meanwhile. Raises `errors.BadRecord`."""
        ...

    def pin(self, owner: str, note: VersionNote, *, pinned: bool) -> bool | None:
        """Keep a version however old it is, or no longer.

        Returns False when too many are pinned, and None when it has gone meanwhile.
        """
        ...

    def entries(self, limit: int, before: str | None = None) -> Sequence[SignedEntry]:
        """The newest entries of the audit log, or those before an id, the newest first."""
        ...


class Tokens(Protocol):
    """The tokens of the platform, and what is done with them and other keys.

    Every method raises `errors.StoreDown` when Redis does not respond.
    """

    def all(self) -> PlatformTokens:
        """All of them; one that is damaged is left out."""
        ...

    def find(self, token_hash: str) -> PlatformToken | None:
        """The token with that hash."""
        ...

    def touch(self, token: PlatformToken, at: float) -> None:
        """Store the time of the last use of a token."""
        ...

    def add_event(self, edit: Edit) -> None:
        """Add what changes nothing to the audit log, such as a log-in. Raises as `ConfigStore.write`."""
        ...

    def write(
        self,
        before: PlatformTokens,
        after: PlatformTokens,
        *,
        edit: Edit,
        claim: Claim[PlatformTokens] | None = None,
    ) -> PlatformTokens:
        """Replace the tokens in one atomic step, which adds `edit` to the audit log.

        Raises `errors.Conflict` when the stored revision is not that of `before`, and otherwise as
        `ConfigStore.write`.
        """
        ...


class ConfigStore(Protocol):
    """The configuration as the admin API uses it. Synchronous.

    Every method raises `errors.StoreDown` when Redis does not respond.
    """

    @property
    def history(self) -> History: ...

    @property
    def tokens(self) -> Tokens: ...

    def read(self, tenant_id: str) -> Snapshot | None:
        """The stored data of a tenant; None when there is no such tenant."""
        ...

    def read_named(self, subdomains: Sequence[str] | None = None) -> Mapping[str, Snapshot]:
        """The tenants with these subdomains, as far as they exist, by their subdomains; None: all tenants.

        Raises `errors.BadRecord`, unlike `list`.
        """
        ...

    def write(
        self,
        before: Snapshot | None,
        after: Snapshot | None,
        *,
        edit: Edit,
        claim: Claim[Snapshot] | None = None,
        platform: int | None = None,
    ) -> Snapshot | None:
        """Replace `before` by `after` in one atomic step, with every index, and publish the change.

        `before` is None for a new tenant, `after` for a deleted one. `edit` is noted in the version
        and in the audit log. The step also replaces the `claim` of a call. Returns `after` with its new
        revision. The version of the document grows by one when the document of the tenant changed.

        `platform` is the revision of the platform's document by which `after` was checked; None: it was not
        checked. The store keeps a list of the tenants that name a provider or model of the platform
        (`shared.model.uses`).

        Raises `errors.Conflict` when the stored revision is not that of `before`, or when the document names
        anything of the platform's and `platform` is not its revision: read both again, and check again.
        `errors.SubdomainTaken` when `after` claims a subdomain in use or in quarantine,
        `errors.CallInProgress` when the claim is gone, and
        `errors.StoreLost` when the store does not have the data that were served last.
        """
        ...

    def write_together(self, writes: Together, *, claim: Claim[Written] | None = None) -> Written:
        """Make several writes in one atomic step, each with its version and its entry in the audit log.

        Returns the new states, in order, with their versions. A tenant that uses what the platform loses must
        be among the writes, and no longer use it. Raises as `write` and `write_platform`.
        """
        ...

    def put_plan(self, plan_id: str, text: str, *, owner: str, seconds: int, most_bytes: int) -> None:
        """Keep the text of a plan for some time.

        The oldest plans of its owner go when there are more than `MAX_PLANS`, or when they have more than
        `most_bytes` together. The newest one stays.
        """
        ...

    def plan(self, plan_id: str) -> str | None:
        """The text of a plan; None when there is none, or no longer."""
        ...

    def read_platform(self) -> PlatformDocument:
        """The document of the platform; an empty one with revision 0 before the first write."""
        ...

    def write_platform(
        self,
        before: PlatformDocument,
        after: PlatformDocument,
        *,
        edit: Edit,
        claim: Claim[PlatformDocument] | None = None,
    ) -> PlatformDocument:
        """Replace the document of the platform in one atomic step, and publish the change as ``platform``.

        Returns `after` with its new revision, and with a version that is one more than that of `before`.

        Raises `errors.Conflict` when the stored revision is not that of `before`, `errors.NamesInUse` when
        tenants name a provider or model that `after` lacks, or that it no longer shares with them, and
        otherwise as `write`.
        """
        ...

    def users_of(self, uses: Iterable[str]) -> Mapping[str, Sequence[str]]:
        """The ids of the tenants that use each of `uses` (`shared.model.uses`), without those of nobody."""
        ...

    def discovered(self, provider_ids: Sequence[str]) -> Mapping[str, Discovered]:
        """The models that providers listed, as far as their lists were fetched."""
        ...

    def write_discovered(self, owner: str, provider_id: str, found: Discovered) -> None:
        """Store the list of a provider. If its names changed, that is a change of `owner`.

        `owner` is the id of the provider's tenant, or ``platform``; if it is gone, nothing is stored. Raises
        `errors.StoreLost` as `write`.
        """
        ...

    def changes(self, since: int) -> tuple[int, Sequence[str]]:
        """The number of the newest change, and the ids of what changed after `since`; 0: of all there is.

        An id is that of a tenant, which may be deleted, or ``platform``.
        """
        ...

    def claim(self, name: str, value: str) -> str | None:
        """Claim the name of a call. Returns None, or the value that another call has stored."""
        ...

    def release(self, name: str, value: str) -> None:
        """Give up a claim that no change has replaced."""
        ...

    def finish[T](self, claim: Claim[T], after: T) -> None:
        """Replace a claim whose call has changed something else, as long as the claim stands."""
        ...

    def find_key(self, key_hash: str) -> tuple[str, str] | None:
        """The ids of the tenant and the key with that hash."""
        ...

    def check_subdomain(self, tenant_id: str, subdomain: str) -> None:
        """Raise `errors.SubdomainTaken` when another tenant has the subdomain, or it is in quarantine."""
        ...

    def list(self, limit: int, cursor: str | None) -> Page:
        """Tenants in order of creation. Raises ValueError on a wrong cursor."""
        ...

    def is_empty(self) -> bool:
        """True when no tenant was ever created."""
        ...

    def count(self) -> int:
        """The number of tenants."""
        ...

    def faults(self) -> Mapping[str, str]:
        """The tenants whose newest document cannot be used, each with the reason."""
        ...

    def ping(self) -> None:
        """Return when Redis responds. Raises `errors.StoreLost` when it lacks the data served last."""
        ...


#: The functions that `ConfigSource.watch` calls.
type OnChange = Callable[[str], None]
type OnReconnect = Callable[[], None]
type OnTold = Callable[[int | None], None]


def ignore(_: int | None) -> None:
    """Do nothing with what other workers tell."""


class ConfigSource(Protocol):
    """The configuration as a worker of the proxy reads it. Asynchronous.

    What is read has the lists of models that its providers returned (`discovered`).
    """

    async def tenant_of_subdomain(self, subdomain: str) -> str | None:
        """The id of the tenant that has the subdomain."""
        ...

    async def tenant_of_key(self, key_hash: str) -> str | None:
        """The id of the tenant that owns the key with that hash."""
        ...

    async def read(self, tenant_id: str) -> Snapshot | None:
        """The stored data of a tenant; None when there is no such tenant."""
        ...

    async def read_platform(self) -> PlatformDocument:
        """The document of the platform; an empty one before the first write. Raises `errors.BadRecord`."""
        ...

    async def changes(self, since: int) -> tuple[int, Sequence[str]]:
        """The number of the newest change, and the ids of what changed after `since`.

        An id is that of a tenant, or ``platform``.
        """
        ...

    async def watch(self, changed: OnChange, reconnected: OnReconnect, told: OnTold = ignore) -> None:
        """Call `changed` with the id of each tenant that changes, or ``platform``. Runs until canceled.

        `reconnected` is called when messages may have been lost. `told` is called with what other workers
        `tell`: the number of the newest change; None when they use a store in another state.
        """
        ...

    async def tell(self, number: int) -> None:
        """Tell all other workers the number of the newest change, which was just read."""
        ...

    async def note_faults(self, faults: Mapping[str, str], now: float) -> None:
        """Store why the newest documents of tenants cannot be used; an empty reason removes the old one.

        Webhooks are told of a new reason.
        """
        ...

    async def touch(self, used: Mapping[tuple[str, str], float]) -> None:
        """Store the time of the last use of each (tenant id, key id)."""
        ...

    async def close(self) -> None: ...
