"""Reads and changes the contents of owners by their parts, without Redis: it says what to ask, and is told.

Contents that were read or written are held. Of a changed one, only the root and the new parts are read.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from itertools import batched
from typing import Any, NamedTuple

from shared.config_store import layout
from shared.config_store.records.codec import decode
from shared.config_store.records.contents import (
    AnyRoot,
    Content,
    Document,
    Part,
    PlatformContent,
    PlatformRoot,
    Root,
    kind_of_root,
)
from shared.config_store.records.parts import Held, HeldContents, PartNames, Writing, split
from shared.config_store.records.platform import (
    PlatformChange,
    PlatformVersion,
    StoredPlatform,
    read_platform_call,
)
from shared.config_store.records.tenants import (
    Change,
    ContentChange,
    ScriptCall,
    StoredTenant,
    Version,
    read_call,
)
from shared.core.errors import BadRecord
from shared.model.config import Snapshot
from shared.model.providers import PlatformDocument

#: The most parts of one call: Redis serves others between two calls, and no reply is very long.
MOST_PARTS = 500
#: A question: a call of a script that reads, or the keys of strings. Each is sent the reply of Redis.
type Ask = ScriptCall | Sequence[str]
type Reading[T] = Generator[Ask, Any, T]


class Done[T](NamedTuple):
    """The end of a reading, with its result."""

    result: T


def advance[T](reading: Reading[T], reply: Any = None) -> Ask | Done[T]:
    """The next question of a reading, after a reply; the first time without one. Raises `BadRecord`."""
    try:
        return reading.send(reply)
    except StopIteration as end:
        return Done(end.value)


class StoredContents:
    """The contents of all owners, as one process knows them. Any thread may use it."""

    def __init__(self, names: PartNames) -> None:
        self._names = names
        self._held = HeldContents()

    def tenant(self, tenant_id: str) -> Reading[Snapshot | None]:
        """Read a tenant; None when there is none. Raises `BadRecord`."""
        try:
            return (yield from self._tenant(tenant_id))
        except (ValueError, KeyError, TypeError) as error:
            raise BadRecord(f"The stored tenant {tenant_id} cannot be read: {error}") from error

    def platform(self) -> Reading[PlatformDocument]:
        """Read the platform; an empty document before the first write. Raises `BadRecord`."""
        try:
            return (yield from self._platform())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadRecord(f"The stored platform cannot be read: {error}") from error

    def version(self, owner: str, name: str, number: int) -> Reading[Content | None]:
        """Read a version, whose root has a `name`; None when it is gone. Raises `BadRecord`."""
        root = yield from self._root(owner, name, number)
        if root is None:
            return None
        held = self._held.get(owner)
        try:
            parts = yield from self._parts(owner, root, held.parts() if held else {})
        except ValueError as error:
            raise BadRecord(f"The version {number} of {owner} cannot be read: {error}") from error
        return None if parts is None else root.join(parts)

    def part_names(self, owner: str, name: str, number: int) -> Reading[Sequence[str] | None]:
        """Read the names of the parts of a version; None when it is gone. Raises `BadRecord`."""
        root = yield from self._root(owner, name, number)
        return None if root is None else [part for _, _, part in root.places()]

    def _root(self, owner: str, name: str, number: int) -> Reading[AnyRoot | None]:
        [text] = yield [layout.root_key(owner, number)]
        try:
            return None if text is None else self._names.decode_root(owner, name, text, kind_of_root(owner))
        except ValueError as error:
            raise BadRecord(f"The version {number} of {owner} cannot be read: {error}") from error

    def _tenant(self, tenant_id: str) -> Reading[Snapshot | None]:
        call = partial(read_call, tenant_id)
        found = yield from self._current(tenant_id, call, StoredTenant.parse, _whole_document)
        if found is None:
            return None
        stored, held = found
        return stored.snapshot(tenant_id, held.content)

    def _platform(self) -> Reading[PlatformDocument]:
        found = yield from self._current(
            layout.PLATFORM_ID, read_platform_call, StoredPlatform.parse, _whole_platform
        )
        if found is None:
            return PlatformDocument()
        stored, held = found
        return stored.document_of(held.content)

    def _current[Stored: (StoredTenant, StoredPlatform)](
        self,
        owner: str,
        call: Callable[[str], ScriptCall],
        parse: Callable[[Any], Stored | None],
        whole: Callable[[int, bytes], Held[Any]],
    ) -> Reading[tuple[Stored, Held[Any]] | None]:
        """The record and the content of an owner; None when there is none.

        `call` reads them, but for a root with the given name. `whole` decodes a content of an older layout.
        """
        incomplete = None
        while True:
            held = self._held.get(owner)
            stored = parse((yield call(held.name if held else "")))
            if stored is None:
                self._held.drop(owner)
                return None
            name = stored.record.get("root", "")
            if held is None or not name or name != held.name:
                if stored.document is None:
                    raise ValueError("its document is missing.")
                version = int(stored.record["version"])
                if name:
                    held = yield from self._content(owner, version, name, stored.document)
                else:
                    held = self._put(owner, whole(version, stored.document))
            if held is not None:
                return stored, held
            # A part is gone: a change came between the two replies, unless the root is still the same.
            if name == incomplete:
                raise ValueError("a part of its document is missing.")
            incomplete = name

    def _put[C: Content](self, owner: str, held: Held[C]) -> Held[C]:
        self._held.put(owner, held)
        return held

    def _content(self, owner: str, version: int, name: str, text: bytes) -> Reading[Held[Any] | None]:
        """Read and hold a content. None when a part that its root names is not there."""
        before = self._held.get(owner)
        root = self._names.decode_root(owner, name, text, kind_of_root(owner))
        parts = yield from self._parts(owner, root, before.parts() if before else {})
        if parts is None:
            return None
        return self._put(owner, Held(version=version, name=name, root=root, content=root.join(parts)))

    def _parts(
        self, owner: str, root: AnyRoot, known: Mapping[str, Part]
    ) -> Reading[Mapping[str, Part] | None]:
        """The parts of a root by their names; those that are not known are read."""
        missing = [place for place in root.places() if place[2] not in known]
        found = {**known}
        for places in batched(missing, MOST_PARTS):
            texts = yield [layout.part_key(owner, name) for _, _, name in places]
            if None in texts:
                return None
            for place, text in zip(places, texts, strict=True):
                found[place[2]] = self._names.decode_part(owner, place, text)
        return found

    def part_keys(self, owner: str) -> Sequence[str]:
        """The keys of the parts of the content that is held."""
        held = self._held.get(owner)
        return [layout.part_key(owner, name) for _, _, name in held.root.places()] if held else []

    def knows(self, owner: str, version: int) -> bool:
        """Whether a version of the content is held, so that another can replace it."""
        held = self._held.get(owner)
        return held is not None and held.version == version

    def change(self, change: Change, actor: str) -> ContentChange[Document]:
        """The change of a tenant's content by a write. Raises ValueError when two parts have the same id.

        If the document that it replaces is not held, or another one, the write is rejected.
        """
        before = self._held.get(change.tenant_id) if change.before else None
        if change.after is None or not change.has_new_document:
            return ContentChange(before)
        tenant = change.after.tenant
        writing = Writing(
            owner=tenant.id,
            content=Document.of(change.after),
            version=tenant.version,
            actor=actor,
            written_at=tenant.updated_at,
        )
        return ContentChange(before, split(self._names, writing, before))

    def change_platform(self, change: PlatformChange, actor: str) -> ContentChange[PlatformContent]:
        """The same of the platform."""
        before = self._held.get(layout.PLATFORM_ID) if change.before.version else None
        writing = Writing(
            owner=layout.PLATFORM_ID,
            content=PlatformContent.of(change.after),
            version=change.after.version,
            actor=actor,
            written_at=change.after.updated_at,
        )
        return ContentChange(before, split(self._names, writing, before))

    def written(self, owner: str, content: ContentChange[Any]) -> None:
        """Hold what was written."""
        if content.split is not None:
            self._held.put(owner, content.split.held)

    def drop(self, owner: str) -> None:
        """Forget an owner that was deleted."""
        self._held.drop(owner)


def _whole_document(version: int, text: bytes) -> Held[Document]:
    """A document of layout 2."""
    whole = decode(Version, text)
    root = Root(document=whole.document, actor=whole.actor, written_at=whole.written_at)
    return Held(version=version, name="", root=root, content=whole.document)


def _whole_platform(version: int, text: bytes) -> Held[PlatformContent]:
    """A document of the platform of layout 3."""
    whole = decode(PlatformVersion, text)
    root = PlatformRoot(actor=whole.actor, written_at=whole.written_at)
    content = PlatformContent(whole.providers, whole.models, whole.prices)
    return Held(version=version, name="", root=root, content=content)
