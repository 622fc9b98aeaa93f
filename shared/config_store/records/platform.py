"""The platform as Redis keeps it, and the call of the script that replaces its content."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import batched
from typing import Any, NamedTuple, Self

from shared.config_store import layout
from shared.config_store.history.audit import AuditEntry, AuditKey
from shared.config_store.history.edit import KEPT, Edit, Kept
from shared.config_store.idempotency import Claim
from shared.config_store.identity import StoreState
from shared.config_store.records.codec import decode, encode
from shared.config_store.records.contents import PlatformContent
from shared.config_store.records.tenants import (
    ContentChange,
    ScriptCall,
    call_members,
    common_keys,
    content_members,
    script_call,
)
from shared.model.config import Tenant
from shared.model.providers import Discovered, Model, PlatformDocument, Provider, Shared
from shared.model.uses import uses_offered, uses_shared

logger = logging.getLogger(__name__)

#: The message of `errors.Conflict`.
PLATFORM_CHANGED = "The platform was modified concurrently. Fetch it again and repeat the change."


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformVersion:
    """A whole document, as layout 3 has it, with its author and its time."""

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
        """The providers and models that tenants could use before, and cannot afterwards."""
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


def read_platform_call(held: str = "") -> ScriptCall:
    """The call of ``read_platform.lua``. `held` is the name of a root that need not be sent again."""
    keys = (layout.IDENTITY, layout.REVISION, layout.PLATFORM)
    return ScriptCall(keys, (layout.root_prefix(layout.PLATFORM_ID), layout.WHOLE_PLATFORM, held))


class StoredPlatform(NamedTuple):
    """The reply of ``read_platform.lua``: the record by names, and the document; empty if it is held."""

    record: Mapping[str, str]
    document: bytes | None

    @classmethod
    def parse(cls, reply: Any) -> Self | None:
        """The platform in a reply; None before the first write. Raises ValueError."""
        _, record, document = reply
        if not record:
            return None
        return cls({name.decode(): value.decode() for name, value in batched(record, 2)}, document)

    def document_of(self, content: PlatformContent) -> PlatformDocument:
        """The platform with its content. Raises ValueError and KeyError."""
        return PlatformDocument(
            content.providers,
            content.models,
            content.prices,
            version=int(self.record["version"]),
            updated_at=float(self.record["updated_at"]),
            revision=int(self.record["revision"]),
            webhooks=content.webhooks,
        )


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
    keys = (*common_keys(owner, None), layout.discovered_key(provider_id))
    return ScriptCall(keys, (json.dumps(members),))


def write_platform_call(
    change: PlatformChange,
    content: ContentChange[PlatformContent],
    edit: Edit,
    audit_key: AuditKey,
    *,
    users: Sequence[Tenant] = (),
    kept: Kept = KEPT,
    known: StoreState | None = None,
    claim: Claim[PlatformDocument] | None = None,
) -> ScriptCall:
    """The call of ``write.lua``. `known` and `kept` are as in `write_call`.

    `users` are all that use what is `PlatformChange.narrowed`; none of them loses anything.
    """
    after, owner = change.after, layout.PLATFORM_ID
    before = str(change.before.revision)
    entry = AuditEntry.of(edit, owner=owner, action="update", version=after.version, before=before)
    removed, narrowed = change.removed_uses, change.narrowed
    record = {"version": str(after.version), "updated_at": repr(after.updated_at)}
    if content.split:
        record["root"] = content.split.held.name
    members = {
        **call_members(known, claim, after),
        **content_members(owner, content, edit, kept),
        "audit": audit_key.sign(entry),
        "format": layout.FORMAT,
        "before": before,
        "record": record,
        "uses": len(removed),
        "narrowed": len(narrowed),
        "users": [{"id": tenant.id, "version": str(tenant.version)} for tenant in users],
    }
    keys = [
        *common_keys(owner, claim),
        *map(layout.uses_key, (*removed, *narrowed)),
        *(layout.tenant_key(tenant.id) for tenant in users),
        *map(layout.discovered_key, change.removed_providers),
    ]
    return script_call(keys, members, content.split)


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
