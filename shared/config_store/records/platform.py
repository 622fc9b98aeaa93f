"""The document of the platform as Redis keeps it, and the call of the script that replaces it.

Each version is a document of its own. The record beside it has the number of the version, and the revision.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import batched
from typing import Any, Self

from shared.config_store import layout
from shared.config_store.idempotency import Claim
from shared.config_store.identity import StoreState
from shared.config_store.records.codec import decode, decode_value, encode, load
from shared.config_store.records.tenants import ScriptCall, call_members, common_keys
from shared.core.errors import BadRecord
from shared.model.config import Tenant
from shared.model.providers import Discovered, Model, PlatformDocument, Provider, Shared
from shared.model.uses import uses_offered, uses_shared

logger = logging.getLogger(__name__)

#: The message of `errors.Conflict`.
PLATFORM_CHANGED = "The platform was modified concurrently. Fetch it again and repeat the change."


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformVersion:
    """A stored document, with its author and its time. The fields are those of `PlatformDocument`."""

    providers: tuple[Provider, ...]
    models: tuple[Model, ...]
    prices: Mapping[str, Mapping[str, str]]
    actor: str
    written_at: float


@dataclass(frozen=True, slots=True)
class PlatformChange:
    """One write of the document, from `before` to `after`, which has its new version."""

    before: PlatformDocument
    after: PlatformDocument

    @classmethod
    def between(cls, before: PlatformDocument, after: PlatformDocument) -> Self:
        return cls(before, replace(after, version=before.version + 1))

    @property
    def removed_uses(self) -> Sequence[str]:
        """What tenants could use before, and cannot afterwards."""
        return sorted(uses_offered(self.before) - uses_offered(self.after))

    @property
    def narrowed(self) -> Mapping[str, tuple[Shared, Shared]]:
        """How each use was and will be shared, as far as that differs and is not with everybody."""
        before, after = uses_shared(self.before), uses_shared(self.after)
        return {
            use: (before[use], after[use])
            for use in sorted(before.keys() & after.keys())
            if before[use] != after[use] and not after[use].all
        }

    def losers(
        self, users: Mapping[str, Sequence[str]], tenants: Mapping[str, Tenant]
    ) -> Mapping[str, Sequence[str]]:
        """Those of the users of `narrowed` with whom no longer is shared what was. `tenants` are all users.

        A user that could not be read, and so is missing in `tenants`, counts as one.
        """

        def loses(use: str, tenant: Tenant | None) -> bool:
            if tenant is None:
                return True
            was, will = sharing[use]
            return was.includes(tenant.id, tenant.tier) and not will.includes(tenant.id, tenant.tier)

        sharing = self.narrowed
        found = {use: [one for one in ids if loses(use, tenants.get(one))] for use, ids in users.items()}
        return {use: ids for use, ids in found.items() if ids}

    @property
    def removed_providers(self) -> Sequence[str]:
        """The ids of the providers that the write removes."""
        kept = {provider.id for provider in self.after.providers}
        return [provider.id for provider in self.before.providers if provider.id not in kept]


def read_platform_call() -> ScriptCall:
    """The call of ``read_platform.lua``."""
    keys = (layout.IDENTITY, layout.REVISION, layout.PLATFORM)
    return ScriptCall(keys, (layout.platform_document_key(""),))


def discovered_call(
    owner: str, provider_id: str, found: Discovered, known: StoreState | None = None
) -> ScriptCall:
    """The call of ``write.lua`` for a provider's list of models; `known` as in `write_platform_call`."""
    members = {
        **call_members(known, None, None),
        "format": layout.OLDEST_FORMAT,
        "id": owner,
        "discovered": encode(found),
    }
    return ScriptCall((*common_keys(None), layout.discovered_key(provider_id)), (json.dumps(members),))


def write_platform_call(
    change: PlatformChange,
    *,
    actor: str,
    users: Sequence[Tenant] = (),
    known: StoreState | None = None,
    claim: Claim[PlatformDocument] | None = None,
) -> ScriptCall:
    """The call of ``write.lua``. `known` is the store that must have the data.

    `users` are all that use what is `PlatformChange.narrowed`; none of them loses anything.
    """
    after = change.after
    version = PlatformVersion(
        providers=after.providers,
        models=after.models,
        prices=after.prices,
        actor=actor,
        written_at=after.updated_at,
    )
    removed, narrowed, gone = change.removed_uses, change.narrowed, change.removed_providers
    members = {
        **call_members(known, claim, after),
        "format": layout.OLDEST_FORMAT,
        "id": layout.PLATFORM_ID,
        "before": str(change.before.revision),
        "document": encode(version),
        "record": {"version": str(after.version), "updated_at": repr(after.updated_at)},
        "uses": len(removed),
        "narrowed": len(narrowed),
        "users": [{"id": tenant.id, "version": str(tenant.version)} for tenant in users],
    }
    keys = [
        *common_keys(claim),
        layout.platform_document_key(change.before.version),
        layout.platform_document_key(after.version),
        *map(layout.uses_key, (*removed, *narrowed)),
        *(layout.tenant_key(tenant.id) for tenant in users),
        *map(layout.discovered_key, gone),
    ]
    return ScriptCall(keys, (json.dumps(members),))


class PlatformParser:
    """Parses the document again and again. What is as it was in the last one stays the same object.

    Of thousands of models, a change concerns a few: only these are decoded, compared and compiled again.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: Mapping[tuple[type, str], tuple[Any, Any]] = {}

    def __call__(self, reply: Any) -> PlatformDocument:
        """The document in the reply of ``read_platform.lua``. Raises `BadRecord`."""
        _, record, text = reply
        if not record:
            return PlatformDocument()
        try:
            if text is None:
                raise ValueError("its document is missing.")
            members = {name.decode(): value.decode() for name, value in batched(record, 2)}
            values = load(text)
            parsed: dict[tuple[type, str], tuple[Any, Any]] = {}
            providers = self._decoded(Provider, values["providers"], parsed)
            models = self._decoded(Model, values["models"], parsed)
            stored = decode_value(PlatformVersion, {**values, "providers": [], "models": []})
            document = PlatformDocument(
                providers,
                models,
                stored.prices,
                version=int(members["version"]),
                updated_at=float(members["updated_at"]),
                revision=int(members["revision"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadRecord(f"The stored platform cannot be read: {error}") from error
        self._last = parsed
        return document

    def _decoded[T](
        self, kind: type[T], values: Iterable[Any], parsed: dict[tuple[type, str], tuple[Any, Any]]
    ) -> tuple[T, ...]:
        """The records of one kind. `parsed` gets each with its value."""
        found = []
        for value in values:
            name = kind, value.get("id", value["name"])
            last = self._last.get(name)
            one: T = last[1] if last is not None and last[0] == value else decode_value(kind, value)
            parsed[name] = value, one
            found.append(one)
        return tuple(found)


def discovering(providers: Iterable[Provider]) -> Sequence[str]:
    """The ids of the providers whose own lists of models are fetched."""
    return [provider.id for provider in providers if provider.discover is not None]


def parse_discovered(provider_ids: Sequence[str], replies: Sequence[Any]) -> Mapping[str, Discovered]:
    """The lists that are there and can be read. A damaged one counts as not fetched."""
    found = {}
    for provider_id, reply in zip(provider_ids, replies, strict=True):
        try:
            if reply is not None:
                found[provider_id] = decode(Discovered, reply)
        except ValueError as error:
            logger.warning("The list of models of the provider %s cannot be read: %s", provider_id, error)
    return found
