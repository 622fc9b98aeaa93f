"""However many strangers ask for names, the store is asked over a few connections, and nobody is turned away."""

import asyncio

import redis

from shared.config_store.source import open_source

NAMES = 2_000


def test_a_burst_of_unknown_names_waits_for_a_connection(valkey_socket: str) -> None:
    async def ask() -> tuple[set[str | None], int]:
        source = open_source({"unix_socket_path": valkey_socket})
        asking = [source.tenant_of_subdomain(f"stranger-{number}") for number in range(NAMES)]
        found = set(await asyncio.gather(*asking))
        with redis.Redis(unix_socket_path=valkey_socket) as client:
            connections = len(client.client_list())
        await source.close()
        return found, connections

    found, connections = asyncio.run(ask())
    assert found == {None}
    assert connections < 20
