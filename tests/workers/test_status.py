"""The status has the store, its server, the workers and the leaders, and needs few commands."""

import time
from typing import Any

from redis import Redis

from shared.config_store import layout
from shared.config_store.leader import Lead
from shared.workers.heartbeat import KEYS
from shared.workers.status import StatusReader
from shared.workers.store import HeartbeatStore
from tests.workers.heartbeats import beat


def test_status_has_the_store_the_workers_and_the_leaders(client: Redis) -> None:
    client.hset(layout.IDENTITY, mapping={"id": "abc", "generation": 2, "pepper": "p", "keys": "k"})
    client.set(layout.REVISION, 41)
    client.zadd(layout.ORDER, {"tenant_1": 1})
    client.hset(layout.FAULTS, "tenant_1", "damaged")
    client.set("lead:{archive}", "one 7")
    HeartbeatStore(client).tell(beat())
    found = StatusReader(client).read(("archive", "probes"), time.monotonic)
    assert found.state is not None
    assert (found.state.id, found.state.generation, found.state.revision) == ("abc", 2, 41)
    assert (found.tenants, found.faults) == (1, 1)
    assert found.leads == [Lead("one", 7), None]
    assert found.fleet.heartbeats == [beat()]
    assert 0 < found.round_trip < 1
    server = found.server
    assert server is not None
    assert server.name.startswith("valkey ")
    assert (server.role, server.memory.most) == ("master", None)
    assert server.memory.used > 100_000


def test_empty_store_has_no_identity_and_no_workers(client: Redis) -> None:
    found = StatusReader(client).read((), time.monotonic)
    assert (found.state, found.fleet.total, found.tenants) == (None, 0, 0)


def test_status_of_a_redis_that_allows_no_info_lacks_the_server_only(
    client: Redis, valkey_socket: str
) -> None:
    client.acl_setuser("no-info", enabled=True, passwords=["+x"], keys=["*"], commands=["+@all", "-info"])
    try:
        with Redis(unix_socket_path=valkey_socket, username="no-info", password="x") as limited:
            found = StatusReader(limited).read((), time.monotonic)
    finally:
        client.acl_deluser("no-info")
    assert (found.server, found.tenants) == (None, 0)


def test_status_reads_no_key_of_which_it_does_not_know_the_name(client: Redis) -> None:
    client.config_resetstat()
    HeartbeatStore(client).tell(beat())
    StatusReader(client).read(("archive",), time.monotonic)
    commands: Any = client.info("commandstats")
    assert not {"cmdstat_scan", "cmdstat_keys"} & commands.keys()
    assert commands["cmdstat_zrangebyscore"]["calls"] >= 1


def test_keys_of_heartbeats_are_of_one_slot() -> None:
    assert len({key.partition("{")[2].partition("}")[0] for key in KEYS}) == 1
