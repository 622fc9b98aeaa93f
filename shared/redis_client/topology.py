"""Where Redis is when several servers take turns: behind sentinels, or in a Cluster.

Both are values of the settings, and ask the servers when they are told to. The hosts and ports that servers
announce may be unreachable from here, behind NAT for example: `address_map` has the reachable ones.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.redis_client.slots import Address, parse_slots, slot_of

#: In the options of a client: a `Sentinels` or a `ClusterNodes`. Without it, there is one server.
TOPOLOGY: Final = "topology"

#: In the options of a client: `EVAL` if the server takes scripts as a whole only.
SCRIPTS: Final = "scripts"
EVAL: Final = "eval"

# Seconds that a server may take to say where Redis is.
_TIMEOUT: Final = 0.25
# The primaries of the slots of a Cluster.
Slots = Sequence[Address | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentinels:
    """Programs that watch a primary and its replicas, and say which of them is the primary.

    Attributes:
        addresses: of the sentinels.
        master: the name by which they know the primary.
        options: keyword arguments of redis.Redis for them.
        address_map: the reachable address of an announced one.
    """

    addresses: tuple[Address, ...]
    master: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)
    address_map: Mapping[Address, Address] = field(default_factory=dict, hash=False)

    def ask(self, _: Address | None = None) -> Address:
        """The primary. Raises OSError when no sentinel knows one.

        All are asked, because one that is cut off from the others does not know of the last switch.
        """
        states = list(_replies(self.addresses, self.options, lambda one, _: one.sentinel_master(self.master)))
        if not states:
            raise OSError(f"no sentinel of {_names(self.addresses)} knows a primary named {self.master}")
        newest = max(states, key=lambda state: int(state["config-epoch"]))
        announced = (str(newest["ip"]), int(newest["port"]))
        return self.address_map.get(announced, announced)

    def primary(self, known: Address) -> Address:
        """The primary, as it was asked for last."""
        return known


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNodes:
    """Servers that share the slots of a Cluster.

    Attributes:
        addresses: of some of them.
        home: a key. The primary of its slot is that of clients which use one server.
        options: keyword arguments of redis.Redis for all of them.
        address_map: the reachable address of an announced one.
    """

    addresses: tuple[Address, ...]
    home: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)
    address_map: Mapping[Address, Address] = field(default_factory=dict, hash=False)

    def ask(self, known: Slots | None = None) -> Slots:
        """The primaries of all slots. Raises OSError when no node says them.

        A node that is cut off says what it knew, so one that sees the whole Cluster is preferred.
        """
        addresses = dict.fromkeys([*self.addresses, *(one for one in known or () if one is not None)])
        found: Slots | None = None
        for address in addresses:
            slots: Slots
            for slots, is_ok in _replies([address], self.options, self._slots_of):
                if is_ok:
                    return slots
                found = found or slots
        if found is None:
            raise OSError(f"no node of {_names(self.addresses)} says where the slots of the Cluster are")
        return found

    def _slots_of(self, client: redis.Redis, asked: Address) -> tuple[Slots, bool]:
        """The slots as this node knows them, and whether it sees the whole Cluster."""
        reply: Any = client.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
        state: Any = client.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]
        return parse_slots(reply, asked, self.address_map), bool(state["cluster_state"] == "ok")

    def primary(self, known: Slots) -> Address:
        """The primary of the slot of `home`. Raises OSError when there is none."""
        address = known[slot_of(self.home)]
        if address is None:
            raise OSError(f"no node of the Cluster has the slot of {self.home}")
        return address


Topology = Sentinels | ClusterNodes


def open_node(address: Address, options: Mapping[str, Any]) -> redis.Redis:
    """A client of one server, to ask it something."""
    host, port = address
    timeouts = {"socket_timeout": _TIMEOUT, "socket_connect_timeout": _TIMEOUT}
    return redis.Redis(**{**options, "host": host, "port": port, **timeouts}, retry=Retry(NoBackoff(), 0))


def _replies(
    addresses: Iterable[Address], options: Mapping[str, Any], ask: Callable[[redis.Redis, Address], Any]
) -> Iterator[Any]:
    """The replies of the servers that reply."""
    for address in addresses:
        with closing(open_node(address, options)) as client:
            try:
                reply = ask(client, address)
            except (redis.RedisError, UnicodeError, ValueError):
                continue
        yield reply


def _names(addresses: Iterable[Address]) -> str:
    return ", ".join(f"{host}:{port}" for host, port in addresses)
