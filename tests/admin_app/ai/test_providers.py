"""Providers over HTTP: of the platform, and of a tenant."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.documents.ai import examples
from tests.admin_app.world import Api, Tenant, World, error_of, pointers
from tests.support.certificates import Authority

SECRET = "sk-proj-canary-0123456789abcdef"
PROVIDER: dict[str, Any] = {
    "name": "openai-main",
    "kind": "openai",
    "keys": [{"name": "a", "secret": SECRET}],
}
CUSTOM = {
    "name": "own",
    "kind": "custom",
    "base_url": "https://models.test/v1",
    "apis": ["openai.chat"],
    "keys": [{"name": "a", "secret": SECRET}],
}


@pytest.fixture(params=["platform", "tenant"])
def url(request: pytest.FixtureRequest, tenant: Tenant) -> str:
    """The providers of each owner."""
    return "/providers" if request.param == "platform" else f"{tenant.url}/providers"


class TestCreate:
    def test_secret_is_shown_as_a_hint_only(self, api: Api, url: str) -> None:
        response = api.post(url, PROVIDER)
        assert response.status_code == 201, response.text
        made = response.get_json()
        assert made["keys"][0]["secret"] == {"set": True, "hint": "sk-…cdef"}
        assert made["version"] == 1
        assert response.headers["Location"] == f"/api/v1{url}/{made['id']}"
        read = api.get(f"{url}/{made['id']}")
        assert read.get_json() == {name: value for name, value in made.items() if name != "warnings"}
        assert read.headers["ETag"] == response.headers["ETag"]

    def test_the_examples_of_the_docs_work(self, api: Api, tenant: Tenant) -> None:
        assert api.create("/providers", examples.PLATFORM_PROVIDER)["warnings"] == []
        assert api.create(f"{tenant.url}/providers", examples.PROVIDER)["warnings"] == []

    def test_a_name_is_unique_for_its_owner(self, api: Api, url: str) -> None:
        api.create(url, PROVIDER)
        response = api.post(url, PROVIDER)
        assert error_of(response) == (409, "name_taken")
        assert response.get_json()["errors"][0]["pointer"] == "/name"

    def test_two_owners_may_use_the_same_name(self, api: Api, tenant: Tenant) -> None:
        api.create("/providers", PROVIDER)
        api.create(f"{tenant.url}/providers", PROVIDER)

    def test_a_provider_without_a_key_that_it_needs_is_a_warning(self, api: Api, url: str) -> None:
        [warning] = api.create(url, PROVIDER | {"keys": []})["warnings"]
        assert warning["pointer"] == "/keys"

    @pytest.mark.parametrize(
        ("members", "at"),
        [
            ({"kind": "opnai"}, "/kind"),
            ({"kind": "bedrock"}, "/params"),
            ({"kind": "bedrock", "params": {"regoin": "us-east-1"}}, "/params"),
            ({"kind": "bedrock", "params": {"region": "../evil"}}, "/params"),
            ({"kind": "vllm"}, "/base_url"),
            ({"base_url": "ftp://a.test"}, "/base_url"),
            ({"base_url": "https://{region}.test"}, "/base_url"),
            ({"base_url": "https://a.test?key=1"}, "/base_url"),
            ({"kind": "custom", "base_url": "https://a.test"}, "/apis"),
            ({"kind": "anthropic", "apis": ["openai.chat"]}, "/apis/0"),
            ({"models": [{"id": "m"}, {"id": "n", "aliases": ["m"]}]}, "/models/1"),
            ({"headers": {"Content-Type": "text/plain"}}, "/headers/Content-Type"),
            ({"keys": [{"secret": {"set": True}}]}, "/keys/0/secret"),
            ({"keys": [{"id": "pk_1", "secret": SECRET}]}, "/keys/0/id"),
        ],
    )
    def test_wrong_members_are_pointed_at(self, api: Api, url: str, members: dict[str, Any], at: str) -> None:
        assert pointers(api.post(url, PROVIDER | members)) == [at]

    def test_all_problems_are_told_together(self, api: Api, url: str) -> None:
        sent = PROVIDER | {"kind": "bedrock", "enabled": "yes", "keys": [{"secret": ""}]}
        assert set(pointers(api.post(url, sent))) == {"/enabled", "/keys/0/secret", "/params"}

    def test_addresses_of_this_machine_need_the_operators_consent(self, api: Api, url: str) -> None:
        response = api.post(url, {"name": "local", "kind": "ollama"})
        assert pointers(response) == ["/base_url"]
        assert "security.allowed_target_networks" in response.get_json()["detail"]

    def test_the_tier_bounds_them(self, api: Api, world: World, tenant: Tenant) -> None:
        most = world.settings.tiers["basic"].max_providers or 0
        for i in range(most):
            api.create(f"{tenant.url}/providers", PROVIDER | {"name": f"p{i}"})
        assert error_of(api.post(f"{tenant.url}/providers", PROVIDER)) == (422, "limit_reached")

    def test_the_same_call_again_creates_nothing(self, api: Api, url: str) -> None:
        once = {"Idempotency-Key": "once"}
        first = api.post(url, PROVIDER, headers=once)
        again = api.post(url, PROVIDER, headers=once)
        assert again.get_json() == first.get_json()
        assert api.get(url).get_json()["count"] == 1


class TestChange:
    def test_what_was_read_can_be_sent_back(self, api: Api, url: str) -> None:
        made = api.create(url, PROVIDER | {"headers": {"X-Team": "red"}, "query": {"v": "1"}})
        one = f"{url}/{made['id']}"
        read = api.get(one).get_json()
        response = api.put(one, read)
        assert response.status_code == 200, response.text
        again = response.get_json()
        assert {**again, "version": 1, "updated_at": read["updated_at"]} == {**read, "warnings": []}

    def test_key_keeps_its_id_and_its_secret(self, api: Api, url: str, client: Any) -> None:
        made = api.create(url, PROVIDER)
        key = made["keys"][0]["id"]
        change = {"keys": [{"id": key, "secret": {"set": True}, "weight": 3}, {"secret": SECRET}]}
        first, second = api.patch(f"{url}/{made['id']}", change).get_json()["keys"]
        assert (first["id"], first["weight"], first["secret"]["hint"]) == (key, 3, "sk-…cdef")
        assert second["id"] != key
        assert first["name"] == ""  # a key of a body is whole

    def test_key_without_an_id_is_found_by_its_name(self, api: Api, url: str) -> None:
        made = api.create(url, PROVIDER)
        change = {"keys": [{"name": "a", "secret": {"set": True}}]}
        [key] = api.patch(f"{url}/{made['id']}", change).get_json()["keys"]
        assert key["id"] == made["keys"][0]["id"]

    @pytest.mark.parametrize(
        "change", [{"base_url": "https://evil.test"}, {"base_url": "http://models.test/v1"}]
    )
    def test_another_origin_needs_the_keys_again(self, api: Api, url: str, change: dict[str, Any]) -> None:
        made = api.create(url, CUSTOM | {"headers": {"X-Team": "red"}, "query": {"v": "1"}})
        one = f"{url}/{made['id']}"
        rejected = api.patch(one, change)
        assert pointers(rejected) == ["/headers/X-Team", "/query/v", "/keys/0/secret"]
        assert "https://models.test:443" in rejected.get_json()["errors"][2]["detail"]
        whole = change | {"headers": {}, "query": {}, "keys": [{"secret": SECRET}]}
        assert api.patch(one, whole).status_code == 200
        assert api.patch(one, {"base_url": f"{change['base_url']}/other/path"}).status_code == 200

    def test_a_parameter_that_changes_the_origin_needs_the_keys_again(self, api: Api, url: str) -> None:
        sent = {
            "name": "b",
            "kind": "bedrock",
            "params": {"region": "us-east-1"},
            "keys": [{"secret": SECRET}],
        }
        # The world's resolver knows names that contain .test or are openai's.
        sent["base_url"] = "https://{region}.test/v1"
        made = api.create(url, sent)
        response = api.patch(f"{url}/{made['id']}", {"params": {"region": "eu-west-1"}})
        assert pointers(response) == ["/keys/0/secret"]

    def test_only_the_platform_sets_certificates(self, api: Api, tenant: Tenant, tmp_path: Path) -> None:
        assert pointers(api.post("/providers", PROVIDER | {"ca": "no certificate"})) == ["/ca"]
        sent = PROVIDER | {"ca": Authority(tmp_path).file.read_text()}
        assert api.post(f"{tenant.url}/providers", sent).status_code == 201
        response = api.post(f"{tenant.url}/providers", sent | {"name": "second"}, key=tenant.key)
        assert error_of(response) == (403, "forbidden")

    def test_stale_change_is_rejected(self, api: Api, url: str) -> None:
        response = api.post(url, PROVIDER)
        one, stale = f"{url}/{response.get_json()['id']}", {"If-Match": response.headers["ETag"]}
        assert api.patch(one, {"enabled": False}, headers=stale).status_code == 200
        assert api.patch(one, {"enabled": True}, headers=stale).status_code == 412
        assert api.delete(one, headers=stale).status_code == 412

    def test_a_tenant_looks_up_models_at_most_every_ten_minutes(self, api: Api, tenant: Tenant) -> None:
        sent = PROVIDER | {"discover": "1m"}
        assert api.create("/providers", sent)["discover"] == 60.0
        assert pointers(api.post(f"{tenant.url}/providers", sent)) == ["/discover"]


class TestReferences:
    def test_the_platform_names_an_opened_variable(self, api: Api, world: World) -> None:
        sent = PROVIDER | {"keys": [{"secret": {"env": "OPENAI_API_KEY"}}]}
        [warning] = api.create("/providers", sent)["warnings"]
        assert warning["pointer"] == "/keys/0/secret"
        world.opened = {"env:OPENAI_API_KEY": SECRET}
        made = api.create("/providers", sent | {"name": "second"})
        assert made["warnings"] == []
        assert made["keys"][0]["secret"] == {"env": "OPENAI_API_KEY"}
        assert api.put(f"/providers/{made['id']}", made | {"warnings": None}).status_code == 422
        del made["warnings"]
        assert api.put(f"/providers/{made['id']}", made).status_code == 200

    @pytest.mark.parametrize("secret", [{"env": "PATH"}, {"env": "GATEWAY_ADMIN_TOKEN"}, {"file": "openai"}])
    def test_nothing_else_can_be_named(self, api: Api, secret: Any) -> None:
        sent = PROVIDER | {"keys": [{"secret": secret}]}
        assert pointers(api.post("/providers", sent)) == ["/keys/0/secret"]

    def test_a_tenant_names_none(self, api: Api, tenant: Tenant) -> None:
        sent = PROVIDER | {"keys": [{"secret": {"env": "OPENAI_API_KEY"}}]}
        assert pointers(api.post(f"{tenant.url}/providers", sent)) == ["/keys/0/secret"]


class TestAccess:
    def test_a_tenant_manages_its_own_only(self, api: Api, tenant: Tenant) -> None:
        made = api.create("/providers", PROVIDER)
        own = api.post(f"{tenant.url}/providers", PROVIDER, key=tenant.key)
        assert own.status_code == 201
        for method, url in (
            ("GET", "/providers"),
            ("POST", "/providers"),
            ("GET", f"/providers/{made['id']}"),
            ("DELETE", f"/providers/{made['id']}"),
        ):
            assert error_of(api.call(method, url, PROVIDER, key=tenant.key)) == (403, "forbidden")
        other = api.tenant("other")
        assert api.get(f"{tenant.url}/providers/{own.get_json()['id']}", key=other.key).status_code == 404
        assert api.get(f"{tenant.url}/providers/{made['id']}", key=tenant.key).status_code == 404

    def test_a_tenant_sees_name_kind_apis_and_models_of_shared_ones(self, api: Api, tenant: Tenant) -> None:
        hidden = {"headers": {"X-Team": "red"}, "base_url": "https://inside.test/v1"}
        sent = PROVIDER | hidden | {"apis": ["openai.chat"], "models": [{"id": "m", "aliases": ["n"]}]}
        made = api.create("/providers", sent | {"shared": {"tenants": [tenant.id]}})
        other = api.create("/providers", PROVIDER | {"name": "other", "shared": {"tiers": ["pro"]}})
        api.create("/providers", PROVIDER | {"name": "mine"})
        listed = api.get(f"{tenant.url}/providers", key=tenant.key)
        assert listed.get_json()["providers"] == []
        assert listed.get_json()["shared"] == [
            {
                "name": "openai-main",
                "kind": "openai",
                "apis": ["openai.chat"],
                "models": [{"id": "m", "aliases": ["n"]}],
            }
        ]
        assert "inside" not in listed.text
        # One of them is read by its name, which the list shows, or by its id. It is not the tenant's to change.
        for one in ("openai-main", made["id"]):
            url = f"{tenant.url}/providers/{one}"
            assert api.get(url, key=tenant.key).get_json() == listed.get_json()["shared"][0]
            assert api.patch(url, {"enabled": False}, key=tenant.key).status_code == 404
        for one in ("other", other["id"]):
            assert api.get(f"{tenant.url}/providers/{one}", key=tenant.key).status_code == 404

    def test_kinds_are_public_to_tenants(self, api: Api, tenant: Tenant) -> None:
        kinds = api.get("/providers/kinds", key=tenant.key).get_json()["kinds"]
        by_name = {one["kind"]: one for one in kinds}
        assert by_name["openai"]["base_url"] == "https://api.openai.com/v1"
        assert by_name["bedrock"]["params_schema"]["required"] == ["region"]
        assert by_name["ollama"]["needs_key"] is False


class TestDelete:
    def test_unused_provider_is_deleted(self, api: Api, url: str) -> None:
        one = f"{url}/{api.create(url, PROVIDER)['id']}"
        assert api.delete(one).status_code == 204
        assert api.get(one).status_code == 404

    def test_models_and_rules_that_name_it_are_listed(self, api: Api, tenant: Tenant) -> None:
        url = f"{tenant.url}/providers"
        one = f"{url}/{api.create(url, PROVIDER)['id']}"
        target = {"provider": "openai-main", "model": "gpt-5.6"}
        api.create(f"{tenant.url}/models", {"name": "fast", "targets": [target]})
        rule = api.create(f"{tenant.url}/rules", {"path": "/v1", "ai": {"providers": ["openai-main"]}})
        response = api.delete(one)
        assert error_of(response) == (409, "in_use")
        assert "the model fast" in response.get_json()["detail"]
        assert rule["id"] in response.get_json()["detail"]
        assert error_of(api.patch(one, {"name": "renamed"})) == (409, "in_use")

    def test_tenants_that_use_a_shared_one_are_listed(self, api: Api, tenant: Tenant) -> None:
        made = api.create("/providers", PROVIDER | {"shared": "all"})
        api.create(f"{tenant.url}/rules", {"path": "/v1", "ai": {"providers": ["openai-main"]}})
        response = api.delete(f"/providers/{made['id']}")
        withdrawn = api.patch(f"/providers/{made['id']}", {"shared": {"tiers": ["enterprise"]}})
        for one in (response, withdrawn):
            assert error_of(one) == (409, "in_use")
            assert tenant.id in one.get_json()["detail"]
        # Another tier, with which it is not shared, takes it away, too.
        tier = api.get(tenant.url).get_json()["tier"]
        assert api.patch(f"/providers/{made['id']}", {"shared": {"tiers": [tier]}}).status_code == 200
        for send in (api.patch, api.put):
            moved = send(tenant.url, {"name": "N", "subdomain": "n", "tier": "enterprise"})
            assert error_of(moved) == (409, "in_use")
            assert moved.get_json()["detail"] == withdrawn.get_json()["detail"]
        # To disable it, or to share it with others besides, is allowed.
        for change in ({"enabled": False}, {"shared": {"tenants": [tenant.id]}}):
            assert api.patch(f"/providers/{made['id']}", change).status_code == 200


def test_pages_have_cursors(api: Api, url: str) -> None:
    for name in ("a", "b", "c"):
        api.create(url, PROVIDER | {"name": name})
    first = api.get(f"{url}?limit=2").get_json()
    rest = api.get(f"{url}?limit=2&cursor={first['next_cursor']}").get_json()
    assert sorted(one["name"] for one in (*first["providers"], *rest["providers"])) == ["a", "b", "c"]
    assert rest["next_cursor"] is None


def test_no_secret_of_a_provider_is_stored_or_shown_in_plain_text(
    api: Api, url: str, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything that the store has, that responses say, and that is logged."""
    caplog.set_level("DEBUG")
    header, parameter = "header-canary-77", "query-canary-88"
    sent = PROVIDER | {"headers": {"X-Team": header}, "query": {"v": parameter}}
    made = api.post(url, sent, headers={"Idempotency-Key": "canary"})
    one = f"{url}/{made.get_json()['id']}"
    key = made.get_json()["keys"][0]["id"]
    shown = [
        made.text,
        api.post(f"{one}/keys", {"secret": SECRET}, headers={"Idempotency-Key": "canary-2"}).text,
        api.post(f"{one}/keys/{key}/rotate", {"secret": SECRET + "x"}).text,
        api.get(one).text,
        api.get(url).text,
        api.patch(one, {"base_url": "https://evil.test"}).text,
        api.post(url, sent).text,
        api.post(url, sent | {"keys": [{"secret": SECRET, "weight": "x"}]}).text,
        api.post(url, sent | {"keys": [{"secret": SECRET + " "}]}).text,
        json.dumps([record.getMessage() for record in caplog.records]),
        str([vars(record) for record in caplog.records]),
    ]
    names = list(client.scan_iter())
    dump = b"".join(client.dump(name) + name for name in names)
    plain = b"".join(client.get(name) for name in names if client.type(name) == b"string")
    for secret in (SECRET, header, parameter):
        assert not [text for text in shown if secret in text]
        assert secret.encode() not in dump
        assert secret.encode() not in plain
