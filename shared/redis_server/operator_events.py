"""Events of the audit log about commands that an operator has run on this machine."""

from typing import Any

from shared.config_store.client import open_client
from shared.config_store.history.edit import Edit
from shared.config_store.redis_errors import redis_errors
from shared.config_store.store import open_store
from shared.redis_server.choose import RedisAddress
from shared.redis_server.store_secrets import audit_key
from shared.settings import Settings

#: The author of such an entry.
OPERATOR = "operator"


def note_event(settings: Settings, address: RedisAddress, operation: str, summary: str) -> None:
    """Add what was done to the audit log. Raises `GatewayError`."""
    with open_client(address.options) as client, redis_errors():
        now: Any = client.time()
    edit = Edit(actor=OPERATOR, at=float(now[0]), source="gateway", operation=operation, summary=summary)
    open_store(address.options, 0, audit_key=audit_key(settings)).tokens.add_event(edit)
