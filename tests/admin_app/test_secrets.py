"""Upstream credentials: sealed when saved, never read back, kept for the origin they were saved for."""

from typing import Any

import pytest

from shared.model.config import Rule, Snapshot
from shared.model.sealed import Sealed
from shared.secrets.context import header_context, setting_context
from tests.admin_app.world import Api, Tenant, World, pointers

KEEP = {"set": True}
RULE: dict[str, Any] = {
    "path": "/v1",
    "target": "https://api.openai.com",
    "headers": {"Authorization": "Bearer sk-canary", "X-Org": "canary-org"},
}


def asking(headers: dict[str, Any], endpoint: str = "https://checks.example/ask") -> dict[str, Any]:
    return {"name": "external_validator", "settings": {"endpoint": endpoint, "headers": headers}}


def stored(world: World, tenant: Tenant) -> Snapshot:
    snapshot = world.store.read(tenant.id)
    assert snapshot is not None
    return snapshot


@pytest.fixture
def rule_url(api: Api, tenant: Tenant) -> str:
    made = api.post(f"{tenant.url}/rules", RULE).get_json()
    return f"{tenant.url}/rules/{made['id']}"


class TestRuleHeaders:
    def opened(self, world: World, tenant: Tenant) -> dict[str, str]:
        rule: Rule = stored(world, tenant).rules[0]
        return {
            name: world.sealer.open(value.text, header_context(tenant.id, name, rule.target))
            for name, value in rule.headers.items()
        }

    def test_headers_are_sealed_for_their_origin(self, rule_url: str, tenant: Tenant, world: World) -> None:
        assert self.opened(world, tenant) == RULE["headers"]
        assert "canary" not in repr(stored(world, tenant))
        sealed = stored(world, tenant).rules[0].headers["X-Org"]
        for context in (
            header_context("tenant_other", "X-Org", RULE["target"]),
            header_context(tenant.id, "Authorization", RULE["target"]),
            header_context(tenant.id, "X-Org", "https://other.example"),
        ):
            with pytest.raises(ValueError, match="cannot be opened"):
                world.sealer.open(sealed.text, context)

    def test_rule_headers_are_shown_in_no_response(self, api: Api, tenant: Tenant, rule_url: str) -> None:
        responses = [api.get(rule_url), api.get(f"{tenant.url}/rules"), api.patch(rule_url, {"public": True})]
        responses.append(api.put(rule_url, RULE))
        for response in responses:
            assert response.status_code == 200
            assert "canary" not in response.text
        assert responses[0].get_json()["headers"] == {"Authorization": KEEP, "X-Org": KEEP}

    def test_secrets_that_were_read_can_be_sent_back(
        self, api: Api, rule_url: str, tenant: Tenant, world: World
    ) -> None:
        before = stored(world, tenant).rules[0].headers
        sent = RULE | {"headers": {"authorization": KEEP, "X-Org": "new"}}
        assert api.put(rule_url, sent).status_code == 200
        after = stored(world, tenant).rules[0].headers
        assert after["authorization"] == before["Authorization"]
        assert self.opened(world, tenant) == {"authorization": "Bearer sk-canary", "X-Org": "new"}

    def test_rule_headers_stay_when_the_target_moves_within_its_origin(self, api: Api, rule_url: str) -> None:
        assert api.patch(rule_url, {"target": "https://API.openai.com:443/v2"}).status_code == 200

    @pytest.mark.parametrize(
        "target", ["https://collector.test", "http://api.openai.com", "https://api.openai.com:8443"]
    )
    def test_secrets_go_to_no_other_origin(
        self, api: Api, rule_url: str, tenant: Tenant, world: World, target: str
    ) -> None:
        rejected = api.patch(rule_url, {"target": target})
        assert pointers(rejected) == ["/headers/Authorization", "/headers/X-Org"]
        assert "Send the value again" in rejected.get_json()["errors"][0]["detail"]
        kept = {"Authorization": KEEP, "X-Org": "new"}
        moved = RULE | {"target": target, "headers": kept}
        assert pointers(api.put(rule_url, moved)) == ["/headers/Authorization"]
        again = {"target": target, "headers": {"Authorization": "Bearer new"}}
        assert api.patch(rule_url, again).status_code == 200
        assert self.opened(world, tenant) == {"Authorization": "Bearer new"}

    def test_secrets_never_stored_cannot_be_kept(self, api: Api, rule_url: str, tenant: Tenant) -> None:
        assert pointers(api.patch(rule_url, {"headers": {"X-New": KEEP}})) == ["/headers/X-New"]
        fresh = RULE | {"path": "/x", "headers": {"A~c": KEEP}}
        assert pointers(api.post(f"{tenant.url}/rules", fresh)) == ["/headers/A~0c"]

    def test_case_makes_no_second_header(self, api: Api, rule_url: str) -> None:
        twice = {"headers": {"X-Org": "a", "x-org": "b"}}
        assert pointers(api.patch(rule_url, twice)) == ["/headers/x-org"]


class TestPluginSecrets:
    def opened(self, world: World, tenant: Tenant, place: int = 0) -> dict[str, str]:
        config = stored(world, tenant).tenant.plugin_chain[place]
        return {
            name: world.sealer.open(
                value.text, setting_context(tenant.id, config.name, "headers", name, config.settings)
            )
            for name, value in config.settings["headers"].items()
        }

    @pytest.fixture
    def tenant(self, api: Api) -> Tenant:
        return api.tenant(plugin_chain=[asking({"X-Key": "canary-1"})])

    def test_plugin_secrets_are_sealed_and_never_shown(self, api: Api, tenant: Tenant, world: World) -> None:
        assert self.opened(world, tenant) == {"X-Key": "canary-1"}
        assert "canary" not in repr(stored(world, tenant))
        shown = api.get(tenant.url)
        assert "canary" not in shown.text
        assert shown.get_json()["plugin_chain"][0]["settings"]["headers"] == {"X-Key": KEEP}

    def test_secret_in_a_rule_chain_or_required_plugin_is_stored_sealed(
        self, api: Api, tenant: Tenant, world: World
    ) -> None:
        entry = asking({"X-Key": "canary-2"})
        assert api.patch(tenant.url, {"required_plugins": [entry]}).status_code == 200
        rule = {"path": "/", "target": "https://api.openai.com", "plugin_chain": [entry]}
        assert api.post(f"{tenant.url}/rules", rule).status_code == 201
        snapshot = stored(world, tenant)
        assert "canary" not in repr(snapshot)
        assert isinstance(snapshot.rules[0].plugin_chain[0].settings["headers"]["X-Key"], Sealed)
        required = snapshot.tenant.required_plugins["external_validator"]
        assert isinstance(required.settings["headers"]["X-Key"], Sealed)

    def test_secrets_that_were_read_can_be_sent_back(self, api: Api, tenant: Tenant, world: World) -> None:
        chain = api.get(tenant.url).get_json()["plugin_chain"]
        chain[0]["settings"]["headers"]["X-More"] = "more"
        assert api.patch(tenant.url, {"plugin_chain": chain}).status_code == 200
        assert self.opened(world, tenant) == {"X-Key": "canary-1", "X-More": "more"}

    def test_secrets_go_to_no_other_origin(self, api: Api, tenant: Tenant) -> None:
        moved = asking({"X-Key": KEEP}, "https://collector.test/ask")
        rejected = api.patch(tenant.url, {"plugin_chain": [moved]})
        assert pointers(rejected) == ["/plugin_chain/0/settings/headers/X-Key"]
        assert "https://checks.example:443" in rejected.get_json()["detail"]

    def test_secrets_never_stored_cannot_be_kept(self, api: Api, tenant: Tenant) -> None:
        asked = asking({"X-Other": KEEP})
        rejected = api.patch(tenant.url, {"plugin_chain": [asked]})
        assert pointers(rejected) == ["/plugin_chain/0/settings/headers/X-Other"]

    def test_entries_that_move_find_their_own_secrets(self, api: Api, tenant: Tenant, world: World) -> None:
        a, b = "https://checks.example/a", "https://checks.example/b"
        both = [asking({"X-Key": "canary-a"}, a), asking({"X-Key": "canary-b"}, b)]
        api.patch(tenant.url, {"plugin_chain": both})
        swapped = [asking({"X-Key": KEEP}, b), asking({"X-Key": KEEP}, a)]
        assert api.patch(tenant.url, {"plugin_chain": swapped}).status_code == 200
        assert [self.opened(world, tenant, i)["X-Key"] for i in (0, 1)] == ["canary-b", "canary-a"]

    def test_plugin_secret_that_is_ambiguous_must_be_sent(self, api: Api, tenant: Tenant) -> None:
        both = [asking({"X-Key": "canary-a"}), asking({"X-Key": "canary-b"})]
        assert api.patch(tenant.url, {"plugin_chain": both}).status_code == 200
        other: dict[str, Any] = {"name": "security_validator"}
        moved = [other, other, asking({"X-Key": KEEP})]
        rejected = api.patch(tenant.url, {"plugin_chain": moved})
        assert pointers(rejected) == ["/plugin_chain/2/settings/headers/X-Key"]

    @pytest.mark.parametrize("headers", ["text", 5, ["X-Key"], {"X-Key": 5}, {"X-Key": {"set": False}}])
    def test_secrets_of_a_wrong_form_are_rejected(self, api: Api, tenant: Tenant, headers: Any) -> None:
        rejected = api.patch(tenant.url, {"plugin_chain": [asking(headers)]})
        assert all(p.startswith("/plugin_chain/0/settings/headers") for p in pointers(rejected))

    @pytest.mark.parametrize("endpoint", [5, "checks", None])
    def test_an_endpoint_that_is_none_is_rejected(self, api: Api, tenant: Tenant, endpoint: Any) -> None:
        rejected = api.patch(tenant.url, {"plugin_chain": [asking({"X-Key": KEEP}, endpoint)]})
        assert rejected.status_code == 422
