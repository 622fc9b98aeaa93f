"""Clients of the configuration store, and the first question to it."""

from collections.abc import Mapping
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.config_store import layout
from shared.config_store.identity import StoreState

#: Seconds that a call may take. By default redis-py waits 4 s for a dead server, over 25 s for a hung one.
TIMEOUT = 0.25


def open_client(options: Mapping[str, Any]) -> Redis:
    """A client; `options` are keyword arguments of redis.Redis."""
    timeouts = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    return Redis(**{**options, **timeouts}, retry=Retry(NoBackoff(), 0))


def read_state(client: Redis) -> StoreState | None:
    """What the store says about itself; None when it has no identity."""
    with client.pipeline(transaction=False) as pipeline:
        return StoreState.parse(*ask_state(pipeline).execute())


def ask_state(pipeline: Any) -> Any:
    """Add the commands whose replies are the arguments of `StoreState.parse`."""
    pipeline.hgetall(layout.IDENTITY)
    pipeline.get(layout.REVISION)
    return pipeline
