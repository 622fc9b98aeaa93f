"""Rewrites what is stored of an owner, in all versions: parts and roots with other texts, or other names.

An owner is rewritten in one transaction, and again while another process changes it at the same time.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from redis import Redis

from shared.config_store import layout
from shared.config_store.history.versions import VersionNote
from shared.config_store.records.codec import decode, encode
from shared.config_store.records.contents import AnyRoot, kind_of_root
from shared.config_store.records.parts import PartNames

logger = logging.getLogger(__name__)


#: How long parts that were replaced stay, in milliseconds: a reader may have read the root that names them.
KEPT_MS = 600_000


class Rewrite:
    """A change of the stored texts. This one leaves them as they are."""

    def part(self, owner: str, kind: str, text: bytes) -> bytes:
        """The new text of a part."""
        return text

    def root[Kind: AnyRoot](self, owner: str, root: Kind) -> Kind:
        """A root with another content; the names of its parts are set afterwards."""
        return root


def rename_parts(client: Redis, names: PartNames) -> None:
    """Rename all parts and roots. The texts are taken as they are, unchecked."""
    for owner in owners(client):
        try:
            rewrite(client, names, owner, Rewrite())
        except ValueError as error:
            logger.warning("The parts of %s keep their names: %s", owner, error)


def owners(client: Redis) -> Sequence[str]:
    """All tenants, and the platform."""
    found: Any = client.zrange(layout.ORDER, 0, -1)
    return (*map(bytes.decode, found), layout.PLATFORM_ID)


def rewrite(client: Redis, names: PartNames, owner: str, change: Rewrite, noted: str | None = None) -> bool:
    """Rewrite an owner. Returns whether anything differs now.

    `noted` is a set in Redis that gets the owner in the same step if it does; then the texts must fit their
    names. Raises ValueError when a part is missing or damaged.
    """
    keys = layout.version_keys(owner)
    watched = (_record_key(owner), keys.notes, keys.pinned_parts)
    # `transaction` returns the replies of the last attempt, which has no command when nothing differs.
    replies: Any = client.transaction(partial(_rewrite, owner, names, change, noted), *watched)
    return bool(replies)


def _record_key(owner: str) -> str:
    return layout.PLATFORM if owner == layout.PLATFORM_ID else layout.tenant_key(owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owner:
    """All that has names of parts: roots and notes by version, the parts with their kinds, and two lists."""

    current: int
    root_name: str
    texts: Mapping[int, bytes]
    roots: Mapping[int, AnyRoot]
    parts: Mapping[str, tuple[str, bytes]]
    notes: Mapping[int, bytes]
    dropped: Mapping[str, float]
    pinned_parts: Mapping[str, int]


def _rewrite(owner: str, names: PartNames, change: Rewrite, noted: str | None, pipeline: Any) -> None:
    """Read one owner, and queue the commands of a transaction; none if nothing differs."""
    stored = _read(owner, pipeline)
    if stored is not None and noted is not None:
        _check(owner, names, stored)
    pipeline.multi()
    if stored is None:
        return  # a whole document, of an older layout
    texts = {name: change.part(owner, kind, text) for name, (kind, text) in stored.parts.items()}
    new = {name: names(owner, kind, texts[name]) for name, (kind, _) in stored.parts.items()}
    roots = {version: change.root(owner, root) for version, root in stored.roots.items()}
    if noted is not None:
        is_named = names.root(owner, stored.texts[stored.current]) == stored.root_name
        if is_named and roots == stored.roots and all(old == name for old, name in new.items()):
            return
        pipeline.sadd(noted, owner)
    _put_parts(owner, new, texts, pipeline)
    keys = layout.version_keys(owner)
    pipeline.delete(keys.dropped, keys.pinned_parts)
    for old, version in stored.dropped.items():
        pipeline.zadd(keys.dropped, {new[old]: version})
    for old, count in stored.pinned_parts.items():
        pipeline.hset(keys.pinned_parts, new[old], str(count))
    for version, root in roots.items():
        places = {kind: getattr(root, kind) for kind in root.kinds}
        named: Any = {kind: {one: new[old] for one, old in by_id.items()} for kind, by_id in places.items()}
        text = encode(replace(root, dropped=(), **named))
        name = names.root(owner, text.encode())
        pipeline.set(layout.root_key(owner, version), text)
        if version in stored.notes:
            note = VersionNote.parse(version, stored.notes[version], pinned=False)
            pipeline.hset(keys.notes, str(version), replace(note, root=name).stored())
        if version == stored.current:
            pipeline.hset(_record_key(owner), "root", name)


def _check(owner: str, names: PartNames, stored: _Owner) -> None:
    """Raise ValueError when a text is not the one that was stored: else it would get a valid name here."""
    for name, (kind, text) in stored.parts.items():
        if not names.fits(name, owner, kind, text):
            raise ValueError("a part is not the one that was stored.")
    for version, text in stored.texts.items():
        known = [stored.root_name] if version == stored.current else []
        if version in stored.notes:
            known.append(VersionNote.parse(version, stored.notes[version], pinned=False).root)
        if not all(names.root_fits(name, owner, text) for name in known):
            raise ValueError(f"the version {version} is not the one that was stored.")


def _put_parts(owner: str, new: Mapping[str, str], texts: Mapping[str, bytes], pipeline: Any) -> None:
    """Store the parts under their new names. The old ones go a while later, for readers of the old root."""
    for old, name in new.items():
        pipeline.set(layout.part_key(owner, name), texts[old])
    for old in new.keys() - new.values():
        pipeline.pexpire(layout.part_key(owner, old), KEPT_MS)


def _read(owner: str, pipeline: Any) -> _Owner | None:
    """An owner; None for one whose document is not in parts. Raises ValueError."""
    keys = layout.version_keys(owner)
    version, root = pipeline.hmget(_record_key(owner), "version", "root")
    if root is None:
        return None
    notes = {int(one): text for one, text in pipeline.hgetall(keys.notes).items()}
    texts = {one: pipeline.get(layout.root_key(owner, one)) or b"" for one in {int(version), *notes}}
    roots = {one: decode(kind_of_root(owner), text) for one, text in texts.items()}
    kinds = {name: kind for one in roots.values() for kind, _, name in one.places()}
    parts = pipeline.mget(layout.part_key(owner, name) for name in kinds) if kinds else []
    if None in parts:
        raise ValueError("a part is missing.")
    return _Owner(
        current=int(version),
        root_name=root.decode(),
        texts=texts,
        roots=roots,
        parts={name: (kind, text) for (name, kind), text in zip(kinds.items(), parts, strict=True)},
        notes=notes,
        dropped={one.decode(): score for one, score in pipeline.zrange(keys.dropped, 0, -1, withscores=True)},
        pinned_parts={one.decode(): int(count) for one, count in pipeline.hgetall(keys.pinned_parts).items()},
    )
