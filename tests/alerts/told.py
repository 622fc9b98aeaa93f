"""Alerts in the stream of Redis."""

import redis

from shared.alerts.alert import Alert
from shared.alerts.stream import ADD, note_of


def tell(client: redis.Redis, *alerts: Alert) -> None:
    """Add alerts as their writer does."""
    add = client.register_script(ADD.text)
    for alert in alerts:
        note = note_of(alert)
        add(note.keys, note.arguments)
