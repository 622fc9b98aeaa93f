"""The health of providers and rules: what is shown of their targets and keys, and targets that operators open."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis

from shared.config_store.store import RedisStore
from shared.health.layout import NOTE, Beat, note_of_beats
from shared.health.report import CALLS, PROBE, Report
from shared.health.store import HealthStore
from shared.records.keys import ALL, calls_key
from shared.routing.target_pool import target_id
from shared.upstreams.outcome import KeyEffect
from tests.admin_app.world import NOW, TOKEN, Api, Tenant, World, make_world

SECRET = "sk-canary-0123456789abcdef"


class Told(World):
    """A world whose workers have told something."""

    client: redis.Redis

    @contextmanager
    def reading(self, reader: type[Any]) -> Iterator[Any]:
        yield reader(self.client)


@pytest.fixture
def world(tmp_path: Path, client: redis.Redis) -> Told:
    world = Told(make_world(tmp_path, admin__token=TOKEN).settings)
    world.store = RedisStore(client, world.settings.admin.subdomain_quarantine)
    world.client = client
    return world


def provider(api: Api, base: str = "") -> tuple[str, str]:
    """The URL and the id of a new provider."""
    keys = [{"name": name, "secret": f"{SECRET}-{name}"} for name in ("a", "b")]
    made = api.create(
        f"{base}/providers", {"name": "p", "kind": "openai", "keys": keys, "models": [{"id": "m"}]}
    )
    return f"{base}/providers/{made['id']}", made["id"]


def told(world: Told, target: str, **more: Any) -> None:
    named = {"tenant": "", "until": NOW + 30, "at": NOW, "cause": CALLS, "why": "status 503", **more}
    HealthStore(world.client).tell(Report(target=target, **named))


def only_target(api: Api, url: str) -> Mapping[str, Any]:
    [target] = api.get(f"{url}/health").get_json()["targets"]
    return dict(target)


def test_declared_target_is_closed_until_something_opens_it(world: Told, api: Api) -> None:
    url, name = provider(api)
    closed = only_target(api, url)
    assert (closed["state"], closed["ewma"], closed["in_flight"], closed["last_errors"]) == (
        "closed",
        None,
        None,
        [],
    )
    told(world, f"{name}/m", cause=PROBE, why=f"probe: status 500 {SECRET}")
    opened = only_target(api, url)
    assert SECRET not in repr(opened)
    assert (opened["state"], opened["by"], opened["since"]) == ("open", "probe", "2027-01-15T08:00:00.000Z")
    assert opened["until"] == "2027-01-15T08:00:30.000Z"
    [error] = opened["last_errors"]
    assert (error["key"], error["at"]) == (None, opened["since"])
    world.clock.time += 31
    assert only_target(api, url)["state"] == "closed"


def test_platform_sees_for_how_many_tenants_a_target_is_open_and_what_is_open_for_all(
    world: Told, api: Api
) -> None:
    url, name = provider(api)
    told(world, f"{name}/m", tenant="tenant_1")
    seen = only_target(api, url)
    assert (seen["state"], seen["open_for_tenants"]) == ("closed", 1)
    told(world, f"{name}/m", tenant="tenant_2")
    seen = only_target(api, url)
    assert (seen["state"], seen["open_for_tenants"]) == ("open", 2)


def test_figures_of_workers_are_put_together(world: Told, api: Api) -> None:
    url, name = provider(api)
    for worker, at, in_flight, latency in (
        ("a", NOW, 2, 0.5),
        ("b", NOW - 5, 1, None),
        ("c", NOW - 99, 7, 2.0),
    ):
        beat = Beat(worker=worker, target=f"{name}/m", at=at, in_flight=in_flight, latency=latency)
        note = note_of_beats(name, [beat], at)
        world.client.eval(NOTE.text, 2, *note.keys, *note.arguments)  # type: ignore[no-untyped-call]
    seen = only_target(api, url)
    assert (seen["in_flight"], seen["ewma"]) == (3, 2.0)


@pytest.mark.parametrize("is_tenants", [False, True])
def test_operator_opens_and_closes_a_target_on_all_workers(
    world: Told, api: Api, tenant: Tenant, is_tenants: bool
) -> None:
    url, name = provider(api, tenant.url if is_tenants else "")
    channel = world.client.pubsub(ignore_subscribe_messages=True)
    channel.subscribe("health")
    channel.get_message(timeout=1)  # that it is subscribed
    path = f"{url}/health/{quote(name + '/m', safe='')}"
    opened = api.post(f"{path}/open", {"duration": "10m", "reason": "maintenance"})
    assert opened.status_code == 200, opened.text
    [target] = opened.get_json()["targets"]
    assert (target["state"], target["by"], target["reason"]) == ("open", "operator", "maintenance")
    assert target["until"] == "2027-01-15T08:10:00.000Z"
    told(world, f"{name}/m", at=NOW + 1, tenant=tenant.id)
    world.clock.time += 2
    closed = api.post(f"{path}/close", {})
    assert closed.status_code == 200, closed.text
    [target] = closed.get_json()["targets"]
    assert (target["state"], target["open_for_tenants"]) == ("closed", 0)
    messages = [channel.get_message(timeout=1) for _ in range(3)]
    assert all(messages)
    channel.close()


@pytest.mark.parametrize("target", ["m", "prv_other/m", "{}/", "{}/" + 257 * "m"])
def test_target_of_another_provider_is_not_found(api: Api, target: str) -> None:
    url, name = provider(api)
    assert api.post(f"{url}/health/{target.format(name)}/close", {}).status_code == 404


def test_keys_show_their_health_and_etags_do_not_change_with_it(
    world: Told, api: Api, tenant: Tenant
) -> None:
    url, name = provider(api, tenant.url)
    before = api.get(url)
    first, second = before.get_json()["keys"]
    assert (first["status"], first["cooling_until"], first["last_error"]) == ("ok", None, None)
    named = {"tenant": tenant.id, "target": f"{name}/m"}
    told(world, **named, key=f"{first['id']}.1f2e", cause=KeyEffect.REJECTED, why="invalid_api_key")
    told(world, **named, key=f"{second['id']}.3d4c", cause=KeyEffect.RATE_LIMIT, why="status 429", model="m")
    after = api.get(url)
    first, second = after.get_json()["keys"]
    assert (first["status"], first["last_error"]) == ("rejected", "invalid_api_key")
    assert (second["status"], second["cooling_until"]) == ("cooling", "2027-01-15T08:00:30.000Z")
    assert after.headers["ETag"] == before.headers["ETag"]
    sent = api.put(url, after.get_json(), headers={"If-Match": before.headers["ETag"]})
    assert sent.status_code == 200, sent.text
    changed = api.patch(url, {"keys": [{**first, "enabled": False}, second]}).get_json()["keys"]
    assert [one["status"] for one in changed] == ["disabled", "cooling"]


def test_tenant_sees_no_health_of_a_shared_provider(api: Api, tenant: Tenant) -> None:
    url, name = provider(api)
    for path in (f"{url}/health", f"{tenant.url}{url}/health"):
        assert api.get(path, key=tenant.key).status_code in (403, 404)
    assert api.post(f"{url}/health/{name}/m/open", {}, key=tenant.key).status_code == 403


def called(world: Told, owner: str, name: str, minutes_ago: int = 0, **figures: int) -> None:
    """Figures of the calls of a provider, as workers write them."""
    amounts = {f"{name}:{figure.removeprefix('_')}": amount for figure, amount in figures.items()}
    world.client.hset(calls_key(owner, int(NOW // 60) - minutes_ago), mapping=amounts)  # type: ignore[arg-type]


def states(api: Api, path: str, key: str = "") -> dict[str, Any]:
    """The health of all providers by their names."""
    found = api.get(f"{path}/providers/health", key=key)
    assert found.status_code == 200, found.text
    return {one["name"]: one for one in found.get_json()["providers"]}


def test_health_of_all_providers_has_the_figures_of_the_last_five_minutes(world: Told, api: Api) -> None:
    _, name = provider(api)
    called(world, ALL, name, n=90, failed=9, _429=6, _0=50, _4=31)
    called(world, ALL, name, 4, n=10, _4=10)
    called(world, ALL, name, 5, n=500, _12=500)
    [one] = states(api, "").values()
    assert (one["calls"], one["failed"], one["rate_limited_per_minute"]) == (100, 9, 1.5)
    assert 200 < one["p95_ms"] < 300
    assert (one["state"], one["keys"]) == ("ok", {"usable": 2, "total": 2})
    assert [target["target"] for target in one["targets"]] == [f"{name}/m"]


@pytest.mark.parametrize(
    ("calls", "failed", "state"), [(9, 9, "ok"), (10, 4, "ok"), (10, 5, "degraded"), (19, 19, "degraded")]
)
def test_provider_is_degraded_when_half_of_its_calls_fail(
    world: Told, api: Api, calls: int, failed: int, state: str
) -> None:
    _, name = provider(api)
    called(world, ALL, name, n=calls, failed=failed)
    [one] = states(api, "").values()
    assert one["state"] == state
    assert one["reason"] == (None if state == "ok" else f"{failed} of the last {calls} calls failed.")


def test_provider_is_degraded_while_a_key_is_rejected_and_down_without_any(world: Told, api: Api) -> None:
    url, name = provider(api)
    first, second = (key["id"] for key in api.get(url).get_json()["keys"])
    rejected = {"cause": KeyEffect.REJECTED, "why": f"status 401 {SECRET}"}
    told(world, f"{name}/m", key=f"{second}.1f2e", cause=KeyEffect.RATE_LIMIT, model="m")
    assert states(api, "")["p"]["state"] == "ok"  # the key serves other models
    told(world, f"{name}/m", key=f"{first}.1f2e", **rejected)
    one = states(api, "")["p"]
    assert (one["state"], one["since"]) == ("degraded", "2027-01-15T08:00:00.000Z")
    assert one["reason"].startswith("1 of 2 keys is not used: status 401")
    assert SECRET not in repr(one)
    told(world, f"{name}/m", key=f"{second}.3d4c", at=NOW + 1, **rejected)
    one = states(api, "")["p"]
    assert (one["state"], one["keys"]) == ("down", {"usable": 0, "total": 2})
    world.clock.time += 31
    assert states(api, "")["p"]["state"] == "ok"


def test_provider_is_down_when_all_its_targets_are_open(world: Told, api: Api) -> None:
    _, name = provider(api)
    told(world, f"{name}/other")
    one = states(api, "")["p"]
    assert (one["state"], one["reason"]) == ("degraded", "1 of 2 targets is not called: status 503.")
    told(world, f"{name}/m", at=NOW - 5)
    one = states(api, "")["p"]
    assert (one["state"], one["since"]) == ("down", "2027-01-15T07:59:55.000Z")


def test_provider_that_is_switched_off_or_has_no_key_is_shown_as_such(api: Api) -> None:
    url, _ = provider(api)
    api.patch(url, {"keys": []})
    one = states(api, "")["p"]
    assert (one["state"], one["since"], one["reason"]) == ("down", None, "It has no enabled key.")
    api.patch(url, {"enabled": False})
    one = states(api, "")["p"]
    assert (one["state"], one["reason"]) == ("disabled", None)
    api.create("/providers", {"name": "local", "kind": "vllm", "base_url": "https://checks.example/v1"})
    assert states(api, "")["local"]["state"] == "ok"


def test_tenant_sees_its_providers_and_of_shared_ones_only_what_its_own_calls_have_shown(
    world: Told, api: Api, tenant: Tenant
) -> None:
    _, own = provider(api, tenant.url)
    made = {"name": "all", "kind": "openai", "keys": [{"secret": SECRET}], "shared": "all"}
    shared = api.create("/providers", {**made, "models": [{"id": "m"}]})["id"]
    api.create("/providers", {**made, "name": "hidden", "shared": "none"})
    called(world, ALL, shared, n=900, _4=900)
    called(world, tenant.id, shared, n=7, _4=7)
    called(world, tenant.id, own, n=2, failed=2)
    told(world, f"{shared}/m", tenant="tenant_1")
    told(world, f"{shared}/m", key="pk_1.1f2e", cause=KeyEffect.REJECTED)
    seen = states(api, tenant.url, key=tenant.key)
    assert set(seen) == {"p", "all"}
    assert (seen["p"]["shared"], seen["p"]["calls"], seen["p"]["failed"]) == (False, 2, 2)
    assert (seen["all"]["state"], seen["all"]["calls"], seen["all"]["shared"]) == ("ok", 7, True)
    assert (seen["all"]["id"], seen["all"]["keys"], seen["all"]["targets"]) == (None, None, [])
    told(world, f"{shared}/m", tenant=tenant.id, why="status 503: account org_123")
    seen = states(api, tenant.url, key=tenant.key)
    assert (seen["all"]["state"], seen["all"]["reason"]) == ("down", "1 of 1 targets is not called.")
    assert api.get("/providers/health", key=tenant.key).status_code == 403


def targets_of_rule(api: Api, tenant: Tenant, rule: Any) -> list[tuple[str, str, str | None]]:
    health = api.get(f"{tenant.url}/rules/{rule['id']}/health").get_json()
    return [(one["name"], one["state"], one["reason"]) for one in health["targets"]]


def test_rule_with_targets_tells_which_are_open(world: Told, api: Api, tenant: Tenant) -> None:
    urls = ["https://api.openai.com/a", "https://api.openai.com/b"]
    rule = api.rule(tenant, target=None, targets=[{"url": url} for url in urls])
    told(world, target_id(tenant.id, urls[1]), tenant=tenant.id)
    assert targets_of_rule(api, tenant, rule) == [
        (urls[0], "closed", None),
        (urls[1], "open", "status 503"),
    ]
    other = api.tenant("other")
    same = api.rule(other, target=None, targets=[{"url": url} for url in urls])
    assert [state for _, state, _ in targets_of_rule(api, other, same)] == ["closed", "closed"]
    assert targets_of_rule(api, tenant, api.rule(tenant, "/single")) == []


def test_rule_for_ai_tells_the_health_of_its_providers(world: Told, api: Api, tenant: Tenant) -> None:
    _, name = provider(api, tenant.url)
    rule = api.rule(tenant, target=None, ai={"providers": ["p"]})
    told(world, f"{name}/m", tenant=tenant.id)
    assert targets_of_rule(api, tenant, rule) == [("p/m", "open", "status 503")]


def test_tenant_sees_no_errors_of_a_provider_that_it_shares(world: Told, api: Api, tenant: Tenant) -> None:
    url, name = provider(api)
    api.patch(url, {"shared": "all"})
    rule = api.rule(tenant, target=None, ai={"providers": ["p"]})
    told(world, f"{name}/m", cause=PROBE, why="probe: status 500")
    assert targets_of_rule(api, tenant, rule) == [("p/m", "open", "probe: status 500")]
    seen = api.get(f"{tenant.url}/rules/{rule['id']}/health", key=tenant.key).get_json()["targets"][0]
    assert (seen["state"], seen["reason"], seen["last_errors"]) == ("open", None, [])
