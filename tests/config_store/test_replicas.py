"""`redis.min_replicas`: what the admin API is told of a change that too few replicas have."""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from shared.config_store.durability import Replicas
from shared.config_store.history.edit import Edit
from shared.config_store.store import RedisStore, open_store
from shared.core.errors import NotReplicated, StoreDown
from shared.redis_client.topology import TOPOLOGY, Sentinels
from tests.config_store.configurations import a_tenant, create
from tests.reliability.figures import figure
from tests.support.redis_sets import MASTER, SentinelSet, sentinel_set

# Failovers of the test with replicas. The promise is 50: FAILOVERS=50 measures them.
ROUNDS = int(os.environ.get("FAILOVERS", "5"))


@pytest.mark.parametrize("on_disk", [False, True])
def test_change_without_replicas_is_rejected_and_in_effect(valkey_socket: str, on_disk: bool) -> None:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.flushall()
    store = open_store({"unix_socket_path": valkey_socket}, 0, replicas=Replicas(1, 0.002, on_disk))
    with pytest.raises(NotReplicated) as error:
        create(store, a_tenant("acme"))
    assert "in effect" in error.value.detail
    assert "before you repeat" in error.value.detail
    assert store.count() == 1
    store.close()


def test_pin_without_replicas_is_rejected_and_in_effect(valkey_socket: str) -> None:
    options = {"unix_socket_path": valkey_socket}
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.flushall()
    owner = create(open_store(options, 0), a_tenant("acme")).tenant.id
    store = open_store(options, 0, replicas=Replicas(1, 0.002))
    note = store.history.note(owner, 1)
    assert note is not None
    with pytest.raises(NotReplicated):
        store.history.pin(owner, note, pinned=True)
    pinned = store.history.note(owner, 1)
    assert pinned is not None
    assert pinned.pinned
    store.close()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelSet]:
    disk = ("--appendonly", "yes", "--appendfsync", "everysec")
    with sentinel_set(tmp_path_factory.mktemp("sentinel"), *disk, replicas=2) as found:
        yield found


def opened(servers: SentinelSet, **replicas: Any) -> RedisStore:
    sentinels = Sentinels(addresses=tuple(node.address for node in servers.sentinels), master=MASTER)
    return open_store({TOPOLOGY: sentinels}, 0, replicas=Replicas(**replicas))


@pytest.mark.slow
def test_change_that_replicas_have_on_disk_is_acknowledged(servers: SentinelSet) -> None:
    store = opened(servers, count=2, wait=3.0, on_disk=True)
    began = time.monotonic()
    create(store, a_tenant("disk"))
    figure("R28", f"a change on the disks of three servers took {time.monotonic() - began:.2f} s")
    store.close()


@pytest.mark.slow
def test_no_acknowledged_change_is_lost_in_failovers(servers: SentinelSet) -> None:
    store = opened(servers, count=1, wait=0.1)
    acknowledged: set[str] = set()
    tried = 0
    for _ in range(ROUNDS):
        before, killed = servers.primary, False
        end = None
        while end is None or time.monotonic() < end:
            tried += 1
            if tried % 20 == 10 and not killed:
                before.kill()
                killed = True
            try:
                snapshot = store.write(None, a_tenant(f"t{tried}"), edit=Edit(actor="platform"))
            except StoreDown:
                time.sleep(0.01)
                continue
            assert snapshot is not None
            acknowledged.add(snapshot.tenant.id)
            if killed and end is None:  # the next primary has taken one
                end = time.monotonic() + 0.1
        servers.restore(before)
    found = {one.tenant.id for one in store.list(100_000, None).snapshots}
    lost = acknowledged - found
    figure("R28", f"{ROUNDS} failovers, min_replicas 1: {len(lost)} of {len(acknowledged)} changes lost")
    assert not lost
    store.close()
