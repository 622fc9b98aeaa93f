"""The note of a version: its author, time and summary, as Redis keeps them beside the content."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Self

from shared.config_store.history.edit import Edit
from shared.config_store.records.contents import AnyRoot


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionNote:
    """One version.

    Attributes:
        version: its number.
        root: the name of its root, by which its text is checked.
        actor, at: the author and the time.
        source, message, summary, restored, file: as in `Edit`. A version of an older release has none.
        pinned: whether it stays, however old it is.
    """

    version: int
    root: str
    actor: str
    at: float
    source: str = "api"
    message: str | None = None
    summary: str = ""
    restored: int | None = None
    file: str | None = None
    pinned: bool = False

    @classmethod
    def parse(cls, version: int, text: bytes, *, pinned: bool) -> Self:
        """A stored note. Raises ValueError."""
        try:
            return replace(cls(**json.loads(text), version=version), pinned=pinned)
        except TypeError as error:
            raise ValueError(f"The note of the version {version} cannot be read: {error}") from error

    def stored(self) -> str:
        """The note as JSON."""
        members = asdict(self)
        del members["version"], members["pinned"]
        return json.dumps(members)


def note_of(version: int, name: str, root: AnyRoot, edit: Edit | None = None) -> VersionNote:
    """The note of a version that is written by `edit`; without one, of what its root says."""
    noted = edit or Edit(actor=root.actor)
    return VersionNote(
        version=version,
        root=name,
        actor=root.actor,
        at=root.written_at,
        source=noted.source,
        message=noted.message,
        summary=noted.summary,
        restored=noted.restored,
        file=noted.file,
    )
