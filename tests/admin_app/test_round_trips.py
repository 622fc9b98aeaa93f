"""A document that was read can be sent back, and all that is wrong with a body is reported at once."""

from typing import Any

import pytest

from shared.documents import examples
from tests.admin_app.world import Api, Tenant, World, pointers

CHAIN = [
    {"name": "rate_limiter", "settings": {"limit": 5, "window": "1m"}},
    {
        "name": "external_validator",
        "settings": {"endpoint": "https://checks.example/ask", "headers": {"X-Key": "hunter2"}},
    },
]


@pytest.fixture
def tenant(api: Api) -> Tenant:
    """A tenant in which every field has a value."""
    return api.tenant(tier="pro", enabled_plugins=["rate_limiter", "external_validator"], plugin_chain=CHAIN)


@pytest.fixture(params=["platform", "tenant"])
def key(request: pytest.FixtureRequest, tenant: Tenant) -> str:
    """The key of each kind of caller who may change a tenant."""
    return "" if request.param == "platform" else tenant.key


def resource(api: Api, tenant: Tenant, kind: str) -> str:
    """The URL of a tenant, or of its rule."""
    if kind == "tenant":
        return tenant.url
    fields = {**examples.RULE, "plugin_chain": CHAIN}
    return f"{tenant.url}/rules/{api.create(f'{tenant.url}/rules', fields)['id']}"


@pytest.mark.parametrize("kind", ["tenant", "rule"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_what_was_read_can_be_sent_back(
    api: Api, tenant: Tenant, world: World, key: str, kind: str, method: str
) -> None:
    url = resource(api, tenant, kind)
    before = world.store.read(tenant.id)
    read = api.get(url)
    sent = api.call(method, url, read.get_json(), key=key, headers={"If-Match": read.headers["ETag"]})
    assert sent.status_code == 200, sent.text
    after = sent.get_json()
    assert after.pop("warnings") == []
    assert after == read.get_json()
    stored = world.store.read(tenant.id)
    assert before is not None
    assert stored is not None
    assert (stored.tenant.plugin_chain, stored.rules) == (before.tenant.plugin_chain, before.rules)


@pytest.mark.parametrize("kind", ["tenant", "rule"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("value", ["other", None, 7, {}])
def test_read_only_member_with_another_value_is_rejected(
    api: Api, tenant: Tenant, kind: str, method: str, value: Any
) -> None:
    url = resource(api, tenant, kind)
    read = api.get(url).get_json()
    for name in ("id", "created_at", "updated_at"):
        response = api.call(method, url, {**read, name: value})
        assert pointers(response) == [f"/{name}"]
        assert api.get(url).get_json() == read
    if value is not None:
        assert f'send "{read["updated_at"]}"' in response.get_json()["detail"]


@pytest.mark.parametrize("zone", ["Z", "+00:00", "000+00:00"])
def test_moment_may_be_sent_back_in_another_form(api: Api, tenant: Tenant, zone: str) -> None:
    read = api.get(tenant.url).get_json()
    moment = read["created_at"].removesuffix("Z") + zone
    assert api.put(tenant.url, {**read, "created_at": moment}).status_code == 200
    for other in (moment.replace("2027", "2028"), moment.removesuffix(zone)):
        assert pointers(api.put(tenant.url, {**read, "created_at": other})) == ["/created_at"]


def test_read_only_member_of_a_new_resource_is_rejected(api: Api, tenant: Tenant) -> None:
    assert pointers(api.post("/tenants", {"name": "A", "subdomain": "a", "id": "tenant_0"})) == ["/id"]
    assert pointers(api.post(f"{tenant.url}/rules", {**examples.RULE, "id": "rule_0"})) == ["/id"]


def test_null_resets_a_field_of_a_rule(api: Api, tenant: Tenant) -> None:
    url = resource(api, tenant, "rule")
    names = ("methods", "headers", "timeouts", "plugin_chain", "match", "strip_path", "streams", "ca")
    after = api.patch(url, dict.fromkeys(names)).get_json()
    assert (after["methods"], after["headers"], after["plugin_chain"]) == ([], {}, [])
    assert set(after["timeouts"].values()) == {None}
    assert (after["match"], after["strip_path"], after["streams"]) == ("prefix", False, "pass")


def test_null_resets_a_field_of_a_tenant(api: Api, tenant: Tenant) -> None:
    names = ("tier", "status", "enabled_plugins", "required_plugins", "plugin_chain")
    after = api.patch(tenant.url, dict.fromkeys(names)).get_json()
    assert [after[name] for name in names] == ["basic", "active", None, {}, []]


class TestProblemsOfSeveralLayers:
    """Malformed fields, unknown names, forbidden targets and wrong settings, told together."""

    def test_rule_is_judged_as_a_whole(self, api: Api, tenant: Tenant) -> None:
        sent = {
            "path": "v1",
            "target": "http://169.254.169.254/",
            "methods": ["FOO"],
            "headers": {"X-A": {"set": True}},
            "plugin_chain": [
                {"name": "rate_limiter", "priority": 5000, "settings": {"limit": 1, "window": "1m"}},
                {"name": "rate_limiter", "settings": {"limit": -1, "window": "1m"}},
                {"name": "nothing"},
            ],
            "expected": 1,
        }
        found = pointers(api.post(f"{tenant.url}/rules", sent))
        assert sorted(found) == [
            *("/expected", "/headers/X-A", "/methods/0", "/path", "/plugin_chain/0/priority"),
            *("/plugin_chain/1/settings/limit", "/plugin_chain/2/name", "/target"),
        ]

    @pytest.mark.parametrize("as_list", [False, True])
    def test_tenant_is_judged_as_a_whole(self, api: Api, as_list: bool) -> None:
        required: dict[str, Any] = {
            "security_validator": {"priority": -1},
            "content_validator": {"settings": {"max_size": "big"}},
        }
        entries = [{"name": name, **entry} for name, entry in required.items()] if as_list else required
        sent = {
            "name": "",
            "subdomain": "-",
            "tier": "gold",
            "enabled_plugins": ["rate_limitr"],
            "required_plugins": entries,
        }
        steps = ("0", "1") if as_list else tuple(required)
        assert sorted(pointers(api.post("/tenants", sent))) == sorted(
            [
                *("/name", "/subdomain", "/tier", "/enabled_plugins/0"),
                f"/required_plugins/{steps[0]}/priority",
                f"/required_plugins/{steps[1]}/settings/max_size",
            ]
        )

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    def test_change_is_judged_as_a_whole(self, api: Api, tenant: Tenant, method: str) -> None:
        read = api.get(tenant.url).get_json()
        sent = {**read, "name": 5, "version": 99, "tier": "gold"}
        assert sorted(pointers(api.call(method, tenant.url, sent))) == ["/name", "/tier", "/version"]
        url = resource(api, tenant, "rule")
        sent = {**api.get(url).get_json(), "active": 5, "id": "other", "target": "http://10.0.0.1"}
        headers = "/headers/Authorization"  # another origin must not get the stored value
        assert sorted(pointers(api.call(method, url, sent))) == sorted(["/active", headers, "/id", "/target"])

    def test_key_is_judged_as_a_whole(self, api: Api, tenant: Tenant) -> None:
        sent = {"scopes": ["all"], "expires_at": "2000-01-01T00:00:00Z"}
        assert sorted(pointers(api.post(f"{tenant.url}/api-keys", sent))) == ["/expires_at", "/scopes/0"]

    def test_malformed_body_for_an_unknown_tenant_is_no_way_in(self, api: Api, tenant: Tenant) -> None:
        for url in ("/tenants/tenant_0/rules", f"{api.tenant('other').url}/rules"):
            assert api.post(url, {"path": 5}, key=tenant.key).status_code == 404

    def test_malformed_body_is_told_though_another_rule_has_the_path(self, api: Api, tenant: Tenant) -> None:
        assert api.post(f"{tenant.url}/rules", {**examples.RULE, "path": "/"}).status_code == 201
        sent = {"target": "https://api.openai.com"}
        assert pointers(api.post(f"{tenant.url}/rules", sent)) == ["/path"]


class TestLastAdminKey:
    def test_revoking_the_only_admin_key_warns(self, api: Api, tenant: Tenant) -> None:
        first = api.first_key(tenant)
        api.created_key(tenant, scopes=["read", "proxy"])
        response = api.delete(f"{tenant.url}/api-keys/{first}")
        assert response.status_code == 200
        body = response.get_json()
        assert body["status"] == "revoked"
        [warning] = body["warnings"]
        assert warning["pointer"] == "/scopes"
        assert "Only the platform can create one" in warning["detail"]

    def test_revoking_one_of_two_admin_keys_does_not_warn(self, api: Api, tenant: Tenant) -> None:
        first = api.first_key(tenant)
        api.created_key(tenant, scopes=["admin"])
        assert api.delete(f"{tenant.url}/api-keys/{first}").status_code == 204
        # Once more: it was not active any more.
        assert api.delete(f"{tenant.url}/api-keys/{first}").status_code == 204
