"""The versions of contents and the audit log, as the admin API reads them from Redis."""

from collections.abc import Callable, Sequence
from typing import Any

from redis import Redis

from shared.config_store import layout
from shared.config_store.durability import Replicas
from shared.config_store.history.audit import SignedEntry
from shared.config_store.history.edit import MAX_PINNED
from shared.config_store.history.versions import VersionNote
from shared.config_store.records.contents import Content
from shared.config_store.records.stored import Reading, StoredContents
from shared.config_store.redis_errors import redis_errors


class RedisHistory:
    """A `History`. `finish` runs a reading of `contents` to its end."""

    def __init__(
        self,
        client: Redis,
        contents: StoredContents,
        finish: Callable[[Reading[Any], str], Any],
        replicas: Replicas,
    ) -> None:
        self._client = client
        self._contents = contents
        self._finish = finish
        self._replicas = replicas
        self._pin = client.register_script(layout.script("pin"))

    def notes(self, owner: str, limit: int, before: int | None = None) -> Sequence[VersionNote]:
        keys = layout.version_keys(owner)
        newest = "+inf" if before is None else f"({before}"
        with redis_errors(owner):
            numbers: Any = self._client.zrange(
                keys.versions, newest, "-inf", byscore=True, desc=True, offset=0, num=limit
            )
        return [note for note in self._notes(keys, [int(one) for one in numbers]) if note is not None]

    def note(self, owner: str, number: int) -> VersionNote | None:
        return self._notes(layout.version_keys(owner), [number])[0]

    def _notes(self, keys: layout.VersionKeys, numbers: Sequence[int]) -> Sequence[VersionNote | None]:
        """The notes of versions; None for one that is gone."""
        if not numbers:
            return []
        with redis_errors(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hmget(keys.notes, [str(one) for one in numbers])
            pipeline.smembers(keys.pinned)
            texts, pinned = pipeline.execute()
        return [
            None if text is None else VersionNote.parse(one, text, pinned=str(one).encode() in pinned)
            for one, text in zip(numbers, texts, strict=True)
        ]

    def content(self, owner: str, note: VersionNote) -> Content | None:
        content: Content | None = self._finish(self._contents.version(owner, note.root, note.version), owner)
        return content

    def pin(self, owner: str, note: VersionNote, *, pinned: bool) -> bool | None:
        names: Any = self._finish(self._contents.part_names(owner, note.root, note.version), owner)
        if names is None:
            return None
        keys = layout.version_keys(owner)
        with redis_errors(owner), self._client.client() as connection:  # type: ignore[no-untyped-call]
            reply: Any = self._pin(
                [keys.versions, keys.pinned, keys.pinned_parts],
                [str(note.version), int(pinned), MAX_PINNED, *names],
                client=connection,
            )
            self._replicas.confirm(connection)
        return {1: True, 0: None, -1: False}[reply]

    def entries(self, limit: int, before: str | None = None) -> Sequence[SignedEntry]:
        newest = "+" if before is None else f"({before}"
        with redis_errors():
            found: Any = self._client.xrevrange(layout.AUDIT, newest, "-", limit)
        return [SignedEntry.parse(entry_id, fields) for entry_id, fields in found]
