"""Gives the stored parts and roots their names by another pepper."""

import logging
from collections.abc import Mapping
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


def rename_parts(client: Redis, names: PartNames) -> None:
    """Rename all parts and roots. What is stored is taken as it is, unchecked."""
    found: Any = client.zrange(layout.ORDER, 0, -1)
    for owner in (*map(bytes.decode, found), layout.PLATFORM_ID):
        try:
            client.transaction(partial(_rename, owner, names), _record_key(owner))
        except ValueError as error:
            logger.warning("The parts of %s keep their names: %s", owner, error)


def _record_key(owner: str) -> str:
    return layout.PLATFORM if owner == layout.PLATFORM_ID else layout.tenant_key(owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owner:
    """All that is named by names of parts: the roots and the notes by version, and two lists."""

    current: int
    roots: Mapping[int, AnyRoot]
    notes: Mapping[int, bytes]
    dropped: Mapping[str, float]
    pinned_parts: Mapping[str, int]


def _rename(owner: str, names: PartNames, pipeline: Any) -> None:
    """Read one owner, and queue the commands of a transaction."""
    stored = _read(owner, pipeline)
    if stored is None:
        return  # a whole document, of an older layout
    kinds = {place[2]: place[0] for root in stored.roots.values() for place in root.places()}
    texts = pipeline.mget(layout.part_key(owner, one) for one in kinds) if kinds else []
    if None in texts:
        raise ValueError("a part is missing.")
    new = {one: names(owner, kind, text) for (one, kind), text in zip(kinds.items(), texts, strict=True)}
    keys = layout.version_keys(owner)
    pipeline.multi()
    for old, name in new.items():
        pipeline.rename(layout.part_key(owner, old), layout.part_key(owner, name))
    pipeline.delete(keys.dropped, keys.pinned_parts)
    for old, version in stored.dropped.items():
        pipeline.zadd(keys.dropped, {new[old]: version})
    for old, count in stored.pinned_parts.items():
        pipeline.hset(keys.pinned_parts, new[old], str(count))
    for version, root in stored.roots.items():
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


def _read(owner: str, pipeline: Any) -> _Owner | None:
    """An owner; None for one whose document is not in parts. Raises ValueError."""
    keys = layout.version_keys(owner)
    version, root = pipeline.hmget(_record_key(owner), "version", "root")
    if root is None:
        return None
    notes = {int(one): text for one, text in pipeline.hgetall(keys.notes).items()}
    versions = {int(version), *notes}
    kind = kind_of_root(owner)
    return _Owner(
        current=int(version),
        roots={one: decode(kind, pipeline.get(layout.root_key(owner, one)) or "") for one in versions},
        notes=notes,
        dropped={one.decode(): score for one, score in pipeline.zrange(keys.dropped, 0, -1, withscores=True)},
        pinned_parts={one.decode(): int(count) for one, count in pipeline.hgetall(keys.pinned_parts).items()},
    )
