"""The content of an owner, a tenant or the platform, in parts: each is stored once, under a name of its own.

So a save writes what changed and a root, and versions share their parts. A name is the HMAC of a text, its
kind and its owner: a text that was not stored under its name is rejected.
"""

import hmac
import threading
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from shared.config_store.records.codec import decode, encode
from shared.config_store.records.contents import (
    KINDS,
    AnyRoot,
    Content,
    Document,
    Part,
    PlatformRoot,
    Root,
    ids_of,
)

_ROOT = "root"
_NAME_BYTES = 18
#: Parts that a process keeps decoded: one of 2 KB takes about 5 KB.
MAX_PARTS = 20_000


class PartNames:
    """Makes the names of parts. Without a `secret` they are plain hashes, as in tests.

    Names by `older` secrets are valid, too, until the parts have new ones (``rotate-secrets``).
    """

    def __init__(self, secret: bytes = b"", *older: bytes) -> None:
        self._keyed = hmac.new(secret, digestmod="sha256")
        self._older = tuple(PartNames(one) for one in older)

    @classmethod
    def of(cls, hasher: Callable[[str], str], *older: Callable[[str], str]) -> Self:
        """The names of a deployment, whose API keys `hasher` hashes, and `older` ones have hashed."""
        return cls(*(one("names of parts").encode() for one in (hasher, *older)))

    def __call__(self, owner: str, kind: str, text: bytes) -> str:
        """The name of a part of an owner, which is the id of a tenant, or ``platform``."""
        keyed = self._keyed.copy()
        keyed.update(f"{owner}\0{kind}\0".encode())
        keyed.update(text)
        return urlsafe_b64encode(keyed.digest()[:_NAME_BYTES]).decode()

    def fits(self, name: str, owner: str, kind: str, text: bytes) -> bool:
        """Whether the text was stored under this name."""
        if hmac.compare_digest(self(owner, kind, text), name):
            return True
        return any(one.fits(name, owner, kind, text) for one in self._older)

    def root_fits(self, name: str, owner: str, text: bytes) -> bool:
        """The same for a root."""
        return self.fits(name, owner, _ROOT, text)

    def root(self, owner: str, text: bytes) -> str:
        """The name of a root, which stands in the record of the owner."""
        return self(owner, _ROOT, text)

    def decode_root[R: AnyRoot](self, owner: str, name: str, text: bytes, kind: type[R]) -> R:
        """The root in a text. Raises ValueError, also when the text is not that of the name."""
        if not self.root_fits(name, owner, text):
            raise ValueError("its root is not the one that was stored.")
        return decode(kind, text)

    def decode_part(self, owner: str, place: tuple[str, str, str], text: bytes) -> Part:
        """The part at a place of a root. Raises ValueError as `decode_root`."""
        kind, part_id, name = place
        if not self.fits(name, owner, kind, text):
            raise ValueError(f"the part {part_id} of its {kind} is not the one that was stored.")
        part: Part = decode(KINDS[kind], text)
        if [*ids_of(kind, [part])] != [part_id]:
            raise ValueError(f"the part {part_id} of its {kind} has another id.")
        return part


@dataclass(frozen=True, slots=True, kw_only=True)
class Held[C: Content]:
    """A version that was read or written, with all its parts decoded.

    `name` is that of its root; empty for a whole document of an older layout, whose `root` names no parts.
    """

    version: int
    name: str
    root: AnyRoot
    content: C

    def parts(self) -> dict[str, Part]:
        """The parts by their names."""
        found: dict[str, Part] = {}
        for kind in self.root.kinds:
            found.update(zip(getattr(self.root, kind).values(), self.content.parts(kind), strict=False))
        return found


class HeldContents:
    """The contents that were used last, with at most `most` parts together. Any thread may use it."""

    def __init__(self, most: int = MAX_PARTS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Held[Any]] = OrderedDict()
        self._count = 0

    def get(self, owner: str) -> Held[Any] | None:
        """The content of an owner, if it is here."""
        with self._lock:
            held = self._held.get(owner)
            if held is not None:
                self._held.move_to_end(owner)
            return held

    def put(self, owner: str, held: Held[Any]) -> None:
        """Keep a content in place of the one before. It stays, however many parts it has."""
        with self._lock:
            self._remove(owner)
            self._held[owner] = held
            self._count += _size(held)
            while self._count > self._most and len(self._held) > 1:
                self._remove(next(iter(self._held)))

    def drop(self, owner: str) -> None:
        """Forget the content of an owner."""
        with self._lock:
            self._remove(owner)

    def _remove(self, owner: str) -> None:
        held = self._held.pop(owner, None)
        self._count -= _size(held) if held else 0


def _size(held: Held[Any]) -> int:
    """The parts of a content, and one for its other fields."""
    return 1 + sum(len(getattr(held.content, kind)) for kind in held.root.kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split[C: Content]:
    """A content as it is written.

    Attributes:
        held: the content, as it will be read.
        text: its root.
        new: the texts of the parts that the version before has not, by their names.
    """

    held: Held[C]
    text: str
    new: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing[C: Content]:
    """A content to be written: its owner, its version, author and time."""

    owner: str
    content: C
    version: int
    actor: str
    written_at: float


def split[C: Content](names: PartNames, writing: Writing[C], before: Held[C] | None) -> Split[C]:
    """A content in parts. Parts of `before` are neither encoded nor decoded again.

    Raises ValueError when two parts of a kind have the same id.
    """
    content = writing.content
    kind_of_root: Any = Root if isinstance(content, Document) else PlatformRoot
    known = before.parts() if before else {}
    old = tuple(known)
    named = dict(zip(map(id, known.values()), old, strict=True))
    new: dict[str, str] = {}

    def name_of(kind: str, part: Part) -> str:
        text = encode(part)
        name = names(writing.owner, kind, text.encode())
        if name not in known:
            # As it will be read, whatever the writer had.
            new[name], known[name] = text, decode(KINDS[kind], text)
        return name

    places: dict[str, dict[str, str]] = {}
    for kind in kind_of_root.kinds:
        parts = content.parts(kind)
        # Of many parts few are new, so no function is called for the others.
        found = map(named.get, map(id, parts))
        held = [name or name_of(kind, part) for name, part in zip(found, parts, strict=True)]
        places[kind] = dict(zip(ids_of(kind, parts), held, strict=True))
        if len(places[kind]) != len(parts):
            raise ValueError(f"Two {kind} of {writing.owner} have the same id.")
    used = {name for place in places.values() for name in place.values()}
    root = kind_of_root(
        **({"document": _bare(content, before)} if isinstance(content, Document) else {}),
        **places,
        dropped=tuple(name for name in old if name not in used),
        actor=writing.actor,
        written_at=writing.written_at,
    )
    text = encode(root)
    name = names.root(writing.owner, text.encode())
    as_read = Held(version=writing.version, name=name, root=root, content=root.join(known))
    return Split(held=as_read, text=text, new=new)


def _bare(document: Document, before: Held[Any] | None) -> Document:
    """A document without its parts, as it will be read."""
    bare = document.bare()
    if before is not None and isinstance(before.root, Root) and before.root.document == bare:
        return before.root.document
    return decode(Document, encode(bare))
