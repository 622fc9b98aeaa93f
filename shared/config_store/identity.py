"""The identity of a store: whether it is the one that this gateway served last.

A store gets an identity once. Its generation grows when an operator accepts it, its revision with each
change. So a store that lost its data, or is an older copy, differs from what was seen before. The ids of the
pepper and of the encryption keys show whether its data can be used.
"""

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple, Self

from shared.config_store import layout
from shared.core.errors import GatewayError, StoreLost
from shared.secrets.api_keys import secret_id

#: The keys of ``adopt.lua``.
ADOPTION_KEYS = (layout.IDENTITY, layout.LAYOUT, layout.ORDER)
_REPLACES = "replaces:"
#: The command of the operator that makes the present store the true one.
ACCEPT = "python -m shared.redis_server accept"
#: The message of `errors.StoreLost`, with the reason.
LOST = (
    "The store is not the one that was served last: {}. Restore its data, or accept it with: " + ACCEPT + "."
)


class SecretIds(NamedTuple):
    """The public names of the secrets of this process. The first ones hash and encrypt, all are valid."""

    peppers: tuple[str, ...]
    keys: tuple[str, ...]

    @classmethod
    def of(cls, peppers: Iterable[bytes], keys: Iterable[bytes]) -> Self:
        return cls(tuple(map(secret_id, peppers)), tuple(map(secret_id, keys)))

    def have(self, state: "StoreState") -> bool:
        """Whether this process has all secrets that a store needs."""
        return {*state.peppers} <= {*self.peppers} and {*state.keys} <= {*self.keys}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """The identity of a store, and its newest state.

    Attributes:
        id: a random name.
        generation: how often an operator accepted older data.
        revision: the number of its newest change.
        pepper: ids of the peppers that its content needs, the newest last, with spaces between them.
        keys: ids of the keys that encrypt its secrets.
        replaces: stores that this one replaces, each with the generation that was seen last.
    """

    id: str
    generation: int
    revision: int
    pepper: str
    keys: tuple[str, ...]
    replaces: Mapping[str, int] = field(default_factory=dict)

    @property
    def peppers(self) -> tuple[str, ...]:
        """The ids in `pepper`."""
        return tuple(self.pepper.split())

    @classmethod
    def parse(cls, identity: Mapping[bytes, bytes], revision: bytes | None) -> Self | None:
        """The state in the replies of Redis; None when the store has no identity. Raises `GatewayError`."""
        if not identity:
            return None
        members = {name.decode(): value.decode() for name, value in identity.items()}
        try:
            return cls(
                id=members["id"],
                generation=int(members["generation"]),
                revision=int(revision or 0),
                pepper=members["pepper"],
                keys=tuple(members["keys"].split()),
                replaces={
                    name.removeprefix(_REPLACES): int(value)
                    for name, value in members.items()
                    if name.startswith(_REPLACES)
                },
            )
        except (KeyError, ValueError) as error:
            raise GatewayError(f"The key {layout.IDENTITY} in Redis is damaged: {error}.") from None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The state of `to_json`. Raises KeyError or TypeError."""
        return cls(**{**document, "keys": tuple(document["keys"])})

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "keys": list(self.keys)}

    def why_lost(self, found: "StoreState | None") -> str | None:
        """Why `found` is not the store of this state; None when it is. Without any change nothing is lost."""
        if not self.revision:
            return None
        if found is None:
            return "it is empty"
        if found.id != self.id:
            replaced = found.replaces.get(self.id, 0) >= self.generation
            return None if replaced else "it is another store"
        if (found.generation, found.revision) >= (self.generation, self.revision):
            return None
        return f"it is an older copy, which ends with change {found.revision} of {self.revision}"


def adoption(secrets: SecretIds, found: StoreState | None = None) -> list[str]:
    """The arguments of ``adopt.lua``. Secrets that the store `found` needs already stay needed."""
    peppers, keys = (found.peppers, found.keys) if found else ((), ())
    return [
        os.urandom(16).hex(),
        _with_newest(peppers, secrets.peppers[0]),
        _with_newest(keys, secrets.keys[0]),
        str(layout.OLDEST_FORMAT),
        found.pepper if found else "",
    ]


def _with_newest(ids: Sequence[str], newest: str) -> str:
    return " ".join(dict.fromkeys((*ids, newest)))


class KnownStore:
    """The newest state of the store that was seen. Any thread may use it.

    `seen` is the state that was seen before the start, and `changed` is called with each newer one. Without
    `secrets` no store is adopted, as in tests.
    """

    def __init__(
        self,
        secrets: SecretIds | None = None,
        seen: StoreState | None = None,
        changed: Callable[[StoreState], None] = lambda _: None,
    ) -> None:
        self._lock = threading.Lock()
        self._secrets = secrets
        self._changed = changed
        self._seen = seen

    @property
    def seen(self) -> StoreState | None:
        """The newest state. Take it before a question to Redis, and pass it to `check` with the reply."""
        return self._seen

    def adoption(self, found: StoreState | None) -> list[str] | None:
        """The arguments of ``adopt.lua`` when the store lacks an identity, or the id of a first secret."""
        secrets, seen = self._secrets, self._seen
        if secrets is None or (seen and seen.why_lost(found)):
            return None
        if found:
            is_complete = secrets.keys[0] in found.keys and secrets.peppers[0] in found.peppers
            if is_complete or not secrets.have(found):
                return None
        return adoption(secrets, found)

    def check(self, found: StoreState | None, before: StoreState | None) -> None:
        """Take note of the state in a reply; `before` was `seen` when the question was sent.

        Raises `StoreLost`.
        """
        if before and (why := before.why_lost(found)):
            raise StoreLost(LOST.format(why))
        if found is None:
            return
        if not self._fits(found):
            raise StoreLost(LOST.format("its secrets are those of another gateway"))
        with self._lock:
            # A slow reply must not replace a newer one.
            if self._seen is before or found.why_lost(self._seen):
                self._note(found)

    def note_revision(self, revision: int) -> None:
        """Take note of the number of an own change."""
        with self._lock:
            if self._seen and self._seen.revision < revision:
                self._note(replace(self._seen, revision=revision))

    def _note(self, found: StoreState) -> None:
        if found != self._seen:
            self._seen = found
            self._changed(found)

    def _fits(self, found: StoreState) -> bool:
        return self._secrets is None or self._secrets.have(found)
