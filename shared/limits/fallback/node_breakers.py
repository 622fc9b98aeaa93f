"""A circuit breaker per node of Redis: a node that does not respond concerns only the tenants that it has."""

from collections.abc import Sequence
from typing import Final

from shared.core.circuit_breaker import CircuitBreaker
from shared.limits.redis.lease_keeper import Concerns, any_key
from shared.limits.values import Limit
from shared.redis_client.cluster import ClusterConnection
from shared.redis_client.slots import Address

#: A node of a Cluster; None: the only server, or a node that is not known yet.
Node = Address | None

# Failures in a row after which a node is only probed, and successful probes in a row that end it.
_OPEN_AFTER: Final = 3
_CLOSE_AFTER: Final = 2


class NodeBreakers:
    """The breakers of one server, or of the nodes of a `cluster`. The limits of a call are on one node."""

    def __init__(self, cluster: ClusterConnection | None = None) -> None:
        self._cluster = cluster
        self._breakers: dict[Node, CircuitBreaker] = {}

    @property
    def any_is_open(self) -> bool:
        """Whether a node does not respond."""
        return any(breaker.is_open for breaker in self._breakers.values())

    @property
    def nodes(self) -> Sequence[Node]:
        """All nodes."""
        return (self._cluster and self._cluster.nodes) or [None]

    def of(self, limits: Sequence[Limit]) -> CircuitBreaker:
        """The breaker of the node that has these limits."""
        return self.of_node(self.node_of(limits))

    def of_node(self, node: Node) -> CircuitBreaker:
        """The breaker of a node."""
        found = self._breakers.get(node)
        if found is None:
            found = self._breakers[node] = CircuitBreaker(_OPEN_AFTER, _CLOSE_AFTER)
        return found

    def node_of(self, limits: Sequence[Limit]) -> Node:
        """The node that has these limits."""
        return self.node_of_key(limits[0].key) if limits else None

    def node_of_key(self, key: str) -> Node:
        """The node that has a key."""
        return self._cluster.node_of(key) if self._cluster else None

    def concerns(self, node: Node) -> Concerns:
        """Whether the node has a key."""
        return any_key if node is None else lambda key: self.node_of_key(key) == node

    def is_gone(self, node: Node) -> bool:
        """Whether the node has left the Cluster."""
        return node is not None and node not in self.nodes

    def forget(self, node: Node) -> None:
        """Drop the breaker of a node that has left."""
        self._breakers.pop(node, None)
