"""Alerts that the leader among the admin processes sends, to receivers on this machine."""

import hashlib
import hmac
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import orjson
import pytest
import redis

from admin_app.jobs.webhooks import MAX_OF_TENANT, MAX_WAITING, PAUSES, Webhooks
from shared.alerts.alert import Alert, breaker_opened, budget_reached, key_rejected, rule_faulted
from shared.alerts.deliveries import DELIVERED, DELIVERIES, REACHED, Deliveries
from shared.alerts.stream import ADD, ALERTS, note_of
from shared.config_store.leader import Term
from shared.core.errors import StoreDown
from shared.metrics import names
from shared.metrics.registry import REGISTRY
from shared.net.fetch import GuardedFetch
from shared.net.policy import Policy
from shared.services import Services, SystemClock
from tests.admin_app.world import NOW, Api, Tenant, World
from tests.support.peer import Received
from tests.support.upstream import Upstream, hang, replying, sized
from tests.support.wait import await_true

SECRET = "canary-of-a-webhook-that-signs"
KINDS = ["budget.reached", "rule.faulted", "key.rejected", "breaker.opened"]


class Receiver:
    """A receiver that responds with `status`, and keeps what it got."""

    def __init__(self, status: str = "204 No Content", *fields: str) -> None:
        self.status, self.fields = status, fields
        self.got: list[Received] = []
        self.upstream = Upstream(replying(self._reply))

    def _reply(self, request: Received) -> bytes:
        self.got.append(request)
        return sized(b"", self.status, *self.fields)

    @property
    def bodies(self) -> list[Any]:
        return [orjson.loads(one.body) for one in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with receiver.upstream:
        yield receiver


@pytest.fixture
def client(world: World) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=world.address.options["unix_socket_path"]) as client:
        world.clock.time = client.time()[0]  # type: ignore[index]  # the ids of alerts have its time
        reading = world.reading

        @contextmanager
        def really_reading(reader: type[Any]) -> Iterator[Any]:
            with reading(reader) as found:
                yield Deliveries(client) if reader is Deliveries else found

        world.reading = really_reading  # type: ignore[method-assign]
        yield client


class Leading:
    """A process that leads; its clock is in our hands."""

    def __init__(self, world: World, client: redis.Redis, number: int = 1) -> None:
        self.world = world
        self.job = Webhooks(cast(Services, world), Deliveries(client))
        self.term = Term(number, lambda _: True)

    def run(self) -> None:
        """Work until no call is under way."""
        self.job.run(self.term)
        while self.job._running:
            await_true(lambda: all(one.done() for one in self.job._running))
            self.job.run(self.term)

    def wait(self, seconds: float) -> None:
        self.world.clock.time += seconds
        self.run()


@pytest.fixture
def leading(world: World, client: redis.Redis) -> Iterator[Leading]:
    with _leader(world, client, 1) as leading:
        yield leading


@contextmanager
def _leader(world: World, client: redis.Redis, number: int) -> Iterator[Leading]:
    leading = Leading(world, client, number)
    try:
        yield leading
        await_true(lambda: all(one.done() for one in leading.job._running))
    finally:
        leading.job.close()


def tell(client: redis.Redis, *alerts: Alert) -> None:
    add = client.register_script(ADD.text)
    for alert in alerts:
        note = note_of(alert)
        add(note.keys, note.arguments)


def reached(tenant: str, number: int = 0, percent: int = 80) -> Alert:
    return budget_reached(
        tenant=tenant,
        budget_id=f"budget_{number}",
        name="monthly",
        unit="tokens",
        percent=percent,
        used=80,
        limit=100,
        began=NOW,
        ends=NOW + 60,
        at=NOW,
    )


def hook(api: Api, url: str, receiver: Receiver, *events: str, path: str = "/hook") -> Any:
    sent = {"url": f"{receiver.upstream.url}{path}", "events": events or KINDS, "secret": SECRET}
    return api.create(f"{url}/webhooks", sent)


def dropped() -> float:
    return REGISTRY.value(names.WEBHOOK_DELIVERIES, "dropped").value


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


def test_tenant_is_told_its_own_and_the_platform_all(
    api: Api, tenant: Tenant, client: redis.Redis, leading: Leading
) -> None:
    other, shared = api.tenant("globex"), "prv_of_the_platform"
    own = api.create(f"{tenant.url}/providers", {"name": "own", "kind": "openai"})["id"]
    alerts = [
        *(reached(one.id) for one in (tenant, other)),
        *(rule_faulted(tenant=one.id, faults="rule r: no", at=NOW) for one in (tenant, other)),
        rule_faulted(tenant=None, faults="broken", at=NOW),
        *(_rejected(one, own, "pk_own") for one in (tenant.id, other.id)),
        *(_rejected(one, shared, "pk_shared") for one in (tenant.id, None)),
        *(_opened(one, provider) for one in (tenant.id, None) for provider in (own, shared)),
        _opened(tenant.id, ""),
    ]
    with (mine := Receiver()).upstream, (theirs := Receiver()).upstream, (platforms := Receiver()).upstream:
        hook(api, tenant.url, mine)
        hook(api, other.url, theirs)
        hook(api, "", platforms)
        tell(client, *alerts)
        leading.run()
        assert [(one["type"], one["data"].get("provider_id")) for one in mine.bodies] == [
            ("budget.reached", None),
            ("rule.faulted", None),
            ("key.rejected", own),
            ("breaker.opened", own),
            ("breaker.opened", None),
        ]
        assert {one["tenant_id"] for one in mine.bodies} == {tenant.id}
        assert [one["type"] for one in theirs.bodies] == ["budget.reached", "rule.faulted"]
        assert {one["tenant_id"] for one in theirs.bodies} == {other.id}
        assert len(platforms.bodies) == len(alerts)


def _rejected(tenant: str | None, provider: str, key: str) -> Alert:
    return key_rejected(tenant=tenant, provider=provider, key=key, key_id=key, until=NOW + 60, at=NOW)


def _opened(tenant: str | None, provider: str) -> Alert:
    target = f"{provider}/m" if provider else "9f86d081884c"
    return breaker_opened(tenant=tenant, provider=provider, target=target, until=NOW + 60, at=NOW)


def test_webhook_gets_the_chosen_events_from_its_creation_on_while_it_is_active(
    api: Api, tenant: Tenant, receiver: Receiver, client: redis.Redis, leading: Leading, world: World
) -> None:
    tell(client, reached(tenant.id, 1))
    world.clock.time += 5
    made = hook(api, tenant.url, receiver, "key.rejected", "budget.reached")
    world.clock.time -= 5
    leading.run()
    assert receiver.got == []
    url = f"{tenant.url}/webhooks/{made['id']}"
    client.xadd(ALERTS, {"alert": note_of(reached(tenant.id, 2)).arguments[2]}, id=f"{_ahead(client)}-1")
    client.xadd(ALERTS, {"alert": "damaged"}, id=f"{_ahead(client)}-2")
    faulted = note_of(rule_faulted(tenant=tenant.id, faults="x", at=NOW)).arguments[2]
    client.xadd(ALERTS, {"alert": faulted}, id=f"{_ahead(client)}-3")
    leading.run()
    assert [one["data"]["budget_id"] for one in receiver.bodies] == ["budget_2"]
    api.patch(url, {"active": False})
    client.xadd(ALERTS, {"alert": note_of(reached(tenant.id, 3)).arguments[2]}, id=f"{_ahead(client)}-4")
    leading.run()
    api.patch(url, {"active": True})
    leading.run()
    assert len(receiver.got) == 1


def _ahead(client: redis.Redis) -> int:
    """A time after the creation of what a test has made."""
    return int(client.time()[0] + 60) * 1000  # type: ignore[index]


def test_next_leader_goes_on_with_what_was_not_sent(
    api: Api, tenant: Tenant, receiver: Receiver, client: redis.Redis, leading: Leading, world: World
) -> None:
    hook(api, tenant.url, receiver)
    receiver.status = "503 Service Unavailable"
    tell(client, reached(tenant.id, 1))
    leading.run()
    tell(client, reached(tenant.id, 2))
    with _leader(world, client, 2) as second:
        second.run()
        assert [one["data"]["budget_id"] for one in receiver.bodies] == ["budget_1", "budget_2"]
        receiver.status = "200 OK"
        second.wait(PAUSES[0])
        ids = [one.get("x-gateway-delivery") for one in receiver.got]
        assert ids[:2] == ids[2:]
        assert client.hlen(DELIVERIES) == 0
    with _leader(world, client, 3) as third:
        third.wait(7200)
    leading.term = Term(4, lambda _: True)
    leading.run()  # it forgets what it knew in its first term
    assert len(receiver.got) == 4


def test_two_leaders_at_a_time_send_under_the_same_id(
    api: Api, tenant: Tenant, receiver: Receiver, client: redis.Redis, leading: Leading, world: World
) -> None:
    hook(api, tenant.url, receiver)
    with _leader(world, client, 2) as second:
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


def test_deleted_webhook_gets_nothing_more(
    api: Api, tenant: Tenant, receiver: Receiver, client: redis.Redis, leading: Leading
) -> None:
    made, receiver.status = hook(api, tenant.url, receiver), "500 Internal Server Error"
    tell(client, reached(tenant.id))
    leading.run()
    assert client.hexists(DELIVERED, made["id"])
    api.delete(f"{tenant.url}/webhooks/{made['id']}")
    leading.wait(3600)
    assert (len(receiver.got), client.hlen(DELIVERIES)) == (1, 0)
    assert not client.hexists(DELIVERED, made["id"])


def test_last_delivery_of_long_ago_is_forgotten_by_the_next_leader(
    api: Api, tenant: Tenant, receiver: Receiver, client: redis.Redis, leading: Leading, world: World
) -> None:
    made = hook(api, tenant.url, receiver)
    tell(client, reached(tenant.id))
    leading.run()
    for number, days in ((2, 29), (3, 2)):
        world.clock.time += days * 86_400
        with _leader(world, client, number) as next_one:
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


def test_disabled_tenant_is_told_nothing(
    api: Api, tenant: Tenant, receiver: Receiver, client: redis.Redis, leading: Leading
) -> None:
    hook(api, tenant.url, receiver)
    api.patch(tenant.url, {"status": "disabled"})
    tell(client, reached(tenant.id))
    leading.run()
    assert receiver.got == []


def test_damaged_delivery_is_removed(client: redis.Redis, leading: Leading) -> None:
    client.hset(DELIVERIES, mapping={"a": "no JSON", "b": "{}"})
    leading.run()
    assert client.hlen(DELIVERIES) == 0


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
