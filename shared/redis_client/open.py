"""Opens our client of one server, of the primary that sentinels name, or of a Cluster."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from shared.redis_client.cluster import ClusterConnection
from shared.redis_client.connection import RedisConnection
from shared.redis_client.endpoint import Endpoint, endpoint
from shared.redis_client.lookup import Lookup, lookup_of
from shared.redis_client.protocol import RedisProtocol
from shared.redis_client.script import Script
from shared.redis_client.slots import Address
from shared.redis_client.topology import EVAL, SCRIPTS, TOPOLOGY, ClusterNodes, Sentinels

#: A client that sends commands and scripts.
AnyConnection = RedisConnection | ClusterConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryEndpoint(Endpoint):
    """The address of the primary, which is looked up for each connection."""

    lookup: Lookup

    async def connect(self, protocol: Callable[[], RedisProtocol]) -> RedisProtocol:  # type: ignore[override]
        """A connection to the primary. It is dropped when another server becomes the primary."""
        if self.lookup.known is None:
            await asyncio.to_thread(self.lookup.get)
        address = self.lookup.primary()
        made = await Endpoint.connect(replace(self, host=address[0], port=address[1]), protocol)
        _drop_when_replaced(made, address, self.lookup)
        return made


def _drop_when_replaced(protocol: RedisProtocol, address: Address, lookup: Lookup) -> None:
    loop = asyncio.get_running_loop()

    def changed(primary: Address) -> None:
        if primary != address:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(protocol.drop, "another server is the primary")

    lookup.listeners.add(changed)
    protocol.ended.add_done_callback(lambda _: lookup.listeners.discard(changed))


def open_connection(options: Mapping[str, Any], scripts: Sequence[Script], deadline: float) -> AnyConnection:
    """A connection; `options` are keyword arguments of redis.Redis, and the topology."""
    found = endpoint(options)
    topology, sends_text = options.get(TOPOLOGY), options.get(SCRIPTS) == EVAL
    if isinstance(topology, ClusterNodes):
        return ClusterConnection(found, lookup_of(topology), scripts, deadline, sends_text=sends_text)
    if isinstance(topology, Sentinels):
        found = PrimaryEndpoint(
            host="",
            port=0,
            path=None,
            tls=found.tls,
            login=found.login,
            must_be_primary=True,
            lookup=lookup_of(topology),
        )
    return RedisConnection(found, scripts, deadline, sends_text=sends_text)
