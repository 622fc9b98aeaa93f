"""Workers tell each other about targets and keys that fail, over a real Redis."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from redis.exceptions import RedisError

from mitm_addons.ai.shared_health import SharedHealth
from shared.alerts.alert import Alert
from shared.core.errors import OutsideError
from shared.health.link import HealthLink, open_link
from shared.health.report import Report
from shared.health.states import PoolStates
from shared.health.store import HealthStore
from shared.model.pools import AI_POLICY, HealthCheck, PoolPolicy
from shared.net.port import FetchResponse
from shared.routing.provider_calls import ProviderCompiler
from shared.secrets.context import PLATFORM
from shared.upstreams.attempt import Change
from shared.upstreams.outcome import KeyEffect
from tests.routing.test_ai_route import SEALER, provider
from tests.support.valkey_server import Server
from tests.support.wait import until_true

SHARED = ProviderCompiler(SEALER)(provider(owner=PLATFORM), PLATFORM)


class Clock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class Worker:
    """A worker that knows one target and one key of each of two tenants."""

    def __init__(self, name: str, link: HealthLink) -> None:
        self.states = PoolStates(b"secret", time.time() - time.monotonic())
        self.target, self.others_target = (self.target_of(tenant) for tenant in ("ten_1", "ten_2"))
        self.key, self.others_key = (
            self.states.key(tenant, "prv_1", "pk_1") for tenant in ("ten_1", "ten_2")
        )
        self.link = link
        self.replies: list[FetchResponse] = []
        self.health = SharedHealth(link, self.states, Clock(), self.fetch)

    def target_of(self, tenant: str, policy: PoolPolicy = AI_POLICY) -> Any:
        return self.states.target(tenant, "prv_1/m", policy)

    def fetch(self, *_: Any, **__: Any) -> FetchResponse:
        if not self.replies:
            raise OutsideError("There is no connection.")
        return self.replies.pop()

    def tell(self, change: Change, tenant: str = "ten_1", *, is_shared: bool = False) -> None:
        shared = SHARED if is_shared else None
        exchange: Any = SimpleNamespace(
            attempts=SimpleNamespace(changes=[change]), tenant_id=tenant, shared_provider=shared
        )
        self.health.tell(exchange)
        assert exchange.attempts.changes == ()


def is_closed(target: Any) -> bool:
    return bool(target.breaker.admits(time.monotonic()))


@asynccontextmanager
async def workers(socket: str) -> AsyncIterator[list[Worker]]:
    with redis.Redis(unix_socket_path=socket) as client, contextlib.suppress(redis.ConnectionError):
        client.flushall()
    made = [Worker(name, open_link({"unix_socket_path": socket}, name)) for name in "ab"]
    running = [asyncio.create_task(one.link.listen(one.health.heard)) for one in made]
    try:
        await subscribed(made[0])
        yield made
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        for one in made:
            await one.link.close()


async def subscribed(one: Worker) -> None:
    """Return when both workers hear what is sent."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(RedisError):
                if int((await one.link._listener.pubsub_numsub("health"))[0][1]) == 2:
                    return
            await asyncio.sleep(0.01)


def opened(seconds: float = 30, why: str = "status 503") -> Change:
    return Change(target="prv_1/m", until=time.monotonic() + seconds, why=why)


REJECTED = KeyEffect.REJECTED


def rejected(seconds: float = 600) -> Change:
    until = time.monotonic() + seconds
    return Change(target="prv_1/m", until=until, why="auth", key="pk_1", effect=REJECTED)


async def test_another_worker_does_not_call_an_open_target_or_a_rejected_key(valkey_socket: str) -> None:
    async with workers(valkey_socket) as (first, second):
        first.tell(change := opened())
        await until_true(lambda: not is_closed(second.target))
        assert second.target.breaker.admits(change.until + 1)
        first.tell(rejected())
        began = time.monotonic()
        await until_true(lambda: second.key.rejected_until is not None)
        assert time.monotonic() - began < 0.1
        assert is_closed(second.others_target)  # what one tenant has seen
        assert second.others_key.rejected_until is None


async def test_worker_that_sees_a_failure_tells_webhooks(valkey_socket: str) -> None:
    told: list[Alert] = []
    async with workers(valkey_socket) as (first, second):
        first.health.alert = second.health.alert = told.append
        for change in (opened(), rejected(), replace(rejected(), effect=KeyEffect.RATE_LIMIT)):
            first.tell(change)
        await until_true(lambda: second.key.rejected_until is not None)
    assert [(one.kind, one.tenant) for one in told] == [
        ("breaker.opened", "ten_1"),
        ("key.rejected", "ten_1"),
    ]


async def test_a_key_cools_for_the_model_only_that_it_was_limited_for(valkey_socket: str) -> None:
    async with workers(valkey_socket) as (first, second):
        limit = replace(rejected(30), effect=KeyEffect.RATE_LIMIT, model="m")
        first.tell(limit)
        await until_true(lambda: second.key.wait("m", time.monotonic()) > 20)
        assert second.key.wait("n", time.monotonic()) == 0


async def test_what_two_tenants_have_seen_is_everybodys(valkey_socket: str) -> None:
    async with workers(valkey_socket) as (first, second):
        third = second.target_of("ten_3")
        first.tell(opened())
        second.tell(opened(20), "ten_2")
        await until_true(lambda: not is_closed(third))
        assert 15 < third.breaker.until - time.monotonic() <= 20  # the shorter time
        await until_true(lambda: not is_closed(first.target_of("ten_4")))  # also one that is made later


async def test_a_worker_that_starts_later_knows_what_was_told(valkey_socket: str) -> None:
    async with workers(valkey_socket) as (first, second):
        for change in (opened(), rejected()):
            first.tell(change)
        await until_true(lambda: second.key.rejected_until is not None)
        third = Worker("c", first.link)
        await first.link.learn(["prv_1", "ten_1"], third.states, Clock())
        assert not is_closed(third.target)
        assert third.key.wait("m", time.monotonic()) > 500
        assert is_closed(third.others_target)


async def test_a_failure_that_the_provider_shows_to_all_is_everybodys(valkey_socket: str) -> None:
    async with workers(valkey_socket) as (first, second):
        first.replies = [FetchResponse(401, {}, b'{"error": {"code": "invalid_api_key"}}')]
        first.tell(rejected(), is_shared=True)
        await until_true(lambda: second.others_key.rejected_until is not None)
        assert is_closed(second.others_target)


@pytest.mark.parametrize("status", [200, 404, 429])
async def test_a_key_that_the_provider_accepts_is_rejected_for_one_tenant_only(
    valkey_socket: str, status: int
) -> None:
    async with workers(valkey_socket) as (first, second):
        first.replies = [FetchResponse(status, {}, b'{"data": []}')]
        first.tell(rejected(), is_shared=True)
        second.replies = [FetchResponse(401, {}, b"{}")]
        await until_true(lambda: not first.replies and second.key.rejected_until is not None)
        # Nobody looks again within ten seconds.
        second.tell(rejected(700), is_shared=True)
        await until_true(lambda: not second.health._looks and not first.health._looks)
        assert len(second.replies) == 1
        assert second.others_key.rejected_until is None


async def test_a_target_whose_provider_is_down_is_open_for_everybody(valkey_socket: str) -> None:
    async with workers(valkey_socket) as (first, second):
        first.tell(opened(), is_shared=True)
        await until_true(lambda: not is_closed(second.others_target))


async def test_figures_of_used_targets_are_stored(valkey_socket: str) -> None:
    async with workers(valkey_socket) as (first, _):
        probed = first.states.target("ten_1", "abc", replace(AI_POLICY, health=HealthCheck(path="/")))
        silent = first.states.target("ten_1", "def", AI_POLICY)
        for state in (first.target, first.others_target, probed, silent):
            state.in_flight = 1
            state.latency.arrived(state.latency.begin(1.0), 1.25)
        await first.health.beat()
        with redis.Redis(unix_socket_path=valkey_socket) as client:
            store = HealthStore(client)
            await until_true(lambda: len(store.read(["ten_1"])["ten_1"].beats) == 1)
            [beat] = store.read(["prv_1"])["prv_1"].beats
            [plain] = store.read(["ten_1"])["ten_1"].beats
        assert (beat.target, beat.in_flight) == ("prv_1/m", 2)
        assert plain.target == "abc"


async def test_workers_hear_again_after_redis_was_away_and_nothing_waits_for_it(
    running: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with workers(running.socket) as (first, second):
        running.kill()
        for _ in range(3):
            first.tell(opened())
        await until_true(lambda: first.link.lost == 3)
        assert await first.link.read(["prv_1"]) == []
        running.start()
        await subscribed(first)

        def is_heard() -> bool:
            first.tell(opened(60))
            return not is_closed(second.target)

        await until_true(is_heard)
        await until_true(lambda: not first.link._is_down)
    warnings = [
        one for one in caplog.records if one.name == "shared.health.link" and one.levelname == "WARNING"
    ]
    assert len(warnings) == 1


@pytest.mark.parametrize(
    "message",
    [
        *(b"", b"[]", b"{}", b'{"worker": "x"}', b'["b", "prv_1", "target:prv_1/m", 7]'),
        b'["b", "prv_1", "else", "99999999999999 1 calls x"]',
        b'["b", "prv_1", "target:prv_1/m", "99999999999999 1 rejected x"]',
        b'["b", "prv_1", "key:pk_1", "99999999999999 1 calls x"]',
        b'["b", "prv_1", "target:prv_1/m", "x 1 calls x"]',
        b'["b", "prv_1", "target:prv_1/m", ""]',
    ],
)
async def test_a_message_of_another_form_changes_nothing(message: bytes, valkey_socket: str) -> None:
    one = Worker("a", open_link({"unix_socket_path": valkey_socket}, "a"))
    one.health.heard(message)
    assert is_closed(one.target)
    assert one.key.rejected_until is None
    await one.link.close()


async def test_a_time_that_is_too_long_is_not_believed(valkey_socket: str) -> None:
    one = Worker("a", open_link({"unix_socket_path": valkey_socket}, "a"))
    now = time.time()
    report = Report(
        tenant="ten_1", target="prv_1/m", until=now + 1e9, at=now, cause=REJECTED, why="x", key="pk_1"
    )
    one.health.heard(json.dumps(["b", report.owner, report.field, report.value]).encode())
    assert 86_000 < one.key.wait("m", time.monotonic()) < 86_401
    await one.link.close()
