"""Bindings are written promptly, found by every worker, and bounded."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

import pytest
from redis import Redis

from shared.core.errors import StoreDown
from shared.stored import store
from shared.stored.binding import Binding
from shared.stored.store import KEPT_SECONDS, Bindings, open_bindings
from tests.support.valkey_server import Server

FIRST = Binding(provider="prv_1", model="gpt", key="pk_1", asked="best")
SECOND = Binding(provider="prv_2", model="gpt", key="", asked="best")


@pytest.fixture
def client(valkey_socket: str) -> Iterator[Redis]:
    with Redis(unix_socket_path=valkey_socket) as client:
        for key in client.keys("aff:*"):
            client.delete(key)
        yield client


@asynccontextmanager
async def worker(socket: str) -> AsyncIterator[Bindings]:
    opened = open_bindings({"unix_socket_path": socket}, b"secret")
    writing = asyncio.ensure_future(opened.run())
    try:
        yield opened
    finally:
        writing.cancel()
        await opened.close()


async def found(bindings: Bindings, ids: list[str]) -> Mapping[str, Binding]:
    """The bindings that are found; none while Redis starts."""
    try:
        return await bindings.find("t1", ids)
    except StoreDown:
        return {}


async def test_what_one_worker_binds_all_know_at_once_and_no_other_tenant(
    valkey_socket: str, client: Redis
) -> None:
    async with worker(valkey_socket) as one, worker(valkey_socket) as other:
        one.add("t1", ["resp_1", "msg_1"], FIRST)
        one.add("t2", ["resp_2"], SECOND)
        # Without a pause: the other worker looks a second time.
        assert await other.find("t1", ["resp_1", "msg_1", "resp_2"]) == {"resp_1": FIRST, "msg_1": FIRST}
        assert await other.find("t2", ["resp_1", "resp_2"]) == {"resp_2": SECOND}
    stored = client.keys("aff:{t1}:*")
    assert len(stored) == 2
    assert all(KEPT_SECONDS - 60 < client.ttl(name) <= KEPT_SECONDS for name in (*stored, "aff:{t1}"))
    assert b"resp_1" not in b"".join(stored)


async def test_removed_id_is_forgotten(valkey_socket: str, client: Redis) -> None:
    async with worker(valkey_socket) as one, worker(valkey_socket) as other:
        one.add("t1", ["resp_1"], FIRST)
        one.add("t1", ["resp_2"], FIRST)
        one.remove("t1", "resp_1")
        assert await one.find("t1", ["resp_1", "resp_2"]) == {"resp_2": FIRST}
        await one.flush()
        assert await other.find("t1", ["resp_1"]) == {}
    assert client.zcard("aff:{t1}") == 1


async def test_only_the_newest_of_a_tenant_are_kept(
    valkey_socket: str, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_PER_TENANT", 2)
    client.zadd("aff:{t1}", {"expired": 1, "old": time.time() + 60})
    client.set("aff:{t1}:old", "x")
    async with worker(valkey_socket) as one:
        one.add("t1", ["a", "b"], FIRST)
        await one.flush()
    assert len(client.keys("aff:{t1}:*")) == 2
    assert not client.exists("aff:{t1}:old")
    assert client.zscore("aff:{t1}", "expired") is None


async def test_damaged_binding_is_none(valkey_socket: str, client: Redis) -> None:
    async with worker(valkey_socket) as one, worker(valkey_socket) as other:
        one.add("t1", ["resp_1"], FIRST)
        await one.flush()
        [name] = client.keys("aff:{t1}:*")
        for damaged in (b"{", b"[1]"):
            client.set(name, damaged)
            assert await other.find("t1", ["resp_1"]) == {}


async def test_without_redis_a_worker_knows_its_own_and_writes_them_later(
    running: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_IN_MEMORY", 2)
    monkeypatch.setattr(store, "MAX_WAITING", 3)
    monkeypatch.setattr(store, "_PAUSE", 0.01)
    running.kill()
    async with worker(running.socket) as one:
        one.add("t1", ["a", "b", "c", "d"], FIRST)
        assert await one.find("t1", ["b", "c", "d"]) == {"b": FIRST, "c": FIRST, "d": FIRST}
        with pytest.raises(StoreDown):
            await one.find("t1", ["a"])
        running.start()
        async with worker(running.socket) as other, asyncio.timeout(10):
            while "c" not in await found(other, ["a", "b", "c"]):
                await asyncio.sleep(0.02)
            assert await found(other, ["a", "b", "c", "d"]) == {"b": FIRST, "c": FIRST, "d": FIRST}


async def test_tenant_with_very_many_takes_no_place_of_others(
    valkey_socket: str, client: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store, "MAX_IN_MEMORY", 2)
    monkeypatch.setattr(store, "MAX_WAITING", 6)
    monkeypatch.setattr(store, "_BATCH", 2)
    async with worker(valkey_socket) as one:
        one.add("t2", map(str, range(9)), SECOND)
        one.add("t1", ["a"], FIRST)
        one.add("t2", map(str, range(10, 20)), SECOND)
        assert await one.find("t1", ["a"]) == {"a": FIRST}
        async with worker(valkey_socket) as other:
            assert await until_found(other, ["a"]) == {"a": FIRST}
    assert "14 stored responses were not bound: too many came at once." in caplog.text


async def until_found(bindings: Bindings, ids: list[str]) -> Mapping[str, Binding]:
    async with asyncio.timeout(5):
        while not (known := await found(bindings, ids)):
            await asyncio.sleep(0.01)
    return known


async def test_binding_is_found_by_the_secret_of_an_older_pepper(valkey_socket: str, client: Redis) -> None:
    options = {"unix_socket_path": valkey_socket}
    before, after = open_bindings(options, b"secret"), open_bindings(options, b"new", b"secret")
    try:
        before.add("t1", ["resp_1"], FIRST)
        await before.flush()
        after.add("t1", ["resp_2"], SECOND)
        await after.flush()
        assert await after.find("t1", ["resp_1", "resp_2"]) == {"resp_1": FIRST, "resp_2": SECOND}
    finally:
        await before.close()
        await after.close()
