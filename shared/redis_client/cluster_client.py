"""redis-py's client of a Cluster, as the admin API uses it for keys of tenants."""

import threading
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.commands.core import Script
from redis.retry import Retry

from shared.redis_client.primary import WholeScript
from shared.redis_client.slots import Address
from shared.redis_client.topology import ClusterNodes


class ClusterClient:
    """A `redis.RedisCluster` that connects with its first use, so that a Cluster may be down at the start."""

    def __init__(self, topology: ClusterNodes, timeout: float, *, sends_text: bool = False) -> None:
        """Scripts are sent by their digest, or as a whole if `sends_text`."""
        self._topology = topology
        self._timeout = timeout
        self._sends_text = sends_text
        self._made: redis.RedisCluster | None = None
        self._making = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster(), name)

    def register_script(self, script: str) -> Script | WholeScript:
        """A script, without a connection."""
        if self._sends_text:
            return WholeScript(self, script)
        return Script(self, script.encode())  # type: ignore[arg-type]

    def node_of(self, key: str) -> redis.Redis:
        """The client of the node that has a key. It does not follow a slot that moves."""
        cluster = self._cluster()
        node: ClusterNode = cluster.get_node_from_key(key)  # type: ignore[no-untyped-call]
        return cluster.get_redis_connection(node)

    def close(self) -> None:
        """Close the connections."""
        if self._made is not None:
            self._made.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cluster(self) -> redis.RedisCluster:
        with self._making:
            if self._made is None:
                self._made = redis.RedisCluster(
                    startup_nodes=[_node(address) for address in self._topology.addresses],
                    socket_timeout=self._timeout,
                    socket_connect_timeout=self._timeout,
                    address_remap=self._reachable,
                    retry=Retry(NoBackoff(), 1),
                    **self._topology.options,
                )
            return self._made

    def _reachable(self, announced: Address) -> Address:
        return self._topology.address_map.get(announced, announced)


def _node(address: Address) -> ClusterNode:
    return ClusterNode(*address)  # type: ignore[no-untyped-call]
