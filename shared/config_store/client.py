"""Clients of the configuration store, and the first question to it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from redis import Redis

from shared.config_store import layout
from shared.config_store.identity import StoreState
from shared.redis_client.cluster_client import ClusterClient
from shared.redis_client.primary import open_sync
from shared.redis_client.topology import EVAL, SCRIPTS, TOPOLOGY, ClusterNodes

#: Seconds that a call may take. By default redis-py waits 4 s for a dead server, over 25 s for a hung one.
TIMEOUT = 0.25


def open_client(options: Mapping[str, Any], timeout: float = TIMEOUT) -> Redis:
    """A client of the server that has the configuration.

    `options` are keyword arguments of redis.Redis, with the topology; `timeout` is in seconds per call.
    """
    return open_sync(options, socket_timeout=timeout, socket_connect_timeout=TIMEOUT)


def open_everywhere(options: Mapping[str, Any]) -> Redis:
    """A client of all servers: of the nodes of a Cluster, else as `open_client`."""
    topology = options.get(TOPOLOGY)
    if isinstance(topology, ClusterNodes):
        # It takes the calls that this gateway makes of a Redis.
        return cast(Redis, ClusterClient(topology, TIMEOUT, sends_text=options.get(SCRIPTS) == EVAL))
    return open_client(options)


@contextmanager
def open_server_of(options: Mapping[str, Any], key: str) -> Iterator[Redis]:
    """A client of the server that has a key: that of one node of a Cluster, as it is now."""
    with open_everywhere(options) as client:
        yield client.node_of(key) if isinstance(client, ClusterClient) else client


def read_state(client: Redis) -> StoreState | None:
    """The state of the store, as it has it; None when it has no identity."""
    with client.pipeline(transaction=False) as pipeline:
        return StoreState.parse(*ask_state(pipeline).execute())


def ask_state(pipeline: Any) -> Any:
    """Add the commands whose replies are the arguments of `StoreState.parse`."""
    pipeline.hgetall(layout.IDENTITY)
    pipeline.get(layout.REVISION)
    return pipeline
