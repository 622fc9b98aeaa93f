"""Reads the contents of owners from Redis: one, or many together."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import batched
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from shared.config_store import layout
from shared.config_store.records.stored import Ask, Done, Reading, StoredContents, advance
from shared.config_store.records.tenants import ScriptCall
from shared.config_store.redis_errors import redis_errors
from shared.core.errors import BadRecord
from shared.model.config import Snapshot

# Tenants that are read at a time.
_AT_ONCE = 500

logger = logging.getLogger(__name__)


class ContentReader:
    """Runs the readings of `contents` to their ends."""

    def __init__(self, client: Redis, contents: StoredContents) -> None:
        self._client = client
        self._contents = contents
        self._read = client.register_script(layout.script("read"))
        self._read_platform = client.register_script(layout.script("read_platform"))

    def finish[T](self, reading: Reading[T], record: str) -> T:
        """The result of a reading. `record` is the id of what is read."""
        step = advance(reading)
        while not isinstance(step, Done):
            with redis_errors(record):
                reply = self._ask(step)
            step = advance(reading, reply)
        result: T = step.result
        return result

    def all(self, tenant_ids: Sequence[str]) -> Iterator[Snapshot]:
        """The tenants that are there and can be read. All are asked for together, then all of their parts."""
        readings = {tenant_id: self._contents.tenant(tenant_id) for tenant_id in tenant_ids}
        steps = {one: advance(reading) for one, reading in readings.items()}
        while asks := {one: step for one, step in steps.items() if not isinstance(step, Done)}:
            with redis_errors(), self._client.pipeline(transaction=False) as pipeline:
                for ask in asks.values():
                    self._ask(ask, pipeline)
                replies = pipeline.execute(raise_on_error=False)
            for tenant_id, reply in zip(asks, replies, strict=True):
                try:
                    steps[tenant_id] = _after(readings[tenant_id], tenant_id, reply)
                except BadRecord as error:
                    logger.warning("A tenant was left out of a list. %s", error)
                    steps[tenant_id] = Done(None)
        for step in steps.values():
            if isinstance(step, Done) and step.result is not None:
                yield step.result

    def named(self, subdomains: Sequence[str] | None) -> Mapping[str, Snapshot]:
        """The tenants with these subdomains; None: all. Raises `BadRecord`."""
        found: dict[str, Snapshot] = {}
        for ids in batched(self._ids(subdomains), _AT_ONCE):
            snapshots = {one.tenant.id: one for one in self.all(ids)}
            # One that is damaged is read again, alone, to say so.
            read = (snapshots.get(one) or self.finish(self._contents.tenant(one), one) for one in ids)
            found |= {one.tenant.subdomain: one for one in read if one is not None}
        return found

    def _ids(self, subdomains: Sequence[str] | None) -> Sequence[str]:
        """The ids of the tenants with these subdomains; None: of all, in order of creation."""
        with redis_errors():
            if subdomains is None:
                ids: Any = self._client.zrange(layout.ORDER, 0, -1)
            else:
                ids = self._client.hmget(layout.SUBDOMAINS, list(subdomains)) if subdomains else []
        return [one.decode() for one in ids if one is not None]

    def _ask(self, ask: Ask, client: Any = None) -> Any:
        if not isinstance(ask, ScriptCall):
            return (client or self._client).mget(ask)
        script = self._read_platform if layout.PLATFORM in ask.keys else self._read
        return script(ask.keys, ask.arguments, client=client)


def _after[T](reading: Reading[T], tenant_id: str, reply: Any) -> Ask | Done[T]:
    """The next step of a reading, after a reply of a pipeline. Raises as `redis_errors`, and `BadRecord`."""
    with redis_errors(tenant_id):
        if isinstance(reply, RedisError):
            raise reply
    return advance(reading, reply)
