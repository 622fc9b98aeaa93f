"""Our connection and redis-py's behind real sentinels: they follow the primary, and use no former one."""

import asyncio
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from shared.core.errors import StoreDown
from shared.redis_client.channel import listen_on
from shared.redis_client.open import open_connection
from shared.redis_client.primary import NotPrimary, open_async, open_sync
from shared.redis_client.topology import TOPOLOGY, Sentinels
from tests.redis_client.link_world import closing
from tests.reliability.figures import figure
from tests.support.ports import free_port
from tests.support.redis_sets import MASTER, SentinelSet, sentinel_set
from tests.support.wait import until_true

pytestmark = [pytest.mark.slow, pytest.mark.alone]

TIMEOUTS = {"socket_timeout": 0.25, "socket_connect_timeout": 0.25}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelSet]:
    with sentinel_set(tmp_path_factory.mktemp("sentinel")) as found:
        yield found


@pytest.fixture(autouse=True)
def restored(servers: SentinelSet) -> Iterator[None]:
    """Each test begins with two servers in sync."""
    yield
    for node in servers.killed:
        servers.restore(node)
    servers.await_replicas()


def options(servers: SentinelSet) -> dict[str, Any]:
    """The first sentinel does not exist."""
    addresses = (("127.0.0.1", free_port()), *(node.address for node in servers.sentinels))
    return {TOPOLOGY: Sentinels(addresses=addresses, master=MASTER)}


async def seconds_until_served(link: Any, key: str) -> float:
    began = time.monotonic()
    async with asyncio.timeout(20):
        while True:
            try:
                await link.call("INCR", key)
            except StoreDown:
                await asyncio.sleep(0.01)
            else:
                return time.monotonic() - began


async def test_connection_follows_the_primary_that_is_killed(servers: SentinelSet) -> None:
    async with closing(open_connection(options(servers), (), 0.25)) as link:
        await link.call("INCR", "count")
        servers.primary.kill()
        gone = await seconds_until_served(link, "count")
        figure("R2", f"Sentinel, kill -9: a connection is served again after {gone:.2f} s")


async def test_former_primary_that_wakes_up_gets_no_change(servers: SentinelSet) -> None:
    client = open_sync(options(servers), **TIMEOUTS)
    async with closing(open_connection(options(servers), (), 0.25)) as link:
        await link.call("SET", "alone", 0)
        client.set("alone", 0)
        before = servers.primary
        before.signal(signal.SIGSTOP)
        after = await asyncio.to_thread(servers.await_switch, before)
        await seconds_until_served(link, "believed")
        before.signal(signal.SIGCONT)
        assert before.is_primary()  # so it believes for some seconds
        for _ in range(50):
            await link.call("INCR", "alone")
            client.incr("alone")
    assert after.client.get("alone") == b"100"
    assert before.client.get("alone") == b"0"


async def test_listener_hears_what_is_told_after_a_switch(servers: SentinelSet) -> None:
    client, heard = open_async(options(servers), socket_connect_timeout=1.0), []
    listening = asyncio.create_task(
        listen_on(client, "news", heard.append, lambda: heard.append(b"subscribed"))
    )
    await until_true(lambda: heard == [b"subscribed"])
    before = servers.primary
    before.kill()
    after = await asyncio.to_thread(servers.await_switch, before)
    await until_true(lambda: heard == [b"subscribed"] * 2)
    after.client.publish("news", "one")
    await until_true(lambda: heard[-1] == b"one")
    listening.cancel()
    await client.aclose()


def test_replica_that_a_sentinel_still_names_is_not_used(servers: SentinelSet) -> None:
    stale = Sentinels(
        addresses=options(servers)[TOPOLOGY].addresses,
        master=MASTER,
        address_map={servers.primary.address: servers.replica.address},
    )
    with open_sync({TOPOLOGY: stale}, **TIMEOUTS) as client, pytest.raises(NotPrimary, match="is a replica"):
        client.ping()


def test_last_known_primary_is_used_without_sentinels(servers: SentinelSet) -> None:
    with open_sync(options(servers), **TIMEOUTS) as client:
        client.set("alone", 1)
        for node in servers.sentinels:
            node.signal(signal.SIGSTOP)
        try:
            client.connection_pool.disconnect()
            assert client.get("alone") == b"1"
        finally:
            for node in servers.sentinels:
                node.signal(signal.SIGCONT)


def test_unknown_name_of_a_primary_is_told(servers: SentinelSet) -> None:
    other = Sentinels(addresses=options(servers)[TOPOLOGY].addresses, master="other")
    unknown = pytest.raises(redis.ConnectionError, match="knows a primary named other")
    with open_sync({TOPOLOGY: other}, **TIMEOUTS) as client, unknown:
        client.ping()
