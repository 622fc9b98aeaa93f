"""What was set although mitmproxy's own core cannot do it: said in one line at the start."""

import asyncio
import logging
from collections.abc import Iterator

from shared.config_store.port import ConfigStore
from shared.core.errors import StoreDown
from shared.model.config import RuleTimeouts
from shared.services import Services
from shared.settings import Settings

logger = logging.getLogger(__name__)

_PAGE = 500  # tenants that are read at a time
_NAMES = ("server.drain_timeout", "limits.connections", "limits.in_flight", "limits.timeouts")


async def tell(services: Services) -> None:
    """Log what is set and not enforced, if there is anything."""
    found = await asyncio.to_thread(lambda: [*unenforced(services.settings, services.store)])
    if found:
        logger.warning("The mitmproxy engine does not enforce %s.", ", ".join(found))


def unenforced(settings: Settings, store: ConfigStore) -> Iterator[str]:
    """The settings that differ from their defaults to no effect, and whether rules have timeouts."""
    default = Settings()
    for name in _NAMES:
        section, key = name.split(".")
        if getattr(getattr(settings, section), key) != getattr(getattr(default, section), key):
            yield name
    try:
        if _rules_have_timeouts(store):
            yield "the timeouts of rules"
    except StoreDown:
        return  # the proxy starts without its store; there is nothing to look at


def _rules_have_timeouts(store: ConfigStore) -> bool:
    cursor: str | None = None
    while True:
        page = store.list(_PAGE, cursor)
        if any(rule.timeouts != RuleTimeouts() for snapshot in page.snapshots for rule in snapshot.rules):
            return True
        cursor = page.next_cursor
        if cursor is None:
            return False
