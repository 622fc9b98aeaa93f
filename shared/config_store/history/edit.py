"""A change as its author sees it, for the note of a version and for the audit log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

#: How many versions of a content are kept besides the pinned ones.
KEPT_VERSIONS = 200
#: The bytes that the kept versions of a content have written. The oldest go first; the newest one stays.
MAX_VERSION_BYTES = 16 * 1024 * 1024
#: How many versions of a content may be pinned.
MAX_PINNED = 50
MAX_MESSAGE = 500


class Kept(NamedTuple):
    """How many versions of a content are kept besides the pinned ones, and how many bytes of all."""

    versions: int = KEPT_VERSIONS
    bytes: int = MAX_VERSION_BYTES


#: The numbers of versions that a store keeps.
KEPT = Kept()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Author, way and content of a change.

    Attributes:
        actor: ``platform``, ``token:<name>`` or ``key:<id>``.
        at: the time.
        address: the address of the client.
        source: the client: ``api``, ``ui``, ``gw``, ``file``, ``rollback``, or ``gateway`` for a job.
        request_id: that of the call.
        operation: the operation of the API.
        message: the reason in the author's words.
        summary: what changed, in one line.
        changes: what differs, with secrets masked (`shared.documents.history.differences`).
        restored: the version that a rollback restored.
        file: the name of the file that was applied.
    """

    actor: str
    at: float = 0.0
    address: str | None = None
    source: str = "api"
    request_id: str | None = None
    operation: str = ""
    message: str | None = None
    summary: str = ""
    changes: Sequence[Any] = ()
    restored: int | None = None
    file: str | None = None
