"""The audit log: one entry per change of the configuration, in a stream, each with a code that proves it.

The script that writes a change adds its entry, so there is neither without the other. An entry has the
revision that its writer read, `before`, and gets that of the change, `number`. So for each owner `before` is
the `number` of the entry before: an entry that was changed, added or removed is found (`verify`).
"""

import hmac
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

from shared.config_store.history.edit import Edit

#: How many entries of all owners are kept, about.
MAX_ENTRIES = 100_000
#: The largest list of changes in one entry, as JSON.
MAX_CHANGES_BYTES = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One change, as it is stored.

    Attributes:
        at: the time of the writer.
        owner: the id of a tenant, or ``platform``.
        action: ``create``, ``update`` or ``delete`` of the owner's data.
        version: that of the content afterwards; None when the owner is deleted.
        before: the revision that the writer read; empty for a new owner.
        cut: whether `changes` were too many to be stored.
        actor, address, source, request_id, operation, message, summary, changes, file: as in `Edit`.
    """

    at: float
    owner: str
    action: str
    version: int | None
    before: str
    actor: str
    address: str | None
    source: str
    request_id: str | None
    operation: str
    message: str | None
    changes: Sequence[Any]
    summary: str = ""
    cut: bool = False
    file: str | None = None

    @classmethod
    def of(cls, edit: Edit, *, owner: str, action: str, version: int | None, before: str) -> Self:
        changes = list(edit.changes)
        first = beginning(changes, MAX_CHANGES_BYTES)
        return cls(
            at=edit.at,
            owner=owner,
            action=action,
            version=version,
            before=before,
            actor=edit.actor,
            address=edit.address,
            source=edit.source,
            request_id=edit.request_id,
            operation=edit.operation,
            message=edit.message,
            changes=first,
            summary=edit.summary,
            cut=len(first) < len(changes),
            file=edit.file,
        )


def beginning(changes: Sequence[Any], most: int) -> Sequence[Any]:
    """The first changes, which take at most so many bytes as JSON."""
    size, found = 0, []
    for change in changes:
        size += len(json.dumps(change)) + 2
        if size > most:
            break
        found.append(change)
    return found


class SignedEntry(NamedTuple):
    """An entry as the log has it: its id in the stream, its text and code, and the number of the change."""

    id: str
    text: bytes
    mac: str
    number: int

    @classmethod
    def parse(cls, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Self:
        """Raises ValueError and KeyError."""
        number = int(fields[b"number"])
        return cls(entry_id.decode(), fields[b"entry"], fields[b"mac"].decode(), number)

    @property
    def entry(self) -> AuditEntry:
        """Raises ValueError."""
        try:
            return AuditEntry(**json.loads(self.text))
        except TypeError as error:
            raise ValueError(f"The entry {self.id} of the audit log cannot be read.") from error


class RetiredKey(NamedTuple):
    """The key of an older pepper, and the last change that it may have signed; None while it still may."""

    secret: bytes
    until: int | None


class AuditKey:
    """The key of the codes of entries. Without a `secret` it is known to everybody, as in tests.

    Entries that a `retired` key signed in its time are valid, too.
    """

    def __init__(self, secret: bytes = b"", retired: Iterable[RetiredKey] = ()) -> None:
        self._keyed = hmac.new(secret, digestmod="sha256")
        self._retired = tuple((AuditKey(old), until) for old, until in retired)

    @staticmethod
    def secret_of(hasher: Callable[[str], str]) -> bytes:
        """The secret of a deployment, whose API keys `hasher` hashes."""
        return hasher("audit log").encode()

    @classmethod
    def of(cls, hasher: Callable[[str], str], retired: Iterable[RetiredKey] = ()) -> Self:
        """The key of `secret_of`."""
        return cls(cls.secret_of(hasher), retired)

    def fits(self, signed: SignedEntry) -> bool:
        """Whether this key has signed an entry, or a retired one has in its time."""
        if hmac.compare_digest(self.mac(signed.text), signed.mac):
            return True
        return any(
            (until is None or signed.number <= until) and key.fits(signed) for key, until in self._retired
        )

    def mac(self, text: bytes) -> str:
        """The code of an entry."""
        keyed = self._keyed.copy()
        keyed.update(text)
        return keyed.hexdigest()

    def sign(self, entry: AuditEntry) -> dict[str, Any]:
        """The arguments of ``write.lua``: the text of an entry, its code, and how many entries are kept."""
        text = json.dumps(asdict(entry), separators=(",", ":"))
        return {"entry": text, "mac": self.mac(text.encode()), "most": MAX_ENTRIES}


def verify(entries: Iterable[SignedEntry], key: AuditKey, newest: Mapping[str, int]) -> Iterator[str]:
    """A sentence about each entry that is wrong or missing. `entries` begin with the oldest that is kept.

    `newest` has the revision of each owner that exists. Entries before the oldest one cannot be missed.
    """
    last: dict[str, int] = {}
    oldest = None
    for signed in entries:
        oldest = signed.number if oldest is None else oldest
        if not key.fits(signed):
            yield f"The entry {signed.id} was changed, or signed with another pepper."
            continue
        entry = signed.entry
        before = int(entry.before or 0)
        # Of what came before the oldest entry, nothing is known.
        known = last.get(entry.owner, before if before < oldest else 0)
        if known != before and entry.action != "create":
            yield f"Before the entry {signed.id} of {entry.owner}, an entry is missing or out of order."
        if signed.number <= before:
            yield f"The entry {signed.id} of {entry.owner} has a number that was changed."
        last[entry.owner] = signed.number
    for owner, revision in newest.items():
        if last.get(owner) != revision and (owner in last or (oldest is not None and revision >= oldest)):
            yield f"The newest entry of {owner} is missing: its revision is {revision}."
