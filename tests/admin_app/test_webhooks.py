"""Webhooks of tenants and of the platform: what is stored of them, for whom, and what is never shown."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from shared.model.webhooks import MAX_WEBHOOKS
from shared.secrets.context import webhook_context
from tests.admin_app.world import TOKEN, Api, Tenant, World, error_of, make_world, pointers

SECRET = "canary-of-a-webhook"
OTHER = "another-canary-of-a-webhook"
WEBHOOK: Mapping[str, Any] = {
    "url": "https://hooks.test/gateway?team=a",
    "events": ["budget.reached", "key.rejected", "budget.reached"],
    "secret": SECRET,
}
PLATFORM = "/webhooks"


def of(tenant: Tenant) -> str:
    return f"{tenant.url}/webhooks"


def stored(world: World, tenant: Tenant | None = None) -> Any:
    """The only webhook, as it is stored."""
    if tenant is None:
        [webhook] = world.store.read_platform().webhooks
        return webhook
    snapshot = world.store.read(tenant.id)
    assert snapshot is not None
    [webhook] = snapshot.tenant.webhooks
    return webhook


def test_webhook_is_sealed_for_its_origin_and_never_shown(api: Api, tenant: Tenant, world: World) -> None:
    made = api.create(of(tenant), WEBHOOK)
    assert made["name"] == f"hooks.test-{made['id'][5:11]}"
    assert (made["events"], made["active"], made["secret"], made["last_delivery"]) == (
        ["budget.reached", "key.rejected"],
        True,
        {"set": True},
        None,
    )
    assert [one["pointer"] for one in made["warnings"]] == ["/url"]  # its name cannot be resolved
    url = f"{of(tenant)}/{made['id']}"
    shown = api.get(url)
    assert shown.get_json() == {name: value for name, value in made.items() if name != "warnings"}
    assert api.get(of(tenant)).get_json() == {"webhooks": [shown.get_json()], "count": 1, "next_cursor": None}
    sealed = stored(world, tenant).secret.text
    assert world.sealer.open(sealed, webhook_context(tenant.id, made["id"], "https://hooks.test/")) == SECRET
    seen = [api.get(one).text for one in (of(tenant), url, "/audit", f"{tenant.url}/versions", "/document")]
    seen += [api.get(f"{tenant.url}/versions/2").text, api.get(f"{tenant.url}/versions/2/diff").text]
    assert "hooks.test" in "".join(seen)
    assert SECRET not in "".join(seen) + repr(world.store.read(tenant.id))


def test_secret_stays_for_its_origin_only(api: Api, tenant: Tenant, world: World) -> None:
    made = api.create(of(tenant), {**WEBHOOK, "name": "on-call"})
    url, sealed = f"{of(tenant)}/{made['id']}", stored(world, tenant).secret
    for change in ({"url": "https://hooks.test/other"}, {"secret": {"set": True}}, {"active": False}):
        assert api.patch(url, change).status_code == 200
    assert (stored(world, tenant).secret, stored(world, tenant).active) == (sealed, False)
    moved = api.patch(url, {"url": "https://other.test/"})
    assert pointers(moved) == ["/secret"]
    assert "https://hooks.test:443" in moved.get_json()["errors"][0]["detail"]
    assert api.patch(url, {"url": "https://other.test/", "secret": OTHER}).status_code == 200
    context = webhook_context(tenant.id, made["id"], "https://other.test")
    assert world.sealer.open(stored(world, tenant).secret.text, context) == OTHER


def test_what_was_read_can_be_sent_back(api: Api, tenant: Tenant) -> None:
    made = api.create(of(tenant), WEBHOOK)
    read = api.get(f"{of(tenant)}/{made['id']}")
    sent = {name: value for name, value in read.get_json().items() if name != "last_delivery"}
    headers = {"If-Match": read.headers["ETag"]}
    assert api.patch(f"{of(tenant)}/{made['id']}", sent, headers=headers).status_code == 200
    assert error_of(api.patch(f"{of(tenant)}/{made['id']}", {"id": "hook_other"}))[0] == 422
    assert api.patch(f"{of(tenant)}/{made['id']}", {"active": False}).status_code == 200
    assert api.patch(f"{of(tenant)}/{made['id']}", {"active": True}, headers=headers).status_code == 412


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"secret": "15-characters--"}, "/secret"),
        ({"secret": {"set": True}}, "/secret"),
        ({"secret": "with a space inside"}, "/secret"),
        ({"secret": {"env": "SECRET"}}, "/secret"),
        ({"events": []}, "/events"),
        ({"events": ["another.kind"]}, "/events/0"),
        ({"url": "ftp://hooks.test"}, "/url"),
        ({"url": "https://user:word@hooks.test"}, "/url"),
        ({"url": "http://127.0.0.1:6379/"}, "/url"),
        ({"url": "http://169.254.169.254/latest"}, "/url"),
        ({"url": "http://[::ffff:10.0.0.1]/"}, "/url"),
        ({"name": "No slug"}, "/name"),
        ({"headers": {}}, "/headers"),
    ],
)
def test_wrong_webhook_is_rejected(api: Api, tenant: Tenant, fields: Any, pointer: str) -> None:
    assert pointers(api.post(of(tenant), {**WEBHOOK, **fields})) == [pointer]
    assert api.get(of(tenant)).get_json()["count"] == 0


def test_all_problems_of_a_body_are_told(api: Api, tenant: Tenant) -> None:
    sent = {"url": "http://10.0.0.1/", "events": ["x"], "secret": "short"}
    assert set(pointers(api.post(of(tenant), sent))) == {"/url", "/events/0", "/secret"}
    assert set(pointers(api.post(of(tenant), {"name": "a"}))) == {"/url", "/events", "/secret"}


def test_names_are_unique_for_an_owner(api: Api, tenant: Tenant) -> None:
    named = {**WEBHOOK, "name": "on-call"}
    for url in (of(tenant), PLATFORM, of(api.tenant("globex"))):
        api.create(url, named)
        assert error_of(api.post(url, named)) == (409, "name_taken")


@pytest.mark.parametrize("is_platforms", [True, False])
def test_owner_has_at_most_ten(api: Api, tenant: Tenant, is_platforms: bool) -> None:
    url = PLATFORM if is_platforms else of(tenant)
    made = [api.create(url, WEBHOOK) for _ in range(MAX_WEBHOOKS)]
    assert error_of(api.post(url, WEBHOOK)) == (422, "limit_reached")
    assert api.delete(f"{url}/{made[0]['id']}").status_code == 204
    api.create(url, WEBHOOK)
    assert api.get(url).get_json()["count"] == 10


def test_tenant_sees_and_changes_its_own_only(api: Api, tenant: Tenant) -> None:
    other = api.tenant("globex")
    mine, theirs, platforms = (api.create(url, WEBHOOK) for url in (of(tenant), of(other), PLATFORM))
    assert api.get(of(tenant), key=tenant.key).get_json()["webhooks"][0]["id"] == mine["id"]
    calls = [
        (f"{of(other)}", 404),
        (f"{of(other)}/{theirs['id']}", 404),
        (f"{of(tenant)}/{theirs['id']}", 404),
        (f"{of(tenant)}/{platforms['id']}", 404),
        (PLATFORM, 403),
        (f"{PLATFORM}/{platforms['id']}", 403),
    ]
    for url, status in calls:
        assert api.get(url, key=tenant.key).status_code == status, url
    for method, url, body in (
        ("POST", of(other), WEBHOOK),
        ("PATCH", f"{of(other)}/{theirs['id']}", {"active": False}),
        ("DELETE", f"{of(tenant)}/{theirs['id']}", None),
        ("POST", f"{of(tenant)}/{theirs['id']}/test", {}),
        ("POST", f"{of(other)}/{theirs['id']}/test", {}),
        ("POST", PLATFORM, WEBHOOK),
        ("POST", f"{PLATFORM}/{platforms['id']}/test", {}),
    ):
        assert api.call(method, url, body, key=tenant.key).status_code in (403, 404)
    reads = api.created_key(tenant, scopes=["read"])
    assert api.get(of(tenant), key=reads).status_code == 200
    assert error_of(api.post(of(tenant), WEBHOOK, key=reads)) == (403, "forbidden")
    assert error_of(api.post(f"{of(tenant)}/{mine['id']}/test", {}, key=reads)) == (403, "forbidden")


def test_platform_may_keep_the_secret_outside_the_store(api: Api, world: World, tmp_path: Any) -> None:
    world.settings = make_world(tmp_path, admin__token=TOKEN, secrets__env="HOOK_SECRET").settings
    made = api.create(PLATFORM, {**WEBHOOK, "secret": {"env": "HOOK_SECRET"}})
    assert made["secret"] == {"env": "HOOK_SECRET"}
    assert "/secret" in [one["pointer"] for one in made["warnings"]]  # the variable is not there
    assert api.patch(f"{PLATFORM}/{made['id']}", {"url": "https://other.test"}).status_code == 200
    assert pointers(api.post(PLATFORM, {**WEBHOOK, "secret": {"env": "PATH"}})) == ["/secret"]
    assert pointers(api.post(PLATFORM, {**WEBHOOK, "secret": {"file": "hook"}})) == ["/secret"]
    failed = api.post(f"{PLATFORM}/{made['id']}/test", {}).get_json()
    assert (failed["ok"], failed["status"], world.called) == (False, None, [])
    world.opened = {"env:HOOK_SECRET": SECRET}
    assert api.post(f"{PLATFORM}/{made['id']}/test", {}).get_json()["ok"]


def test_change_makes_a_version_and_an_entry_of_the_audit_log(api: Api, tenant: Tenant) -> None:
    made = api.create(of(tenant), {**WEBHOOK, "name": "on-call"})
    api.patch(f"{of(tenant)}/{made['id']}", {"active": False, "secret": OTHER})
    api.delete(f"{of(tenant)}/{made['id']}")
    api.create(PLATFORM, {**WEBHOOK, "name": "ops"})
    entries = api.get("/audit?limit=4").get_json()["entries"]
    assert [(one["operation"], one["summary"]) for one in entries] == [
        ("createPlatformWebhook", "webhook ops added"),
        ("deleteWebhook", "webhook on-call removed"),
        ("updateWebhook", "webhook on-call changed (secret, active)"),
        ("createWebhook", "webhook on-call added"),
    ]
    assert SECRET not in str(entries)
    assert OTHER not in str(entries)
    assert api.get(f"{tenant.url}/versions").get_json()["count"] == 4


def test_test_calls_the_address_once_and_shows_the_status(api: Api, tenant: Tenant, world: World) -> None:
    made = api.create(of(tenant), {**WEBHOOK, "active": False})
    tested = api.post(f"{of(tenant)}/{made['id']}/test", {}, key=tenant.key).get_json()
    assert tested == {"ok": True, "status": 200, "milliseconds": 0, "error": None}
    [(method, url, body)] = world.called
    assert (method, url) == ("POST", WEBHOOK["url"])
    sent = orjson.loads(body)
    assert (sent["type"], sent["tenant_id"], sent["data"]) == ("webhook.test", tenant.id, {})


def rolled_back(api: Api, tenant: Tenant, version: int) -> list[str]:
    """The places of the warnings of a rollback."""
    found = api.post(f"{tenant.url}/versions/{version}/rollback", {})
    assert found.status_code == 200, found.text
    return [one["pointer"] for one in found.get_json()["warnings"]]


def test_rollback_keeps_the_present_secret_or_brings_the_old_one_back(
    api: Api, tenant: Tenant, world: World
) -> None:
    made = api.create(of(tenant), WEBHOOK)
    url, at = f"{of(tenant)}/{made['id']}", f"/webhooks/{made['id']}"
    first = stored(world, tenant).secret
    api.patch(url, {"secret": OTHER, "active": False})
    second = stored(world, tenant).secret
    assert rolled_back(api, tenant, 2) == [f"{at}/url"]  # its name cannot be resolved
    assert (stored(world, tenant).active, stored(world, tenant).secret) == (True, second)
    api.delete(url)
    assert set(rolled_back(api, tenant, 2)) == {f"{at}/secret", f"{at}/url"}
    assert stored(world, tenant).secret == first
    api.patch(url, {"url": "https://other.test", "secret": OTHER})
    assert set(rolled_back(api, tenant, 2)) == {f"{at}/secret", f"{at}/url"}
    assert (stored(world, tenant).url, stored(world, tenant).secret) == (WEBHOOK["url"], first)
    assert rolled_back(api, tenant, 1) == []
    assert api.get(of(tenant)).get_json()["count"] == 0


def test_rollback_of_the_platform_has_webhooks(api: Api, world: World) -> None:
    made = api.create(PLATFORM, WEBHOOK)
    api.delete(f"{PLATFORM}/{made['id']}")
    assert api.post("/platform/versions/1/rollback", {}).status_code == 200
    assert stored(world).id == made["id"]


def test_file_has_too_many_webhooks(api: Api, tenant: Tenant) -> None:
    many = {f"w{number}": WEBHOOK for number in range(MAX_WEBHOOKS + 1)}
    sent = {"_format_version": "1", "tenants": {"acme": {"name": "Acme", "webhooks": many}}}
    for key in ("", tenant.key):
        found = api.post("/plan", {"document": sent}, key=key)
        assert pointers(found) == ["/document/tenants/acme/webhooks"]


def test_file_of_a_tenant_names_no_secret_of_the_operator(api: Api, tenant: Tenant) -> None:
    webhook = {**WEBHOOK, "secret": {"env": "SECRET"}}
    sent = {"_format_version": "1", "tenants": {"acme": {"name": "Acme", "webhooks": {"a": webhook}}}}
    assert pointers(api.post("/plan", {"document": sent})) == [
        "/document/tenants/acme/webhooks/a/secret",
    ]
