"""Alerts wait in a bounded queue that any leader works off; none delays those of others."""

from typing import Any

import pytest
import redis

from admin_app.jobs.webhooks import MAX_OF_TENANT, MAX_WAITING, PAUSES
from shared.alerts.deliveries import DELIVERED, DELIVERIES, Deliveries
from shared.alerts.stream import ALERTS
from shared.config_store.leader import Term
from shared.core.errors import StoreDown
from shared.metrics import names
from shared.metrics.registry import REGISTRY
from tests.admin_app.jobs.webhooks import Leading, Receiver, dropped, hook, leader, reached
from tests.admin_app.world import Api, Tenant, World
from tests.alerts.told import tell
from tests.support.peer import Received
from tests.support.upstream import Upstream, hang
from tests.support.wait import await_true


def test_alerts_that_newer_ones_displaced_are_counted_and_logged(
    api: Api, tenant: Tenant, client: redis.Redis, leading: Leading, caplog: pytest.LogCaptureFixture
) -> None:
    client.delete(ALERTS, DELIVERED)
    missed = REGISTRY.value(names.WEBHOOK_DELIVERIES, "missed")
    before = missed.value
    tell(client, *(reached(tenant.id, number) for number in range(5)))
    client.xtrim(ALERTS, maxlen=2, approximate=False)
    leading.run()
    leading.run()
    assert missed.value - before == 3
    assert caplog.text.count("were not told of 3 alerts") == 1


def test_next_leader_goes_on_with_what_was_not_sent(
    api: Api, tenant: Tenant, receiver: Receiver, client: redis.Redis, leading: Leading, world: World
) -> None:
    hook(api, tenant.url, receiver)
    receiver.status = "503 Service Unavailable"
    tell(client, reached(tenant.id, 1))
    leading.run()
    tell(client, reached(tenant.id, 2))
    with leader(world, client, 2) as second:
        second.run()
        assert [one["data"]["budget_id"] for one in receiver.bodies] == ["budget_1", "budget_2"]
        receiver.status = "200 OK"
        second.wait(PAUSES[0])
        ids = [one.get("x-gateway-delivery") for one in receiver.got]
        assert ids[:2] == ids[2:]
        assert client.hlen(DELIVERIES) == 0
    with leader(world, client, 3) as third:
        third.wait(7200)
    leading.term = Term(4, lambda _: True)
    leading.run()  # it forgets what it knew in its first term
    assert len(receiver.got) == 4


def test_two_leaders_at_a_time_send_under_the_same_id(
    api: Api, tenant: Tenant, receiver: Receiver, client: redis.Redis, leading: Leading, world: World
) -> None:
    hook(api, tenant.url, receiver)
    with leader(world, client, 2) as second:
        for one in (leading, second):
            one.run()
        tell(client, reached(tenant.id))
        for one in (leading, second):
            one.run()
    assert len({one.get("x-gateway-delivery") for one in receiver.got}) == 1
    assert client.hlen(DELIVERIES) == 0


def test_slow_receiver_delays_no_other_one(
    api: Api, tenant: Tenant, receiver: Receiver, client: redis.Redis, leading: Leading
) -> None:
    calls: list[Received] = []

    async def silent(peer: Any) -> None:
        calls.append(await peer.request())
        await hang(peer)

    slow = Receiver()
    slow.upstream = Upstream(silent)
    with slow.upstream:
        hook(api, tenant.url, slow)
        hook(api, tenant.url, receiver)
        tell(client, *(reached(tenant.id, number) for number in range(3)))

        def all_are_there() -> bool:
            leading.job.run(leading.term)
            return len(receiver.got) == 3

        await_true(all_are_there)
        assert len(calls) == 1  # one call at a time
        assert [one.webhook for one in leading.job._running.values()]


def test_what_waits_for_one_webhook_is_bounded(
    api: Api, tenant: Tenant, receiver: Receiver, client: redis.Redis, leading: Leading
) -> None:
    before, receiver.status = dropped(), "500 Internal Server Error"
    hook(api, tenant.url, receiver)
    tell(client, *(reached(tenant.id, number) for number in range(MAX_WAITING + 5)))
    leading.job.run(leading.term)
    assert (client.hlen(DELIVERIES), dropped() - before) == (MAX_WAITING, 5)


def test_tenant_with_many_alerts_neither_delays_nor_displaces_those_of_others(
    api: Api, tenant: Tenant, receiver: Receiver, client: redis.Redis, leading: Leading
) -> None:
    before, other = dropped(), api.tenant("globex")
    hook(api, "", receiver)
    tell(client, *(reached(tenant.id, number) for number in range(MAX_WAITING + 5)), reached(other.id))
    leading.run()
    assert dropped() - before == MAX_WAITING + 5 - MAX_OF_TENANT
    assert other.id in [one["tenant_id"] for one in receiver.bodies[:2]]


def test_last_delivery_of_long_ago_is_forgotten_by_the_next_leader(
    api: Api, tenant: Tenant, receiver: Receiver, client: redis.Redis, leading: Leading, world: World
) -> None:
    made = hook(api, tenant.url, receiver)
    tell(client, reached(tenant.id))
    leading.run()
    for number, days in ((2, 29), (3, 2)):
        world.clock.time += days * 86_400
        with leader(world, client, number) as next_one:
            next_one.run()
        assert client.hexists(DELIVERED, made["id"]) is (number == 2)
    assert client.hexists(DELIVERED, "position")
    assert len(receiver.got) == 1


def test_alert_is_not_lost_when_it_cannot_be_stored(
    api: Api,
    tenant: Tenant,
    receiver: Receiver,
    client: redis.Redis,
    leading: Leading,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hook(api, tenant.url, receiver)
    leading.run()
    tell(client, reached(tenant.id))
    with monkeypatch.context() as full:
        full.setattr(Deliveries, "add", _full)
        with pytest.raises(StoreDown):
            leading.run()
    leading.run()
    assert len(receiver.got) == 1


def _full(*_: object) -> None:
    raise redis.ConnectionError("Redis is away.")


def test_damaged_delivery_is_removed(client: redis.Redis, leading: Leading) -> None:
    client.hset(DELIVERIES, mapping={"a": "no JSON", "b": "{}"})
    leading.run()
    assert client.hlen(DELIVERIES) == 0
