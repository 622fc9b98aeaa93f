"""The health of targets and keys as the admin process reads and tells it. Synchronous."""

from collections.abc import Iterable, Mapping
from typing import Any

from redis import Redis

from shared.alerts.stream import ADD
from shared.alerts.stream import note_of as note_of_alert
from shared.health.layout import NOTE, StoredHealth, failures_key, hash_key, note_of
from shared.health.report import Report, alert_of


class HealthStore:
    """Reads and writes what is known of targets and keys. The client must return bytes.

    Raises redis-py's errors.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._note = client.register_script(NOTE.text)
        self._add = client.register_script(ADD.text)

    def read(self, owners: Iterable[str]) -> Mapping[str, StoredHealth]:
        """Read the stored health, by the ids of providers and tenants."""
        named = list(owners)
        with self._client.pipeline(transaction=False) as pipeline:
            for owner in named:
                pipeline.hgetall(hash_key(owner))
                pipeline.lrange(failures_key(owner), 0, -1)
            replies: list[Any] = pipeline.execute() if named else []
        return {
            owner: StoredHealth.parse(owner, fields, failures)
            for owner, fields, failures in zip(named, replies[::2], replies[1::2], strict=True)
        }

    def tell(self, report: Report, *, is_news: bool = True) -> None:
        """Tell all workers, webhooks, and those that start later. Only news are listed as a failure."""
        note = note_of(report, "admin", is_news=is_news)
        self._note(note.keys, note.arguments)
        alert = alert_of(report)
        if alert is not None:
            told = note_of_alert(alert)
            self._add(told.keys, told.arguments)
