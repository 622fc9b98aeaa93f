"""Rules for AI and rules with several targets over HTTP."""

from dataclasses import replace
from typing import Any

import pytest

from shared.config_store.history.edit import Edit
from tests.admin_app.world import Api, Tenant, World, error_of, pointers

SECRET = "sk-0123456789abcdef012345"
PROVIDER = {"name": "openai-main", "kind": "openai", "keys": [{"secret": SECRET}]}
AI: dict[str, Any] = {"path": "/v1", "ai": {"providers": ["openai-main"]}}
POOL: dict[str, Any] = {
    "path": "/v1",
    "targets": [
        {"url": "https://a.test", "weight": 3, "headers": {"Authorization": "Bearer a"}},
        {"url": "https://b.test", "priority": 1},
    ],
}
NO_POOL = dict.fromkeys(("strategy", "affinity", "retry", "breaker", "stream", "health"))


@pytest.fixture
def rules(api: Api, tenant: Tenant) -> str:
    """The rules of a tenant that has a provider."""
    api.create(f"{tenant.url}/providers", PROVIDER)
    return f"{tenant.url}/rules"


class TestKinds:
    def test_rule_for_ai_is_shown_with_its_defaults(self, api: Api, rules: str) -> None:
        made = api.create(rules, AI)
        assert made["warnings"] == []
        assert made["ai"] == {
            "providers": ["openai-main"],
            "models": None,
            "default_model": None,
            "hide_target": False,
            "apis": None,
            "translate": {"unsupported": "default", "reasoning": "expose"},
        }
        assert (made["target"], made["targets"]) == (None, None)
        assert {name: made[name] for name in NO_POOL} == NO_POOL

    def test_rule_for_ai_says_how_requests_are_translated(self, api: Api, rules: str) -> None:
        translate = {"unsupported": "reject", "reasoning": "hide"}
        made = api.create(rules, AI | {"ai": AI["ai"] | {"translate": translate}})
        assert made["ai"]["translate"] == translate
        changed = api.call("PATCH", f"{rules}/{made['id']}", {"ai": {"translate": {"reasoning": "none"}}})
        assert [one["pointer"] for one in changed.json["errors"]] == ["/ai/translate/reasoning"]

    def test_rule_with_targets_hides_their_headers(self, api: Api, rules: str) -> None:
        made = api.create(rules, POOL | {"strategy": "latency", "retry": {"attempts": 2}})
        assert made["targets"][0] == {
            "url": "https://a.test",
            "weight": 3,
            "priority": 0,
            "headers": {"Authorization": {"set": True}},
            "timeouts": dict.fromkeys(("connect", "first_byte", "idle", "total")),
        }
        assert (made["strategy"], made["affinity"]) == ("latency", None)
        assert made["retry"]["on"] == ["connect"]

    @pytest.mark.parametrize("sent", [AI, POOL, {"path": "/v1", "target": "https://a.test"}])
    def test_what_was_read_can_be_sent_back(self, api: Api, rules: str, sent: dict[str, Any]) -> None:
        one = f"{rules}/{api.create(rules, sent)['id']}"
        read = api.get(one).get_json()
        response = api.put(one, read)
        assert response.status_code == 200, response.text
        again = response.get_json()
        del again["warnings"]
        assert again == read

    @pytest.mark.parametrize(
        ("members", "at"),
        [
            ({}, ["/target"]),
            ({"target": None, "targets": None, "ai": None}, ["/target"]),
            ({"target": "https://a.test", "ai": {}}, ["/ai"]),
            ({"target": "https://a.test", "targets": POOL["targets"]}, ["/targets"]),
            ({"targets": POOL["targets"], "ai": {}}, ["/ai"]),
        ],
    )
    def test_there_is_exactly_one(self, api: Api, rules: str, members: dict[str, Any], at: list[str]) -> None:
        assert pointers(api.post(rules, {"path": "/v1"} | members)) == at

    def test_patch_moves_a_rule_from_one_to_another(self, api: Api, rules: str) -> None:
        one = f"{rules}/{api.create(rules, POOL | {'strategy': 'order'})['id']}"
        assert pointers(api.patch(one, {"ai": AI["ai"]})) == ["/ai"]
        changed = api.patch(one, {"ai": AI["ai"], "targets": None}).get_json()
        assert (changed["targets"], changed["strategy"]) == (None, None)
        assert api.patch(one, {"ai": None, "target": "https://a.test"}).status_code == 200

    @pytest.mark.parametrize("where", [{"target": "https://a.test"}, {"ai": {}}])
    def test_members_of_a_pool_need_targets(self, api: Api, rules: str, where: Any) -> None:
        sent = {"path": "/v1", "strategy": "order", "retry": {"attempts": 2}, **where}
        assert pointers(api.post(rules, sent)) == ["/strategy", "/retry"]


class TestTargets:
    def test_addresses_are_checked_as_those_of_a_target(self, api: Api, rules: str) -> None:
        sent = {"path": "/v1", "targets": [{"url": "https://a.test"}, {"url": "http://127.0.0.1:1"}]}
        response = api.post(rules, sent)
        assert pointers(response) == ["/targets/1/url"]
        assert "not allowed" in response.get_json()["detail"]
        warnings = api.create(rules, POOL)["warnings"]
        assert [one["pointer"] for one in warnings] == ["/targets/0/url", "/targets/1/url"]

    def test_headers_of_a_target_stay_with_its_origin(self, api: Api, rules: str) -> None:
        one = f"{rules}/{api.create(rules, POOL)['id']}"
        keep = {"headers": {"Authorization": {"set": True}}}
        kept = [{"url": "https://b.test"}, {"url": "https://a.test/other", **keep}]
        assert api.patch(one, {"targets": kept}).status_code == 200
        moved = [{"url": "https://c.test", **keep}]
        assert pointers(api.patch(one, {"targets": moved})) == ["/targets/0/headers/Authorization"]

    def test_common_headers_need_one_origin(self, api: Api, rules: str) -> None:
        headers = {"headers": {"Authorization": "Bearer a"}}
        assert pointers(api.post(rules, POOL | headers)) == ["/headers"]
        same = [{"url": "https://a.test/1"}, {"url": "https://a.test/2"}]
        one = f"{rules}/{api.create(rules, POOL | headers | {'targets': same})['id']}"
        other = [{"url": "https://b.test"}]
        assert pointers(api.patch(one, {"targets": other})) == ["/headers/Authorization"]

    def test_the_clients_credential_needs_one_origin(self, api: Api, rules: str) -> None:
        plain = [{"url": one["url"]} for one in POOL["targets"]]
        sent = {"path": "/v1", "targets": plain, "credential": "client"}
        assert pointers(api.post(rules, sent)) == ["/credential"]
        assert api.post(rules, sent | {"targets": plain[:1]}).status_code == 201

    def test_the_tier_bounds_them(self, api: Api, world: World, rules: str) -> None:
        most = world.settings.tiers["basic"].max_targets or 0
        many = [{"url": f"https://a.test/{i}"} for i in range(most + 1)]
        assert error_of(api.post(rules, {"path": "/v1", "targets": many})) == (422, "limit_reached")


class TestAi:
    @pytest.mark.parametrize(
        ("members", "at"),
        [
            ({"strip_path": True}, "/strip_path"),
            ({"preserve_host": True}, "/preserve_host"),
            ({"headers": {"Authorization": "Bearer a"}}, "/headers"),
            ({"public": True}, "/public"),
            ({"ai": {"providers": ["openai-mian"]}}, "/ai/providers/0"),
            ({"ai": {"apis": ["openai.chats"]}}, "/ai/apis/0"),
            ({"ai": {"models": ["gpt-*"], "default_model": "claude-x"}}, "/ai/default_model"),
            ({"ai": {"model": ["gpt-*"]}}, "/ai/model"),
        ],
    )
    def test_wrong_members_are_pointed_at(
        self, api: Api, rules: str, members: dict[str, Any], at: str
    ) -> None:
        assert pointers(api.post(rules, AI | members)) == [at]

    def test_a_public_rule_would_let_anyone_spend_money(self, api: Api, rules: str) -> None:
        response = api.post(rules, AI | {"public": True})
        assert response.get_json()["errors"][0]["detail"].startswith("Anyone could spend this provider's")
        assert api.post(rules, AI | {"public": True, "credential": "client"}).status_code == 201

    def test_the_clients_credential_goes_to_one_origin(self, api: Api, tenant: Tenant, rules: str) -> None:
        anthropic = {"name": "anthropic", "kind": "anthropic", "keys": [{"secret": SECRET}]}
        api.create(f"{tenant.url}/providers", anthropic)
        both = {"path": "/v1", "ai": {}, "credential": "client"}
        assert pointers(api.post(rules, both)) == ["/credential"]
        assert api.post(rules, AI | {"credential": "client"}).status_code == 201

    def test_near_name_of_a_provider_is_told(self, api: Api, rules: str) -> None:
        response = api.post(rules, {"path": "/v1", "ai": {"providers": ["openai-mian"]}})
        assert "Did you mean openai-main?" in response.get_json()["detail"]

    def test_tenant_without_providers_is_warned(self, api: Api, tenant: Tenant) -> None:
        [warning] = api.create(f"{tenant.url}/rules", {"path": "/v1", "ai": {}})["warnings"]
        assert warning["pointer"] == "/ai/providers"

    def test_api_that_no_provider_speaks_and_nothing_translates_is_a_warning(
        self, api: Api, tenant: Tenant
    ) -> None:
        api.create(f"{tenant.url}/providers", PROVIDER | {"name": "claude", "kind": "anthropic"})
        apis = ["openai.embeddings", "openai.chat", "anthropic.messages", "models"]
        made = api.create(f"{tenant.url}/rules", {"path": "/v1", "ai": {"apis": apis}})
        assert [warning["pointer"] for warning in made["warnings"]] == ["/ai/apis/0"]

    def test_rule_of_a_tenant_can_be_changed_after_the_platform_was(self, api: Api, tenant: Tenant) -> None:
        api.create("/providers", PROVIDER | {"shared": "all"})
        one = f"{tenant.url}/rules/{api.create(f'{tenant.url}/rules', AI)['id']}"
        api.create("/providers", PROVIDER | {"name": "other", "shared": "all"})
        assert api.patch(one, {"active": False}, key=tenant.key).status_code == 200
        assert api.patch(tenant.url, {"name": "New"}, key=tenant.key).status_code == 200

    def test_rule_whose_provider_is_no_longer_shared_can_be_changed_otherwise(
        self, api: Api, tenant: Tenant, world: World
    ) -> None:
        tier = api.get(tenant.url).get_json()["tier"]
        api.create("/providers", PROVIDER | {"shared": {"tiers": [tier]}})
        one = f"{tenant.url}/rules/{api.create(f'{tenant.url}/rules', AI)['id']}"
        before, revision = world.store.read(tenant.id), world.store.read_platform().revision
        assert before is not None
        # The admin API rejects this.
        after = replace(before, tenant=replace(before.tenant, tier="enterprise"))
        world.store.write(before, after, edit=Edit(actor="test"), platform=revision)
        assert api.patch(one, {"active": False}).status_code == 200
        assert pointers(api.patch(one, {"ai": AI["ai"] | {"models": ["a"]}})) == ["/ai/providers/0"]
        assert api.patch(one, {"ai": {}}).status_code == 200
