"""Events of the audit log about calls that change no configuration: log-ins, and some calls that fail."""

import logging
from typing import Final

from flask import g

from admin_app.context import services
from admin_app.http.forwarded import client
from shared.config_store.history.edit import Edit
from shared.core.errors import Conflict, StoreDown

logger = logging.getLogger(__name__)

#: The author of a log-in that failed.
UNKNOWN: Final = "unknown"


def note_event(operation: str, actor: str, summary: str) -> None:
    """Add an event to the audit log. Without Redis it is only logged: it must not fail what it is about."""
    edit = Edit(
        actor=actor,
        at=services().clock.now(),
        address=client() or None,
        source="ui" if operation == "logIn" else "api",
        request_id=g.request_id,
        operation=operation,
        summary=summary,
    )
    try:
        services().store.tokens.add_event(edit)
    except (StoreDown, Conflict) as error:
        logger.warning("This is not in the audit log: %s of %s: %s", operation, actor, error)
