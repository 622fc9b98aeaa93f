"""Alerts that the leader among the admin processes sends: signed, again after a failure, to allowed addresses only."""

import hashlib
import hmac
import logging
from typing import Any

import orjson
import pytest
import redis

from admin_app.jobs.webhooks import PAUSES
from shared.alerts.deliveries import DELIVERIES, REACHED
from shared.net.fetch import GuardedFetch
from shared.net.policy import Policy
from shared.services import SystemClock
from tests.admin_app.jobs.webhooks import SECRET, Leading, Receiver, dropped, hook, reached
from tests.admin_app.world import NOW, Api, Tenant, World
from tests.alerts.told import tell
from tests.support.upstream import Upstream


def test_receiver_gets_a_signed_alert_once(
    api: Api, tenant: Tenant, receiver: Receiver, client: redis.Redis, leading: Leading
) -> None:
    made = hook(api, tenant.url, receiver, path="/hook?team=a")
    tell(client, reached(tenant.id))
    leading.run()
    leading.wait(7200)
    [got] = receiver.got
    assert (got.method, got.target, got.get("content-type")) == ("POST", "/hook?team=a", "application/json")
    body = orjson.loads(got.body)
    assert (got.get("x-gateway-event"), body["type"]) == ("budget.reached", "budget.reached")
    assert got.get("x-gateway-delivery") == f"{body['id']}.{made['id']}"
    assert (body["tenant_id"], body["data"]["used"]) == (tenant.id, 80)
    moment, _, digest = (got.get("x-gateway-signature") or "").removeprefix("t=").partition(",v1=")
    signed = f"{moment}.".encode() + got.body
    assert hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest() == digest
    assert hmac.new(b"another secret", signed, hashlib.sha256).hexdigest() != digest
    assert client.hlen(DELIVERIES) == 0
    last = api.get(f"{tenant.url}/webhooks/{made['id']}").get_json()["last_delivery"]
    assert (last["state"], last["status"], last["tries"], last["error"]) == ("delivered", 204, 1, None)
    assert last["delivery"] == got.get("x-gateway-delivery")


def test_alert_that_is_not_taken_is_sent_five_times_in_an_hour_and_dropped(
    api: Api,
    tenant: Tenant,
    receiver: Receiver,
    client: redis.Redis,
    leading: Leading,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made, before = hook(api, tenant.url, receiver), dropped()
    receiver.status = "500 Internal Server Error"
    tell(client, reached(tenant.id))
    leading.run()
    url = f"{tenant.url}/webhooks/{made['id']}"
    assert api.get(url).get_json()["last_delivery"]["state"] == "failed"
    for tries, pause in enumerate(PAUSES, start=2):
        leading.wait(pause - 1)
        assert len(receiver.got) == tries - 1
        leading.wait(1)
        assert len(receiver.got) == tries
    assert sum(PAUSES) < 3600
    leading.wait(10**6)
    assert len(receiver.got) == 5
    assert len({one.get("x-gateway-delivery") for one in receiver.got}) == 1
    assert len({one.get("x-gateway-signature") for one in receiver.got}) == 5  # each has its time
    assert (dropped() - before, client.hlen(DELIVERIES)) == (1, 0)
    last = api.get(url).get_json()["last_delivery"]
    assert (last["state"], last["tries"], last["error"]) == ("dropped", 5, "The status is 500.")
    assert SECRET not in caplog.text


def test_tenant_with_a_spent_budget_is_noted_until_the_period_ends(
    world: World, client: redis.Redis, leading: Leading
) -> None:
    """Also without a webhook: the dashboard names it."""
    client.delete(REACHED)
    world.clock.time = NOW
    tell(client, reached("tenant_near", percent=94), reached("tenant_spent", percent=100))
    leading.run()
    [(tenant, until)] = client.zrange(REACHED, 0, -1, withscores=True)
    assert (tenant, until) == (b"tenant_spent", NOW + 60)


def test_redirect_is_not_followed(
    api: Api, tenant: Tenant, receiver: Receiver, client: redis.Redis, leading: Leading
) -> None:
    with (other := Receiver()).upstream:
        receiver.status, receiver.fields = "307 Temporary Redirect", (f"Location: {other.upstream.url}/",)
        made = hook(api, tenant.url, receiver)
        tell(client, reached(tenant.id))
        leading.run()
        assert (len(receiver.got), other.got) == (1, [])
    last = api.get(f"{tenant.url}/webhooks/{made['id']}").get_json()["last_delivery"]
    assert (last["status"], last["state"]) == (307, "failed")


def test_body_of_a_response_is_not_read(
    api: Api, tenant: Tenant, client: redis.Redis, leading: Leading
) -> None:
    endless = Receiver()
    endless.upstream = Upstream(_endless)
    with endless.upstream:
        made = hook(api, tenant.url, endless)
        tell(client, reached(tenant.id))
        leading.run()
    last = api.get(f"{tenant.url}/webhooks/{made['id']}").get_json()["last_delivery"]
    assert (last["status"], last["state"]) == (200, "delivered")


async def _endless(peer: Any) -> None:
    await peer.request()
    await peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nx")


def test_private_address_is_not_called(
    api: Api, tenant: Tenant, receiver: Receiver, client: redis.Redis, leading: Leading, world: World
) -> None:
    made = hook(api, tenant.url, receiver)
    world.open_fetch = lambda: GuardedFetch(Policy(), SystemClock())  # type: ignore[attr-defined]
    tell(client, reached(tenant.id))
    leading.run()
    last = api.get(f"{tenant.url}/webhooks/{made['id']}").get_json()["last_delivery"]
    assert (last["status"], last["state"], receiver.got) == (None, "failed", [])


def test_secret_that_cannot_be_opened_is_a_failure(
    api: Api,
    tenant: Tenant,
    receiver: Receiver,
    client: redis.Redis,
    leading: Leading,
    world: World,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = hook(api, tenant.url, receiver)
    world.sealer = type(world.sealer)([b"o" * 32], world.random_bytes)
    tell(client, reached(tenant.id))
    with caplog.at_level(logging.DEBUG):
        leading.run()
    last = api.get(f"{tenant.url}/webhooks/{made['id']}").get_json()["last_delivery"]
    assert (last["state"], last["status"]) == ("failed", None)
    assert last["error"].startswith("Its secret cannot be read.")
    assert receiver.got == []
    assert SECRET not in caplog.text
