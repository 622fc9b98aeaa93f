"""The owners of the configuration as jobs follow them: the platform, and each tenant."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from shared.config_store.leader import Term
from shared.config_store.port import ConfigStore
from shared.model.config import Rule, Tenant
from shared.model.providers import Model, Provider
from shared.secrets.context import PLATFORM


class ChangedOwners:
    """Tells the leader of a job which owners were changed since the last time; first all of them."""

    def __init__(self, store: ConfigStore) -> None:
        self._store = store
        self._term = self._since = 0

    def read(self, term: Term, forget: Callable[[], None]) -> Iterator[str]:
        """Yield the owners, as long as the term is held. `forget` is called when all come again.

        Raises `StoreDown`.
        """
        if term.number != self._term:
            self._term, self._since = term.number, 0
            forget()  # another process may have led meanwhile
        number, changed = self._store.changes(self._since)
        if number < self._since:  # an operator accepted an older store
            forget()
            number, changed = self._store.changes(0)
        for owner in changed:
            if not term.is_held():
                return
            yield owner
        self._since = number


@dataclass(frozen=True, slots=True)
class Owned:
    """An owner with all that it has. `tenant` is None for the platform, which has no rules."""

    providers: Sequence[Provider] = ()
    models: Sequence[Model] = ()
    rules: Sequence[Rule] = ()
    tenant: Tenant | None = None

    @classmethod
    def read(cls, store: ConfigStore, owner: str) -> "Owned":
        """The owner as it is now; empty for a tenant that is disabled or deleted. Raises `BadRecord`."""
        if owner == PLATFORM:
            document = store.read_platform()
            return cls(document.providers, document.models)
        snapshot = store.read(owner)
        if snapshot is None or snapshot.tenant.status != "active":
            return cls()
        tenant = snapshot.tenant
        return cls(tenant.providers, tenant.models, snapshot.rules, tenant)
