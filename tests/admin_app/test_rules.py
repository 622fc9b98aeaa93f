"""Rules over HTTP."""

from pathlib import Path
from typing import Any

import pytest

from shared.documents import examples
from tests.admin_app.world import TOKEN, Api, Tenant, app_of, error_of, make_world, pointers
from tests.support.certificates import Authority

RULE = {"path": "/v1", "target": "https://api.openai.com"}


SHADOW = {"name": "content_validator", "mode": "shadow"}
WRONG_TIMEOUTS = {"connect": 0, "idle": "1y", "first": 1}


@pytest.fixture
def rules(tenant: Tenant) -> str:
    return f"{tenant.url}/rules"


def create(api: Api, rules: str, **fields: Any) -> str:
    return f"{rules}/{api.create(rules, RULE | fields)['id']}"


class TestCreate:
    def test_the_seeds_rule_with_the_tenants_key(self, api: Api, tenant: Tenant, rules: str) -> None:
        limiter = {"name": "rate_limiter", "enabled": True, "priority": 1, "stage": "pre_request"}
        sent = RULE | {"path": "/v1/chat/completions", "methods": ["POST"], "strip_path": True}
        chain = [{**limiter, "settings": {"limit": 100, "window": "1m"}}]
        response = api.post(rules, sent | {"plugin_chain": chain}, key=tenant.key)
        assert response.status_code == 201, response.text
        made = response.get_json()
        assert response.headers["Location"] == f"/api/v1{rules}/{made['id']}"
        assert len(made["warnings"]) == 1
        assert made["warnings"][0]["pointer"] == "/path"
        assert "the upstream receives /." in made["warnings"][0]["detail"]

    def test_the_example_of_the_docs_works(self, api: Api, rules: str) -> None:
        assert api.create(rules, examples.RULE)["warnings"] == []

    def test_a_path_is_stored_in_the_form_that_is_matched(self, api: Api, rules: str) -> None:
        assert api.post(rules, RULE | {"path": "//a/./b/../%63/"}).get_json()["path"] == "/a/c"

    @pytest.mark.parametrize(
        ("field", "value", "at"),
        [
            *(("path", path, "") for path in ("v1", "/a\\b", "/%zz", "/a%2fb", "/..;/a", "/a?b", "/a b")),
            *(("target", f"http://{host}/", "") for host in ("[::ffff:127.0.0.1]", "169.254.169.254")),
            *(("target", f"http://{host}", "") for host in ("127.0.0.1:6379", "10.0.0.1")),
            ("plugin_chain", [SHADOW | {"settings": {"max_size": "big"}}], "/0/settings/max_size"),
            ("ca", "-----BEGIN CERTIFICATE-----", ""),
            *(("timeouts", {key: value}, f"/{key}") for key, value in WRONG_TIMEOUTS.items()),
            *(("limits", {"request_body": size}, "/request_body") for size in (0, "20 miles", True)),
        ],
    )
    def test_wrong_field_is_rejected(self, api: Api, rules: str, field: str, value: Any, at: str) -> None:
        assert pointers(api.post(rules, RULE | {field: value})) == [f"/{field}{at}"]

    def test_an_encoded_slash_can_be_allowed(self, api: Api, rules: str) -> None:
        sent = RULE | {"path": "/a%2fb", "encoded_slashes": "allow"}
        assert api.post(rules, sent).get_json()["path"] == "/a%2Fb"

    def test_a_name_that_does_not_resolve_is_a_warning(self, api: Api, rules: str) -> None:
        made = api.create(rules, RULE | {"target": "https://soon.test"})
        [warning] = made["warnings"]
        assert warning["pointer"] == "/target"
        assert "cannot be resolved" in warning["detail"]

    def test_the_seeds_parallel_chain_lacks_two_settings(self, api: Api, rules: str) -> None:
        chain: list[dict[str, Any]] = [
            {"name": "rate_limiter", "enabled": True, "parallel": False, "priority": 1},
            {"name": "external_validator", "enabled": True, "parallel": True, "priority": 2},
            {"name": "content_validator", "enabled": True, "parallel": True, "priority": 2},
        ]
        rejected = pointers(api.post(rules, RULE | {"plugin_chain": chain}))
        assert any(pointer.startswith("/plugin_chain/0/settings") for pointer in rejected)
        assert "/plugin_chain/1/settings/endpoint" in rejected
        assert not any(pointer.startswith("/plugin_chain/2") for pointer in rejected)
        chain[0]["settings"] = {"limit": 3, "window": "10s"}
        chain[1]["settings"] = {"endpoint": "https://checks.example/ask"}
        assert api.post(rules, RULE | {"plugin_chain": chain}).status_code == 201

    def test_entry_in_shadow_mode_does_not_conflict_with_a_parallel_entry(self, api: Api, rules: str) -> None:
        cutting = {"name": "content_validator", "parallel": True, "settings": {"fields": ["model"]}}
        reading = {"name": "content_validator", "parallel": True, "settings": {"max_size": "1MB"}}
        assert pointers(api.post(rules, RULE | {"plugin_chain": [cutting, reading]})) == ["/plugin_chain/0"]
        made = api.create(rules, RULE | {"plugin_chain": [cutting | {"mode": "shadow"}, reading]})
        assert [entry["mode"] for entry in made["plugin_chain"]] == ["shadow", "enforce"]

    def test_the_tier_caps_them(self, tmp_path: Path) -> None:
        few = {"basic": {"max_rules": 3}}
        api = Api(app_of(make_world(tmp_path, admin__token=TOKEN, tiers=few)), TOKEN)
        rules = f"{api.tenant().url}/rules"
        for i in range(3):
            create(api, rules, path=f"/{i}")
        response = api.post(rules, RULE | {"path": "/more"})
        assert error_of(response) == (422, "limit_reached")


class TestTimeouts:
    def test_a_tenant_sets_changes_and_clears_them(self, api: Api, tenant: Tenant, rules: str) -> None:
        sent = RULE | {"timeouts": {"connect": "500ms", "total": 60}}
        made = api.post(rules, sent, key=tenant.key).get_json()
        assert made["timeouts"] == {"connect": 0.5, "first_byte": None, "idle": None, "total": 60.0}
        assert made["warnings"] == []
        url = f"{rules}/{made['id']}"
        assert api.get(url).get_json()["timeouts"] == made["timeouts"]
        for change in ({"timeouts": {"idle": 9}}, {"active": False}):
            found = api.patch(url, change, key=tenant.key).get_json()["timeouts"]
            assert found == {"connect": None, "first_byte": None, "idle": 9.0, "total": None}
        assert set(api.put(url, RULE).get_json()["timeouts"].values()) == {None}

    def test_the_description_of_the_api_has_them(self, api: Api) -> None:
        schemas = api.get("/openapi.json").get_json()["components"]["schemas"]
        assert list(schemas["TimeoutsInput"]["properties"]) == ["connect", "first_byte", "idle", "total"]
        [kind, null] = schemas["RuleInput"]["properties"]["timeouts"]["anyOf"]
        assert kind["$ref"].endswith("/TimeoutsInput")
        assert null == {"type": "null"}

    def test_timeouts_on_the_mitmproxy_engine_are_stored_with_a_warning(self, tmp_path: Path) -> None:
        world = make_world(tmp_path, admin__token=TOKEN, server__engine="mitmproxy")
        api = Api(app_of(world), TOKEN)
        rules = f"{api.tenant().url}/rules"
        large = {"limits": {"request_body": "60MB"}}
        [warning] = api.post(rules, RULE | large | {"path": "/large"}).get_json()["warnings"]
        assert warning["pointer"] == "/limits"
        [warning] = api.post(rules, RULE | {"timeouts": {"total": 5}}).get_json()["warnings"]
        assert warning["pointer"] == "/timeouts"
        assert "not enforced" in warning["detail"]
        assert api.post(rules, RULE | {"path": "/other"}).get_json()["warnings"] == []


class TestLimits:
    def test_a_tenant_lowers_them_and_only_the_platform_raises_them_above_the_default(
        self, api: Api, tenant: Tenant, rules: str
    ) -> None:
        made = api.create(rules, RULE | {"limits": {"request_body": "1MB"}})
        assert made["limits"] == {"request_body": 1024**2, "response_body": None}
        url = f"{rules}/{made['id']}"
        for mine in ({"request_body": 1000}, {"request_body": "50MB"}, {"response_body": "50 MB"}, {}):
            assert api.patch(url, {"limits": mine}, key=tenant.key).status_code == 200, mine
        for name in ("request_body", "response_body"):
            response = api.patch(url, {"limits": {name: "51MB"}}, key=tenant.key)
            assert error_of(response) == (403, "forbidden")
            assert response.get_json()["errors"][0]["pointer"] == f"/limits/{name}"
        raised = {"request_body": "1GB", "response_body": "200MB"}
        assert api.patch(url, {"limits": raised}).status_code == 200
        # A limit that the platform allowed may stay, and be lowered.
        for mine in ({"active": False}, {"limits": {**raised, "request_body": "900MB"}}):
            assert api.patch(url, mine, key=tenant.key).status_code == 200, mine

    def test_nobody_raises_them_above_the_ceilings(self, api: Api, rules: str) -> None:
        for name, most in (("request_body", 1024), ("response_body", 200)):
            response = api.post(rules, RULE | {"limits": {name: f"{most + 1}MB"}})
            assert (response.status_code, pointers(response)) == (422, [f"/limits/{name}"])
            assert f"limits.max_{name}" in response.get_json()["errors"][0]["detail"]


class TestClash:
    def test_two_rules_must_not_take_the_same_requests(self, api: Api, rules: str) -> None:
        first = create(api, rules, methods=["GET", "POST"])
        response = api.post(rules, RULE | {"path": "/v1/", "methods": ["POST"]})
        assert error_of(response) == (409, "rule_exists")
        assert first.rpartition("/")[2] in response.get_json()["detail"]
        assert api.post(rules, RULE).status_code == 409

    @pytest.mark.parametrize(
        "other", [{"methods": ["PUT"]}, {"match": "exact"}, {"path": "/v1/x"}, {"active": False}]
    )
    def test_different_rules_live_together(self, api: Api, rules: str, other: dict[str, Any]) -> None:
        both = [create(api, rules, **({"methods": ["GET"]} | one)) for one in ({}, other)]
        assert {api.get(rule).status_code for rule in both} == {200}
        assert api.get(rules).get_json()["count"] == 2

    def test_a_rule_does_not_clash_with_itself(self, api: Api, rules: str) -> None:
        assert api.put(create(api, rules), RULE).status_code == 200

    def test_a_clash_shows_when_a_rule_is_made_active(self, api: Api, rules: str) -> None:
        create(api, rules)
        second = create(api, rules, active=False)
        assert api.patch(second, {"active": True}).status_code == 409


class TestChange:
    def test_patch_of_cors_replaces_it_as_a_whole(self, api: Api, tenant: Tenant, rules: str) -> None:
        page = {"origins": ["https://a.example"]}
        url = create(api, rules, cors=page | {"headers": ["x-a"], "max_age": "5s"})
        for changed in (url, tenant.url):
            response = api.patch(changed, {"cors": page}, key=tenant.key)
            assert response.status_code == 200, response.text
            assert response.get_json()["cors"] == page | {"headers": [], "max_age": 600.0}
            assert pointers(api.patch(changed, {"cors": {"max_age": "5s"}})) == ["/cors/origins"]

    def test_patch_changes_what_was_sent(self, api: Api, rules: str) -> None:
        url = create(api, rules, methods=["GET"], headers={"X-A": "1"})
        before = api.get(url).get_json()
        after = api.patch(url, {"active": False}).get_json()
        assert after.pop("warnings") == []
        assert after == before | {"active": False}

    def test_put_replaces_the_rule(self, api: Api, rules: str) -> None:
        url = create(api, rules, methods=["GET"], headers={"X-A": "1"})
        after = api.put(url, RULE).get_json()
        assert (after["methods"], after["headers"]) == ([], {})

    def test_a_new_match_is_a_new_path_form(self, api: Api, rules: str) -> None:
        url = create(api, rules, path="/v1/", match="exact")
        assert api.get(url).get_json()["path"] == "/v1/"
        assert api.patch(url, {"match": "prefix"}).get_json()["path"] == "/v1"

    def test_the_tenants_version_counts_it(self, api: Api, tenant: Tenant, rules: str) -> None:
        url = create(api, rules)
        api.patch(url, {"active": False})
        assert api.get(tenant.url).get_json()["version"] == 3

    def test_delete_removes_the_rule(self, api: Api, rules: str) -> None:
        url = create(api, rules)
        assert api.delete(url).status_code == 204
        assert api.get(url).status_code == 404
        assert api.delete(url).status_code == 404

    def test_if_match_still_matches_after_another_rule_changed(self, api: Api, rules: str) -> None:
        url, other = create(api, rules), create(api, rules, path="/other")
        tag = api.get(url).headers["ETag"]
        api.patch(other, {"active": False})
        assert api.patch(url, {"public": True}, headers={"If-Match": tag}).status_code == 200
        assert api.delete(url, headers={"If-Match": tag}).status_code == 412


class TestCertificates:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> str:
        return Authority(tmp_path).file.read_text()

    def test_the_platform_sets_one(self, api: Api, rules: str, certificate: str) -> None:
        assert api.get(create(api, rules, ca=certificate)).get_json()["ca"] == certificate

    def test_a_tenant_may_not_change_it(self, api: Api, tenant: Tenant, rules: str, certificate: str) -> None:
        url = create(api, rules, ca=certificate)
        mine = {"key": tenant.key}
        assert api.post(rules, RULE | {"path": "/x", "ca": certificate}, **mine).status_code == 403
        assert api.patch(url, {"ca": None}, **mine).status_code == 403
        assert api.put(url, RULE, **mine).status_code == 403
        assert api.put(url, RULE | {"ca": certificate}, **mine).status_code == 200


def test_lists_come_in_pages(api: Api, rules: str) -> None:
    made = [create(api, rules, path=f"/{i}").rpartition("/")[2] for i in range(3)]
    first = api.get(f"{rules}?limit=2").get_json()
    # The last one shown may be gone when the next page is asked for.
    shown = [rule["id"] for rule in first["rules"]]
    api.delete(f"{rules}/{shown[-1]}")
    second = api.get(f"{rules}?limit=2&cursor={first['next_cursor']}").get_json()
    assert sorted([*shown, *[rule["id"] for rule in second["rules"]]]) == sorted(made)
    assert (first["count"], second["count"], second["next_cursor"]) == (2, 1, None)


@pytest.mark.parametrize("cursor", ["x", "1.0", "nan~rule_1", "~", ""])
def test_a_foreign_cursor_is_rejected(api: Api, rules: str, cursor: str) -> None:
    assert pointers(api.get(f"{rules}?cursor={cursor}")) == ["/cursor"]


class TestName:
    def test_a_rule_without_a_name_gets_a_free_one_of_its_path(self, api: Api, rules: str) -> None:
        names = [
            api.create(rules, RULE | {"path": path, "methods": [method]})["name"]
            for path, method in (("/V1/Chat", "GET"), ("/V1/Chat", "POST"), ("/", "GET"))
        ]
        assert names == ["v1-chat", "v1-chat-2", "root"]

    def test_a_name_stays_when_a_change_does_not_send_it(self, api: Api, rules: str) -> None:
        url = create(api, rules, name="chat")
        assert api.put(url, RULE | {"path": "/v2"}).get_json()["name"] == "chat"
        assert api.patch(url, {"name": None, "active": False}).get_json()["name"] == "chat"
        assert api.patch(url, {"name": "talk"}).get_json()["name"] == "talk"

    def test_a_name_of_another_rule_is_rejected(self, api: Api, rules: str) -> None:
        create(api, rules, name="chat")
        url = create(api, rules, path="/v2")
        taken = api.patch(url, {"name": "chat"})
        assert error_of(taken) == (409, "name_taken")
        assert taken.get_json()["errors"][0]["pointer"] == "/name"
        assert error_of(api.post(rules, RULE | {"path": "/v3", "name": "chat"})) == (409, "name_taken")

    @pytest.mark.parametrize("name", ["Chat", "a b", "", "-a", "a" * 64, 5])
    def test_a_name_is_a_slug(self, api: Api, rules: str, name: Any) -> None:
        assert pointers(api.post(rules, RULE | {"name": name})) == ["/name"]

    def test_tags_are_shown_once_each(self, api: Api, rules: str) -> None:
        url = create(api, rules, tags=["team:search", "eu", "eu"])
        assert api.get(url).get_json()["tags"] == ["team:search", "eu"]
        assert pointers(api.patch(url, {"tags": ["a b"]})) == ["/tags/0"]
