"""Heartbeats in a real Redis: they are found, end in time, and stay few."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from redis import Redis

from shared.workers.heartbeat import EVERY_SECONDS, KEYS, LASTS_SECONDS
from shared.workers.store import MAX_READ, Fleet, HeartbeatStore
from tests.workers.heartbeats import beat

INDEX, BEATS = KEYS


@pytest.fixture
def client(valkey_socket: str) -> Iterator[Redis]:
    with Redis(unix_socket_path=valkey_socket) as client:
        client.delete(*KEYS)
        yield client


@pytest.fixture
def store(client: Redis) -> HeartbeatStore:
    return HeartbeatStore(client)


def let_pass(client: Redis, id: str, seconds: float) -> None:
    """Make the last heartbeat of a worker that much older."""
    client.zincrby(INDEX, -seconds * 1000, id)


def test_worker_is_found_with_all_that_it_told(store: HeartbeatStore) -> None:
    assert store.read() == Fleet(0, [])
    told = beat(in_flight=3, connections=9, loop_lag=0.002, draining=True, trouble={"limits": "unavailable"})
    store.tell(beat())
    store.tell(told)
    assert store.read() == Fleet(1, [told])
    store.forget(told.id)
    assert store.read() == Fleet(0, [])


def test_worker_that_was_killed_is_gone_after_its_time_and_removed_by_the_next_heartbeat(
    client: Redis, store: HeartbeatStore
) -> None:
    store.tell(beat(id="killed"))
    store.tell(beat(id="paused"))
    let_pass(client, "killed", LASTS_SECONDS)
    let_pass(client, "paused", LASTS_SECONDS - EVERY_SECONDS)
    assert [one.id for one in store.read().heartbeats] == ["paused"]
    store.tell(beat(id="lives"))
    assert (client.zcard(INDEX), client.hlen(BEATS)) == (2, 2)


def test_clock_that_was_set_back_keeps_no_dead_worker(client: Redis, store: HeartbeatStore) -> None:
    store.tell(beat(id="killed"))
    let_pass(client, "killed", -3_600)
    assert store.read().total == 0
    store.tell(beat(id="lives"))
    assert [one.id for one in store.read().heartbeats] == ["lives"]
    assert client.hlen(BEATS) == 1


def test_keys_expire_when_no_worker_is_left(client: Redis, store: HeartbeatStore) -> None:
    store.tell(beat())
    assert all(0 < client.pttl(key) <= 2 * LASTS_SECONDS * 1000 for key in KEYS)


def test_large_fleet_is_counted_whole_and_read_up_to_a_bound(client: Redis, store: HeartbeatStore) -> None:
    with client.pipeline(transaction=False) as pipeline:
        pipelined = HeartbeatStore(pipeline)
        for number in range(MAX_READ + 5):
            pipelined.tell(beat(id=f"worker-{number}"))
        pipeline.execute()
    found = store.read()
    assert (found.total, len(found.heartbeats)) == (MAX_READ + 5, MAX_READ)


def told(**members: Any) -> bytes:
    """A heartbeat as it is stored, with some members of another form."""
    return orjson.dumps({**orjson.loads(str(beat().arguments[1])), **members})


@pytest.mark.parametrize(
    "damaged",
    [
        *(b"{", b"[]", b"{}", b'{"plane": "other"}', None),
        *(told(revision="x"), told(current="x"), told(started={}), told(machine=5), told(trouble="limits")),
        *(told(draining="no"), told(other=1)),
    ],
)
def test_damaged_heartbeat_hides_no_other(
    client: Redis, store: HeartbeatStore, damaged: bytes | None
) -> None:
    store.tell(beat(id="damaged"))
    store.tell(beat(id="lives"))
    if damaged is None:
        client.hdel(BEATS, "damaged")
    else:
        client.hset(BEATS, "damaged", damaged)
    assert [one.id for one in store.read().heartbeats] == ["lives"]
