"""Checks the invariants of the versions of a content."""

from collections.abc import Iterator, Sequence
from typing import Any

from redis import Redis

from shared.config_store import layout
from shared.config_store.history.versions import VersionNote
from shared.config_store.records.contents import AnyRoot, kind_of_root
from shared.config_store.records.parts import PartNames


class VersionsCheck:
    """The versions of one owner. `current` are the keys of the parts of its newest one."""

    def __init__(self, client: Redis, names: PartNames, owner: str, current: Sequence[str]) -> None:
        self._client = client
        self._names = names
        self._owner = owner
        self._keys = layout.version_keys(owner)
        #: The keys of all roots and parts that the versions need, as far as they could be read.
        self.needed: set[str] = set(current)
        self._current = set(current)

    def violations(self) -> Iterator[str]:
        """A sentence about each broken invariant."""
        client: Any = self._client
        numbers = [one.decode() for one in client.zrange(self._keys.versions, 0, -1)]
        pinned = {one.decode() for one in client.smembers(self._keys.pinned)}
        notes = {one.decode(): text for one, text in client.hgetall(self._keys.notes).items()}
        if set(numbers) != notes.keys():
            yield f"The versions of {self._owner} and their notes differ."
        if set(numbers) != {one.decode() for one in client.hkeys(self._keys.version_bytes)}:
            yield f"The versions of {self._owner} and their sizes differ."
        if not pinned <= set(numbers):
            yield f"A pinned version of {self._owner} is gone."
        counts: dict[str, int] = {}
        for number in numbers:
            try:
                names = [name for _, _, name in self._root(number, notes).places()]
            except (ValueError, KeyError) as error:
                yield f"The version {number} of {self._owner} cannot be read: {error}"
                continue
            self.needed.add(layout.root_key(self._owner, number))
            self.needed.update(layout.part_key(self._owner, name) for name in names)
            if number in pinned:
                counts.update({name: counts.get(name, 0) + 1 for name in names})
        yield from self._check_parts(counts)

    def _check_parts(self, counts: dict[str, int]) -> Iterator[str]:
        client: Any = self._client
        stored = {name.decode(): int(n) for name, n in client.hgetall(self._keys.pinned_parts).items()}
        if stored != counts:
            yield f"The parts of the pinned versions of {self._owner} are counted wrong."
        needed = [key for key in self.needed if key.startswith(layout.part_prefix(self._owner))]
        missing = [key for key in needed if not client.exists(key)]
        if missing:
            yield f"The versions of {self._owner} lack {len(missing)} of their parts, such as {missing[0]}."
        names = client.zrange(self._keys.dropped, 0, -1)
        dropped = {layout.part_key(self._owner, name.decode()) for name in names}
        if dropped != set(needed) - self._current:
            yield f"The list of the parts that only old versions of {self._owner} have is wrong."

    def _root(self, number: str, notes: dict[str, bytes]) -> AnyRoot:
        note = VersionNote.parse(int(number), notes[number], pinned=False)
        text: Any = self._client.get(layout.root_key(self._owner, number))
        if text is None:
            raise ValueError("its root is missing.")
        return self._names.decode_root(self._owner, note.root, text, kind_of_root(self._owner))
