"""Workers tell each other about targets and keys that fail, over a real Redis."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from redis import RedisError

from mitm_addons.ai.health import SharedHealth
from shared.model.pools import Breaker
from shared.redis_client.channel import Channel, open_channel
from shared.routing.ai_route import PoolStates
from shared.upstreams.attempt import Change
from shared.upstreams.keys import KeyState
from shared.upstreams.outcome import KeyEffect
from shared.upstreams.target import TargetState
from tests.mitm_addons.ai.test_attempts import ask
from tests.support.valkey_server import Server


class Clock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class Worker:
    """A worker that knows one target and one key of the tenant ``ten_1``."""

    def __init__(self, name: str, channel: Channel) -> None:
        self.states = PoolStates(b"secret")
        self.target = self.states.targets.of(("ten_1", "prv_1/m"), lambda: TargetState(Breaker()))
        self.key = self.states.keys.of(("ten_1", "prv_1", "pk_1"), KeyState)
        self.health = SharedHealth(channel.send, self.states, Clock(), name)
        self.channel = channel

    def tell(self, change: Change) -> None:
        one = ask("a", keys=0).one
        assert one.attempts is not None
        one.attempts.changes.append(change)
        self.health.tell(one)
        assert one.attempts.changes == []


@asynccontextmanager
async def workers(socket: str) -> AsyncIterator[list[Worker]]:
    made = [Worker(name, open_channel({"unix_socket_path": socket}, "health-test")) for name in "ab"]
    running = [asyncio.create_task(one.channel.run(one.health.heard)) for one in made]
    try:
        for one in made:
            await subscribed(one)
        yield made
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        for one in made:
            await one.channel.close()


async def subscribed(one: Worker) -> None:
    """Return when both workers hear what is sent."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(RedisError):
                if int((await one.channel._client.pubsub_numsub("health-test"))[0][1]) == 2:
                    return
            await asyncio.sleep(0.01)


async def until(seconds: float, true: object) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # type: ignore[operator]
            await asyncio.sleep(0.005)


async def test_another_worker_does_not_call_an_open_target_or_a_rejected_key(valkey_socket: str) -> None:
    async with workers(valkey_socket) as (first, second):
        soon = time.monotonic() + 30
        first.tell(Change(target="prv_1/m", until=soon, why="status 503"))
        await until(5, lambda: not second.target.breaker.admits(time.monotonic()))
        assert second.target.breaker.admits(soon + 1)
        rejected = Change(target="prv_1/m", until=soon, why="auth", key="pk_1", effect=KeyEffect.REJECTED)
        first.tell(rejected)
        await until(5, lambda: second.key.rejected_until is not None)
        assert first.key.rejected_until is None  # it does not listen to itself


async def test_a_key_cools_for_the_model_only_that_it_was_limited_for(valkey_socket: str) -> None:
    async with workers(valkey_socket) as (first, second):
        soon = time.monotonic() + 30
        first.tell(
            Change(
                target="prv_1/m", until=soon, why="429", key="pk_1", effect=KeyEffect.RATE_LIMIT, model="m"
            )
        )
        await until(5, lambda: second.key.wait("m", time.monotonic()) > 20)
        assert second.key.wait("n", time.monotonic()) == 0


async def test_workers_hear_again_after_redis_was_away(running: Server) -> None:
    async with workers(running.socket) as (first, second):
        running.kill()
        running.start()
        await subscribed(first)
        first.tell(Change(target="prv_1/m", until=time.monotonic() + 30, why="status 503"))
        await until(10, lambda: not second.target.breaker.admits(time.monotonic()))


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"[]",
        b"{}",
        b'{"worker": "x"}',
        b'{"worker":"x","tenant":"ten_1","target":"prv_1/m","until":"x","why":"","key":null}',
    ],
)
def test_a_message_of_another_form_changes_nothing(message: bytes) -> None:
    states = PoolStates(b"secret")
    target = states.targets.of(("ten_1", "prv_1/m"), lambda: TargetState(Breaker()))
    SharedHealth(lambda _: None, states, Clock(), "a").heard(message)
    assert target.breaker.admits(time.monotonic())


def test_what_one_tenant_has_seen_does_not_count_for_another() -> None:
    states = PoolStates(b"secret")
    other = states.targets.of(("ten_2", "prv_1/m"), lambda: TargetState(Breaker()))
    told = {
        "worker": "b",
        "tenant": "ten_1",
        "target": "prv_1/m",
        "until": time.time() + 60,
        "why": "x",
        "key": None,
    }
    SharedHealth(lambda _: None, states, Clock(), "a").heard(orjson.dumps(told))
    assert other.breaker.admits(time.monotonic())
