"""The document of a tenant in parts: each rule, provider and model is stored once, under a name of its own.

A root has the other fields, and the names of the parts in their order. So a save writes what changed and a
root, and versions share their parts. A name is the HMAC of a text, its kind and its tenant: what Redis has
under a name is the text that was stored under it, or it is refused.
"""

import hmac
import threading
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from shared.config_store.records.codec import decode, encode
from shared.model.config import Cors, PluginConfig, Rule, Snapshot
from shared.model.providers import Model, Provider

#: The fields of a document that are stored as parts.
KINDS: Mapping[str, type[Rule | Provider | Model]] = {"rules": Rule, "providers": Provider, "models": Model}
_ROOT = "root"
_NAME_BYTES = 18
#: Parts that a process keeps decoded: one of 2 KB takes about 5 KB.
MAX_PARTS = 20_000

type Part = Rule | Provider | Model


@dataclass(frozen=True, slots=True)
class Document:
    """The part of a tenant that has versions. The fields are those of `Tenant` and `Snapshot`."""

    name: str
    tier: str
    enabled_plugins: tuple[str, ...] | None
    required_plugins: Mapping[str, PluginConfig]
    plugin_chain: tuple[PluginConfig, ...]
    rules: tuple[Rule, ...] = ()
    cors: Cors | None = None
    providers: tuple[Provider, ...] = ()
    models: tuple[Model, ...] = ()

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        tenant = snapshot.tenant
        return cls(
            name=tenant.name,
            tier=tenant.tier,
            enabled_plugins=tenant.enabled_plugins,
            required_plugins=tenant.required_plugins,
            plugin_chain=tenant.plugin_chain,
            rules=snapshot.rules,
            cors=tenant.cors,
            providers=tenant.providers,
            models=tenant.models,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A stored version of a document.

    Attributes:
        document: the document without its parts.
        rules: the names of its rules by their ids, in order.
        providers: the same of its providers.
        models: the same of its models, by their names.
        dropped: the parts of the version before that this one has not.
        actor: the author.
        written_at: the time (the tenant's `updated_at`).
    """

    document: Document
    rules: Mapping[str, str] = field(default_factory=dict)
    providers: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    actor: str
    written_at: float

    def places(self) -> Iterator[tuple[str, str, str]]:
        """The kind, the id and the name of each part."""
        for kind in KINDS:
            for part_id, name in getattr(self, kind).items():
                yield kind, part_id, name


class PartNames:
    """Makes the names of parts. Without a `secret` they are plain hashes, as in tests."""

    def __init__(self, secret: bytes = b"") -> None:
        self._keyed = hmac.new(secret, digestmod="sha256")

    @classmethod
    def of(cls, hasher: Callable[[str], str]) -> Self:
        """The names of a deployment, whose API keys `hasher` hashes."""
        return cls(hasher("names of parts").encode())

    def __call__(self, tenant_id: str, kind: str, text: bytes) -> str:
        """The name of a part of a tenant."""
        keyed = self._keyed.copy()
        keyed.update(f"{tenant_id}\0{kind}\0".encode())
        keyed.update(text)
        return urlsafe_b64encode(keyed.digest()[:_NAME_BYTES]).decode()

    def root(self, tenant_id: str, text: bytes) -> str:
        """The name of a root, which stands in the record of the tenant."""
        return self(tenant_id, _ROOT, text)

    def decode_root(self, tenant_id: str, name: str, text: bytes) -> Root:
        """The root in a text. Raises ValueError, also when the text is not that of the name."""
        if not hmac.compare_digest(self.root(tenant_id, text), name):
            raise ValueError("its root is not the one that was stored.")
        return decode(Root, text)

    def decode_part(self, tenant_id: str, place: tuple[str, str, str], text: bytes) -> Part:
        """The part at a place of a root. Raises ValueError as `decode_root`."""
        kind, part_id, name = place
        if not hmac.compare_digest(self(tenant_id, kind, text), name):
            raise ValueError(f"the part {part_id} of its {kind} is not the one that was stored.")
        part = decode(KINDS[kind], text)
        if id_of(part) != part_id:
            raise ValueError(f"the part {part_id} of its {kind} has another id.")
        return part


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A version of a document that was read or written, with all its parts decoded.

    `name` is that of its root; empty for a document of layout 2, whose `root` names no parts.
    """

    version: int
    name: str
    root: Root
    document: Document

    def parts(self) -> Iterator[tuple[str, Part]]:
        """The name of each part, and the part."""
        for kind in KINDS:
            yield from zip(getattr(self.root, kind).values(), getattr(self.document, kind), strict=False)


class HeldDocuments:
    """The documents that were used last, with at most `most` parts together. Any thread may use it."""

    def __init__(self, most: int = MAX_PARTS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._count = 0

    def get(self, tenant_id: str) -> Held | None:
        """The document of a tenant, if it is here."""
        with self._lock:
            held = self._held.get(tenant_id)
            if held is not None:
                self._held.move_to_end(tenant_id)
            return held

    def put(self, tenant_id: str, held: Held) -> None:
        """Keep a document in place of the one before. It stays, however many parts it has."""
        with self._lock:
            self._remove(tenant_id)
            self._held[tenant_id] = held
            self._count += _size(held)
            while self._count > self._most and len(self._held) > 1:
                self._remove(next(iter(self._held)))

    def drop(self, tenant_id: str) -> None:
        """Forget the document of a tenant."""
        with self._lock:
            self._remove(tenant_id)

    def _remove(self, tenant_id: str) -> None:
        held = self._held.pop(tenant_id, None)
        self._count -= _size(held) if held else 0


def _size(held: Held) -> int:
    """The parts of a document, and one for its other fields."""
    return 1 + sum(len(getattr(held.document, kind)) for kind in KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A document as it is written.

    Attributes:
        held: the document, as it will be read.
        text: its root.
        new: the texts of the parts that are not stored yet, by their names.
    """

    held: Held
    text: str
    new: Mapping[str, str]


def split(names: PartNames, snapshot: Snapshot, before: Held | None, actor: str) -> Split:
    """The document of a tenant in parts. What `before` has is neither encoded nor decoded again.

    Raises ValueError when two parts of a kind have the same id.
    """
    tenant, whole = snapshot.tenant, Document.of(snapshot)
    known = dict(before.parts()) if before else {}
    named = {id(part): name for name, part in known.items()}
    new: dict[str, str] = {}
    places: dict[str, dict[str, str]] = {}
    for kind in KINDS:
        parts: Sequence[Part] = getattr(whole, kind)
        place = places[kind] = {}
        for part in parts:
            name = named.get(id(part))
            if name is None:
                text = encode(part)
                name = names(tenant.id, kind, text.encode())
                if name not in known:
                    # As it will be read, whatever the writer had.
                    new[name], known[name] = text, decode(KINDS[kind], text)
            place[id_of(part)] = name
        if len(place) != len(parts):
            raise ValueError(f"Two {kind} of the tenant {tenant.id} have the same id.")
    used = {name for place in places.values() for name in place.values()}
    root = Root(
        document=_fields(whole, before),
        dropped=tuple(name for name in named.values() if name not in used),
        actor=actor,
        written_at=tenant.updated_at,
        **places,
    )
    text = encode(root)
    name = names.root(tenant.id, text.encode())
    held = Held(version=tenant.version, name=name, root=root, document=join(root, known))
    return Split(held=held, text=text, new=new)


def _fields(whole: Document, before: Held | None) -> Document:
    """A document without its parts, as it will be read."""
    fields = replace(whole, rules=(), providers=(), models=())
    if before is not None and before.root.document == fields:
        return before.root.document
    return decode(Document, encode(fields))


def join(root: Root, parts: Mapping[str, Part]) -> Document:
    """The document of a root, with its parts, which are by their names."""
    found: dict[str, Any] = {
        kind: tuple(parts[name] for name in getattr(root, kind).values()) for kind in KINDS
    }
    return replace(root.document, **found)


def id_of(part: Part) -> str:
    """What a part is called in its document."""
    return part.name if isinstance(part, Model) else part.id
