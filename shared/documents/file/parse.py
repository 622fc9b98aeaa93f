"""Reads the document of a file: every problem at once, each with its place as a JSON pointer."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, NamedTuple

from marshmallow import Schema, ValidationError

from shared.core.empty import EMPTY
from shared.core.errors import Invalid, Problem
from shared.core.fields import MAX_PROBLEMS, UnknownMember, problems_of, text
from shared.core.json_pointer import escape_step
from shared.documents.ai.names import model_name
from shared.documents.ai.provider_model import PlatformPrices
from shared.documents.fields import slug
from shared.documents.file.entries import (
    ApiKeyEntry,
    BudgetEntry,
    ModelEntry,
    PlatformModelEntry,
    PlatformProviderEntry,
    PlatformWebhookEntry,
    ProviderEntry,
    RuleEntry,
    TenantEntry,
    WebhookEntry,
)
from shared.documents.tenant import TenantInput

#: The member that says how a file is to be read, and its only value.
FORMAT: Final = "_format_version"
VERSION: Final = "1"

# The sections of an owner: what reads a name, and an entry. Schemas are made once.
_NAMES: Final = {
    "rules": slug(),
    "providers": slug(),
    "models": model_name(),
    "budgets": text(200, ""),
    "webhooks": slug(),
    "api_keys": text(200, ""),
}
TENANT_SECTIONS: Final[Mapping[str, Schema]] = {
    "rules": RuleEntry(),
    "providers": ProviderEntry(),
    "models": ModelEntry(),
    "budgets": BudgetEntry(),
    "webhooks": WebhookEntry(),
    "api_keys": ApiKeyEntry(),
}
PLATFORM_SECTIONS: Final[Mapping[str, Schema]] = {
    "providers": PlatformProviderEntry(),
    "models": PlatformModelEntry(),
    "webhooks": PlatformWebhookEntry(),
}
TENANT: Final = TenantEntry()
#: The member that gives stored things other names, and the sections of which it may do so.
MOVED: Final = "moved"
TENANT_MOVED: Final = ("rules", "providers", "budgets", "webhooks", "api_keys")
PLATFORM_MOVED: Final = ("providers", "webhooks")
_PRICES = PlatformPrices()
_SUBDOMAIN = TenantInput().fields["subdomain"]
_MAP = "Must be an object."


class Entry(NamedTuple):
    """A thing of a file: `written` as it stands there, and `sent`, as the API would load it.

    `sent` is None for one that was told to be stored in the same form.
    """

    written: Mapping[str, Any]
    sent: Mapping[str, Any] | None


_NO_ENTRY: Final = Entry(EMPTY, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOwner:
    """The platform, or a tenant, in a file. A section that the file does not have is None.

    Attributes:
        tenant: the fields of a tenant; empty for the platform.
        rules, providers, models, budgets, webhooks, api_keys: the entries by their names.
        prices: those of the platform.
        moved: by section, the names that stored things have, with those that they get.
    """

    tenant: Entry = _NO_ENTRY
    rules: Mapping[str, Entry] | None = None
    providers: Mapping[str, Entry] | None = None
    models: Mapping[str, Entry] | None = None
    budgets: Mapping[str, Entry] | None = None
    webhooks: Mapping[str, Entry] | None = None
    api_keys: Mapping[str, Entry] | None = None
    prices: Mapping[str, Mapping[str, str]] | None = None
    moved: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class FileDocument(NamedTuple):
    """A file. `tenants` are by their subdomains; None for what the file does not have."""

    platform: FileOwner | None = None
    tenants: Mapping[str, FileOwner] | None = None


def parse_file(document: object, stored: Mapping[str, Any] = EMPTY) -> FileDocument:
    """The file in a JSON value. Raises `Invalid` with all problems, or with the first `MAX_PROBLEMS`.

    `stored` is what is stored now, as a normal form: an entry that equals it is not read again.
    """
    reader = _Reader()
    parsed = reader.document(document, stored)
    if reader.problems:
        raise Invalid(reader.problems)
    return parsed


class _Reader:
    """Reads one document. `problems` are those that were met."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def document(self, document: object, stored: Mapping[str, Any]) -> FileDocument:
        members = self._members(document, "", (FORMAT, "platform", "tenants"))
        if FORMAT not in members:
            self._add(Problem(f"/{FORMAT}", f'It is missing. Set it to "{VERSION}".'))
        elif members[FORMAT] != VERSION:
            detail = f'Must be the text "{VERSION}", the only version of the format.'
            self._add(Problem(f"/{FORMAT}", detail))
        platform = tenants = None
        if "platform" in members:
            platform = self._platform(members["platform"], stored.get("platform", EMPTY))
        if "tenants" in members:
            known = stored.get("tenants", EMPTY)
            tenants = self._named(
                *(members["tenants"], "/tenants", _SUBDOMAIN.deserialize),
                lambda name, written, at: self._tenant(written, at, known.get(name, EMPTY)),
            )
        return FileDocument(platform, tenants)

    def _platform(self, written: object, stored: Mapping[str, Any]) -> FileOwner:
        at = "/platform"
        members = self._members(written, at, (*PLATFORM_SECTIONS, "prices", MOVED))
        owner = FileOwner(**self._sections(members, at, PLATFORM_SECTIONS, stored))
        owner = replace(owner, moved=self._moved(members.get(MOVED), at, PLATFORM_MOVED, owner))
        if "prices" not in members:
            return owner
        loaded = self._load(_PRICES, {"prices": members["prices"] or {}}, at)
        return replace(owner, prices=loaded.get("prices", {}))

    def _tenant(self, written: object, at: str, stored: Mapping[str, Any]) -> FileOwner:
        members = self._members(written, at, (*TENANT.fields, *TENANT_SECTIONS, MOVED))
        own = {name: value for name, value in members.items() if name in TENANT.fields}
        is_stored = bool(stored) and own == {name: stored[name] for name in TENANT.fields if name in stored}
        entry = Entry(own, None if is_stored else self._load(TENANT, own, at))
        owner = FileOwner(tenant=entry, **self._sections(members, at, TENANT_SECTIONS, stored))
        return replace(owner, moved=self._moved(members.get(MOVED), at, TENANT_MOVED, owner))

    def _sections(
        self,
        members: Mapping[str, Any],
        at: str,
        sections: Mapping[str, Schema],
        stored: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The sections that an owner has, by their names."""
        return {
            kind: self._named(
                *(members[kind], f"{at}/{kind}", _NAMES[kind].deserialize),
                partial(self._entry, schema, stored.get(kind, EMPTY)),
            )
            for kind, schema in sections.items()
            if kind in members
        }

    def _moved(
        self, written: object, at: str, kinds: Iterable[str], owner: FileOwner
    ) -> Mapping[str, Mapping[str, str]]:
        """The other names of things, by sections. Each thing is in the file by its new name only."""
        at = f"{at}/{MOVED}"
        return {
            kind: self._named(
                *(one, f"{at}/{kind}", _NAMES[kind].deserialize),
                partial(self._new_name, kind, getattr(owner, kind) or EMPTY, {}),
            )
            for kind, one in self._members(written, at, kinds).items()
        }

    def _new_name(
        self,
        kind: str,
        section: Mapping[str, Entry],
        taken: dict[str, str],
        old: str,
        written: object,
        at: str,
    ) -> str:
        """The new name of the thing `old`. `taken` has the old names by the new ones until now."""
        try:
            new = str(_NAMES[kind].deserialize(written))
        except ValidationError as error:
            self._add(*problems_of(error.messages, at))
            return old
        if old in section:
            self._add(Problem(at, f"{kind} has {old}, too. Remove it there, or this line."))
        elif new not in section:
            self._add(Problem(at, f"{kind} has no {new}. Add it there, or correct the new name."))
        elif new in taken:
            self._add(Problem(at, f"{taken[new]} gets the name {new}, too. Remove one of them."))
        taken[new] = old
        return new

    def _entry(self, schema: Schema, stored: Mapping[str, Any], name: str, written: object, at: str) -> Entry:
        own = EMPTY if written is None else written
        if not isinstance(own, Mapping):
            self._add(Problem(at, _MAP))
            return Entry(EMPTY, EMPTY)
        if name in stored and own == stored[name]:
            return Entry(own, None)
        return Entry(own, self._load(schema, own, at))

    def _named[Item](
        self,
        written: object,
        at: str,
        read_name: Callable[[str], Any],
        read: Callable[[str, object, str], Item],
    ) -> dict[str, Item]:
        """The items of a map, by names that `read_name` accepts."""
        found: dict[str, Item] = {}
        if written is not None and not isinstance(written, Mapping):
            self._add(Problem(at, _MAP))
            return found
        for key, value in (written or EMPTY).items():
            place = f"{at}/{escape_step(key)}"
            try:
                name = read_name(key)
            except ValidationError as error:
                self._add(*problems_of(error.messages, place))
                continue
            if name in found:
                self._add(Problem(place, f"{name} is there twice. Remove one of them."))
            found[name] = read(name, value, place)
        return found

    def _members(self, written: object, at: str, allowed: Iterable[str]) -> Mapping[str, Any]:
        """The members of an object, of which only some are allowed."""
        if written is None:
            return EMPTY
        if not isinstance(written, Mapping):
            self._add(Problem(at, _MAP))
            return EMPTY
        names = list(allowed)
        unknown = UnknownMember.of(names)
        for name in written:
            if name not in names:
                self._add(Problem(f"{at}/{escape_step(name)}", unknown.for_name(name)))
        return {name: value for name, value in written.items() if name in names}

    def _load(self, schema: Schema, written: Mapping[str, Any], at: str) -> Mapping[str, Any]:
        try:
            loaded: Mapping[str, Any] = schema.load(written)
        except ValidationError as error:
            found = problems_of(error.messages)
            self._add(*(replace(one, pointer=at + one.pointer) for one in found))
            return EMPTY
        return loaded

    def _add(self, *found: Problem) -> None:
        self.problems += found
        if len(self.problems) >= MAX_PROBLEMS:
            raise Invalid(self.problems[:MAX_PROBLEMS])
