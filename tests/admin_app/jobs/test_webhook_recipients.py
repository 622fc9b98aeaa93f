"""Each webhook gets the alerts that are for it."""

import redis

from shared.alerts.alert import Alert, breaker_opened, key_rejected, rule_faulted
from shared.alerts.deliveries import DELIVERED, DELIVERIES
from shared.alerts.stream import ALERTS, note_of
from tests.admin_app.jobs.webhooks import Leading, Receiver, hook, reached
from tests.admin_app.world import NOW, Api, Tenant, World
from tests.alerts.told import tell


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


def test_disabled_tenant_is_told_nothing(
    api: Api, tenant: Tenant, receiver: Receiver, client: redis.Redis, leading: Leading
) -> None:
    hook(api, tenant.url, receiver)
    api.patch(tenant.url, {"status": "disabled"})
    tell(client, reached(tenant.id))
    leading.run()
    assert receiver.got == []
