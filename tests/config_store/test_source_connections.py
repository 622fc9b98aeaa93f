"""However many strangers ask for names, the store is asked over a few connections, and nobody is turned away."""

import asyncio

import redis

from shared.config_store.source import open_source

NAMES = 2_000


async def test_a_burst_of_unknown_names_shares_a_few_connections(valkey_socket: str) -> None:
    source = open_source({"unix_socket_path": valkey_socket})
    asking = [source.tenant_of_subdomain(f"stranger-{number}") for number in range(NAMES)]
    assert set(await asyncio.gather(*asking)) == {None}
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        assert len(client.client_list()) < 20
    await source.close()
