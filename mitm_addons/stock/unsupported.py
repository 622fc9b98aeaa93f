"""A warning at the start about settings that mitmproxy's own core does not support."""

import asyncio
import logging
from collections.abc import Iterator

from shared.config_store.port import ConfigStore
from shared.core.errors import StoreDown
from shared.model.config import RuleTimeouts
from shared.services import Services
from shared.settings import Settings

logger = logging.getLogger(__name__)

_PAGE = 500  # tenants per read
_NAMES = ("server.drain_timeout", "limits.connections", "limits.in_flight", "limits.timeouts")


async def warn(services: Services) -> None:
    """Log which of the settings in use have no effect."""
    found = await asyncio.to_thread(lambda: [*unsupported(services.settings, services.store)])
    if found:
        logger.warning("The mitmproxy engine does not support %s.", ", ".join(found))


def unsupported(settings: Settings, store: ConfigStore) -> Iterator[str]:
    """Yield the settings that differ from their defaults without effect, and the timeouts of rules."""
    default = Settings()
    for name in _NAMES:
        section, key = name.split(".")
        if getattr(getattr(settings, section), key) != getattr(getattr(default, section), key):
            yield name
    try:
        if _rules_have_timeouts(store):
            yield "the timeouts of rules"
    except StoreDown:
        return  # the proxy starts without its store


def _rules_have_timeouts(store: ConfigStore) -> bool:
    cursor: str | None = None
    while True:
        page = store.list(_PAGE, cursor)
        if any(rule.timeouts != RuleTimeouts() for snapshot in page.snapshots for rule in snapshot.rules):
            return True
        cursor = page.next_cursor
        if cursor is None:
            return False
