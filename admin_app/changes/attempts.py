"""How a change is written: repeated while others write the same, noted with its author, and logged once."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple
from unicodedata import category

from flask import g, request

from admin_app.auth.access import caller, operation_name
from admin_app.context import services
from admin_app.http.errors import ApiError
from admin_app.http.forwarded import client
from shared.config_store.history.edit import MAX_MESSAGE, Edit
from shared.core import COMMAND
from shared.core.errors import Conflict
from shared.documents.history.differences import Difference, summary
from shared.log_lines import CHANGE
from shared.logs import FIELDS

logger = logging.getLogger(CHANGE)

#: The header with the reason for a change.
MESSAGE = "X-Gateway-Message"
#: Attempts to write a change while other processes write to the same record.
MAX_ATTEMPTS = 100
# Before an attempt is repeated: a random part of this time, which doubles up to the maximum.
_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.005, 0.1
# Changes of one record in this process wait for each other. Records share the locks.
_LOCKS = tuple(threading.Lock() for _ in range(64))


def repeat[T](record: str, attempt: Callable[[], T]) -> T:
    """The result of the first attempt that meets no other writer. Raises `Conflict` after `MAX_ATTEMPTS`."""
    with _LOCKS[hash(record) % len(_LOCKS)]:
        for number in range(MAX_ATTEMPTS):
            with suppress(Conflict):
                return attempt()
            time.sleep(_pause(number))
    raise Conflict(f"{record} is changed too often.")


class Restored(NamedTuple):
    """The version that a rollback restores, and the reason in its body."""

    version: int
    message: str | None


class FromFile(NamedTuple):
    """The file that is applied, None for one without a name, and the reason in the body of the call."""

    name: str | None
    message: str | None


def edit_of(
    differences: Sequence[Difference],
    names: Mapping[str, str],
    restored: Restored | None = None,
    file: FromFile | None = None,
) -> Edit:
    """The edit of the current call. `names` are as in `summary`. Raises 400 on a wrong message."""
    return Edit(
        actor=caller().actor,
        at=services().clock.now(),
        address=client() or None,
        source=_source(restored, file),
        request_id=g.request_id,
        operation=operation_name(),
        message=(restored and restored.message) or (file and file.message) or _message(),
        summary=summary(differences, names),
        changes=differences,
        restored=restored and restored.version,
        file=file and file.name,
    )


def log_change(tenant: str, version: int, objects: Iterable[str]) -> None:
    """Log one change. `tenant` is the id of a tenant, or ``platform``."""
    fields = {
        "actor": caller().actor,
        "operation": operation_name(),
        "tenant": tenant,
        "version": version,
        "objects": sorted(objects),
        "request_id": g.request_id,
    }
    logger.info("The configuration was changed.", extra={FIELDS: fields})


def _source(restored: Restored | None, file: FromFile | None) -> str:
    if restored:
        return "rollback"
    if caller().is_session:
        return "ui"
    if request.headers.get("User-Agent", "").startswith(f"{COMMAND}/"):
        return "gw"
    return "file" if file else "api"


def _message() -> str | None:
    """The reason for the change: UTF-8, as shells send it, else Latin-1. None if there is none."""
    sent = request.headers.get(MESSAGE, "")
    try:
        text = sent.encode("latin-1").decode()
    except UnicodeError:
        text = sent
    if len(text) > MAX_MESSAGE:
        raise ApiError("bad_request", f"{MESSAGE} has more than {MAX_MESSAGE} characters. Shorten it.")
    if any(category(char) == "Cc" for char in text):
        raise ApiError("bad_request", f"{MESSAGE} has control characters. Remove them.")
    return text or None


def _pause(attempt: int) -> float:
    """Seconds until the next attempt. They are random, so that rivals do not meet again."""
    longest = min(_PAUSE_SECONDS * 2.0**attempt, _MAX_PAUSE_SECONDS)
    return longest * services().random_bytes(1)[0] / 255
