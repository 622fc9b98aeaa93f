"""Reads and changes the documents of tenants by their parts, without Redis: it says what to ask, and is told.

What was read or written is held. Of a document that changed, only the root and the new parts are read.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple

from shared.config_store import layout
from shared.config_store.records.codec import decode
from shared.config_store.records.parts import (
    Held,
    HeldDocuments,
    Part,
    PartNames,
    Root,
    join,
    split,
)
from shared.config_store.records.tenants import (
    Change,
    PartsChange,
    ScriptCall,
    StoredTenant,
    Version,
    read_call,
)
from shared.core.errors import BadRecord
from shared.model.config import Snapshot

#: What to ask: a call of ``read.lua``, or the keys of strings. Each is sent the reply of Redis.
type Ask = ScriptCall | Sequence[str]
type Reading[T] = Generator[Ask, Any, T]


class Done(NamedTuple):
    """The end of a reading: the tenant, None when there is none."""

    snapshot: Snapshot | None


def advance(reading: Reading[Snapshot | None], reply: Any = None) -> Ask | Done:
    """What a reading asks next, after a reply; the first time without one. Raises `BadRecord`."""
    try:
        return reading.send(reply)
    except StopIteration as end:
        return Done(end.value)


class TenantDocuments:
    """The documents of all tenants, as one process knows them. Any thread may use it."""

    def __init__(self, names: PartNames) -> None:
        self._names = names
        self._held = HeldDocuments()

    def read(self, tenant_id: str) -> Reading[Snapshot | None]:
        """Read a tenant; None when there is none. Raises `BadRecord`."""
        try:
            return (yield from self._read(tenant_id))
        except (ValueError, KeyError, TypeError) as error:
            raise BadRecord(f"The stored tenant {tenant_id} cannot be read: {error}") from error

    def _read(self, tenant_id: str) -> Reading[Snapshot | None]:
        incomplete = None
        while True:
            held = self._held.get(tenant_id)
            stored = StoredTenant.parse((yield read_call(tenant_id, held.name if held else "")))
            if stored is None:
                self._held.drop(tenant_id)
                return None
            name = stored.record.get("root", "")
            if held is None or not name or name != held.name:
                held = yield from self._document(tenant_id, name, stored, held)
            if held is not None:
                return stored.snapshot(tenant_id, held.document)
            # A part is gone: a change came between the two replies, unless the root is still the same.
            if name == incomplete:
                raise ValueError("a part of its document is missing.")
            incomplete = name

    def _document(
        self, tenant_id: str, name: str, stored: StoredTenant, before: Held | None
    ) -> Reading[Held | None]:
        """Read and hold a document. None when a part that its root names is not there."""
        if stored.document is None:
            raise ValueError("its document is missing.")
        version = int(stored.record["version"])
        if not name:
            whole = decode(Version, stored.document)
            held = Held(
                version=version,
                name="",
                root=Root(document=whole.document, actor=whole.actor, written_at=whole.written_at),
                document=whole.document,
            )
        else:
            root = self._names.decode_root(tenant_id, name, stored.document)
            parts = yield from self._parts(tenant_id, root, dict(before.parts()) if before else {})
            if parts is None:
                return None
            held = Held(version=version, name=name, root=root, document=join(root, parts))
        self._held.put(tenant_id, held)
        return held

    def _parts(
        self, tenant_id: str, root: Root, known: Mapping[str, Part]
    ) -> Reading[Mapping[str, Part] | None]:
        """The parts of a root by their names; those that are not known are read."""
        missing = [place for place in root.places() if place[2] not in known]
        if not missing:
            return known
        texts = yield [layout.part_key(tenant_id, name) for _, _, name in missing]
        if None in texts:
            return None
        new = {
            place[2]: self._names.decode_part(tenant_id, place, text)
            for place, text in zip(missing, texts, strict=True)
        }
        return {**known, **new}

    def part_keys(self, tenant_id: str) -> Sequence[str]:
        """The keys of the parts of the document that is held."""
        held = self._held.get(tenant_id)
        places = held.root.places() if held else ()
        return [layout.part_key(tenant_id, name) for _, _, name in places]

    def knows(self, snapshot: Snapshot | None) -> bool:
        """Whether the document of a snapshot is held, so that `change` can replace it."""
        held = self._held.get(snapshot.tenant.id) if snapshot else None
        return snapshot is None or (held is not None and held.version == snapshot.tenant.version)

    def change(self, change: Change, actor: str) -> PartsChange:
        """What a write does to the parts. Raises ValueError when two parts have the same id.

        If the document that it replaces is not held, or another one, the write is refused.
        """
        held = self._held.get(change.tenant_id) if change.before else None
        replaces = held.name if held else ""
        if change.after is None:
            names = [name for _, _, name in held.root.places()] if held else []
            return PartsChange(replaces, None, names)
        if not change.has_new_document:
            return PartsChange(replaces)
        parts = split(self._names, change.after, held, actor)
        return PartsChange(replaces, parts, parts.held.root.dropped)

    def written(self, change: Change, parts: PartsChange) -> None:
        """Hold what was written."""
        if change.after is None:
            self._held.drop(change.tenant_id)
        elif parts.split is not None:
            self._held.put(change.tenant_id, parts.split.held)
