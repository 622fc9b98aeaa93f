"""Our connection to a real Cluster: it follows slots, and a dead node fails only what it has."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from shared.core.errors import StoreDown
from shared.redis_client.lookup import lookup_of
from shared.redis_client.open import AnyConnection, open_connection
from shared.redis_client.protocol import ErrorReply
from shared.redis_client.script import Script
from shared.redis_client.slots import slot_of
from shared.redis_client.topology import EVAL, SCRIPTS, TOPOLOGY, ClusterNodes
from tests.redis_client.link_world import closing
from tests.reliability.figures import figure
from tests.support.ports import free_port
from tests.support.redis_sets import ClusterSet, cluster_set
from tests.support.wait import await_true, until_true

pytestmark = [pytest.mark.slow, pytest.mark.alone]

COUNT = Script.of_text("return redis.call('INCR', KEYS[1]) + redis.call('INCR', KEYS[2])")


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSet]:
    partly = ("--cluster-require-full-coverage", "no")
    with cluster_set(tmp_path_factory.mktemp("cluster"), *partly) as found:
        yield found


def opened(
    nodes: ClusterSet, deadline: float = 20, **options: Any
) -> AbstractAsyncContextManager[AnyConnection]:
    return closing(open_connection({**nodes.options, **options}, [COUNT], deadline))


async def test_each_command_reaches_the_node_that_has_its_key(nodes: ClusterSet) -> None:
    async with opened(nodes) as link:
        keys = [nodes.key_of(node, "{{spread{}}}") for node in nodes.servers]
        await asyncio.gather(*[link.call("SET", key, "x") for key in keys])
        assert [node.client.get(key) for node, key in zip(nodes.servers, keys, strict=True)] == [b"x"] * 3
        assert await asyncio.gather(*[link.run(COUNT, [key + "a", key + "b"], []) for key in keys]) == [2] * 3
        assert await link.call("PING") == b"PONG"
        for key in keys:
            await link.call("DEL", key, key + "a", key + "b")


async def test_keys_of_two_nodes_in_one_call_are_rejected(nodes: ClusterSet) -> None:
    async with opened(nodes) as link:
        with pytest.raises(ErrorReply, match="CROSSSLOT"):
            await link.run(COUNT, ["{a}", "{b}"], [])


async def test_slots_that_moved_cost_one_look_at_the_table(nodes: ClusterSet, loop: str) -> None:
    source, target, _ = nodes.servers
    keys = [key for number in range(400) if nodes.owner(key := f"{{storm{number}}}") is source][:50]
    # A lookup of its own, which no other test has made look.
    topology = replace(nodes.options[TOPOLOGY], home=loop)
    asking = patch.object(ClusterNodes, "ask", autospec=True, side_effect=ClusterNodes.ask)
    async with opened(nodes, **{TOPOLOGY: topology}) as link:
        await link.call("PING")
        lookup = lookup_of(topology)
        for key in keys:
            nodes.move(slot_of(key), source, target)
        with asking as ask:
            for _ in range(4):
                assert len(await asyncio.gather(*[link.call("INCR", key) for key in keys])) == 50
            await until_true(lambda: lookup.known[slot_of(keys[0])] == target.address)
            figure("R2", f"50 slots moved, 200 calls: {ask.call_count} refresh of the table")
            assert ask.call_count == 1
        for key in keys:
            await link.call("DEL", key)
            nodes.move(slot_of(key), target, source)


async def test_key_that_is_just_moved_is_found_on_both_nodes(nodes: ClusterSet) -> None:
    async with opened(nodes) as link:
        source, target, _ = nodes.servers
        key = nodes.key_of(source, "{{moving{}}}")
        slot = slot_of(key)
        await link.call("SET", f"{key}here", "1")
        await link.call("SET", f"{key}there", "2")
        nodes.begin_move(slot, source, target)
        source.client.migrate("127.0.0.1", target.port, f"{key}there", 0, 5_000)
        assert await link.call("GET", f"{key}here") == b"1"
        assert await link.call("GET", f"{key}there") == b"2"
        assert await link.call("INCR", f"{key}new") == 1
        assert await link.call("GET", f"{key}new") == b"1"
        # A script with keys of both waits until they are together.
        both = link.run(COUNT, [f"{key}here", f"{key}there"], [])
        await asyncio.sleep(0.05)
        assert not both.done()
        while nodes.move_keys(slot, source, target):
            pass
        nodes.end_move(slot, source, target)
        assert await both == 5
        await link.call("DEL", f"{key}here", f"{key}there", f"{key}new")
        nodes.move(slot, target, source)


async def test_dead_node_fails_only_calls_about_its_keys(nodes: ClusterSet) -> None:
    async with opened(nodes, deadline=0.5) as link:
        dead = nodes.servers[2]
        keys = {node: nodes.key_of(node, "{{dead{}}}") for node in nodes.servers}
        await asyncio.gather(*[link.call("GET", key) for key in keys.values()])
        dead.kill()
        try:
            for _ in range(20):
                replies = await asyncio.gather(
                    *[link.call("GET", key) for key in keys.values()], return_exceptions=True
                )
                assert [isinstance(reply, StoreDown) for reply in replies] == [False, False, True]
        finally:
            dead.start()
            await asyncio.to_thread(await_true, nodes.is_whole)
        async with asyncio.timeout(10):
            while True:
                try:
                    await link.call("GET", keys[dead])
                    break
                except StoreDown:
                    await asyncio.sleep(0.01)


async def test_scripts_are_sent_as_a_whole_to_a_server_that_takes_no_digests(nodes: ClusterSet) -> None:
    for node in nodes.servers:
        node.run("ACL", "SETUSER", "default", "-evalsha", "-script")
    try:
        async with opened(nodes) as rejected, opened(nodes, **{SCRIPTS: EVAL}) as taken:
            assert await taken.run(COUNT, ["{whole}a", "{whole}b"], []) == 2
            with pytest.raises(StoreDown):
                await rejected.run(COUNT, ["{whole}a", "{whole}b"], [])
            await taken.call("DEL", "{whole}a", "{whole}b")
    finally:
        for node in nodes.servers:
            node.run("ACL", "SETUSER", "default", "+@all")


async def test_nodes_that_are_all_dead_fail_each_call_in_time() -> None:
    gone = ClusterNodes(addresses=(("127.0.0.1", free_port()),), home="{cfg}")
    async with closing(open_connection({TOPOLOGY: gone}, [], 0.5)) as link:
        for _ in range(3):
            with pytest.raises(StoreDown, match="says where the slots of the Cluster are"):
                await link.call("GET", "a")


async def test_announced_addresses_are_replaced_by_reachable_ones(nodes: ClusterSet) -> None:
    first, second, _ = nodes.servers
    mapped = replace(nodes.options[TOPOLOGY], address_map={first.address: second.address})
    async with closing(open_connection({TOPOLOGY: mapped}, [], 0.5)) as link:
        key = nodes.key_of(first)
        with pytest.raises(ErrorReply, match="without end"):  # the second one sends it back to the first one
            await link.call("GET", key)
