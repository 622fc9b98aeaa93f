"""The documents that readers see: without secrets, and good to be sent back."""

from shared.documents.api_key import api_key_document
from shared.documents.fields import is_set, masked
from shared.documents.rule import RuleInput, rule_document
from shared.documents.tenant import tenant_document
from shared.model.config import ApiKey, PluginConfig, Rule, Tenant
from shared.model.sealed import Sealed
from tests.documents.bodies import RULE


class TestShown:
    def test_a_tenant_is_shown_without_its_secrets(self) -> None:
        entry = PluginConfig(
            "audit", settings={"headers": {"X-Key": Sealed("v1.secret")}, "list": [1, ("a",)]}
        )
        tenant = Tenant("t1", "Acme", "acme", required_plugins={"audit": entry}, plugin_chain=(entry,))
        shown = tenant_document(tenant)
        assert "secret" not in str(shown)
        settings = {"headers": {"X-Key": {"set": True}}, "list": [1, ["a"]]}
        assert shown["required_plugins"]["audit"]["settings"] == settings
        assert shown["plugin_chain"][0]["settings"] == settings
        assert shown["enabled_plugins"] is None

    def test_a_rule_is_shown_without_its_secrets(self) -> None:
        rule = Rule("r1", "/", "https://a.example", methods=("GET",), headers={"X-Key": Sealed("v1.secret")})
        shown = rule_document(rule)
        assert shown["headers"] == {"X-Key": {"set": True}}
        assert shown["methods"] == ["GET"]
        assert shown["created_at"] == "1970-01-01T00:00:00.000Z"

    def test_chain_that_was_shown_can_be_sent_back(self) -> None:
        entry = PluginConfig("audit", settings={"headers": {"X-Key": Sealed("v1.secret")}})
        shown = rule_document(Rule("r1", "/", "https://a.example", plugin_chain=(entry,)))
        sent = RuleInput().load(RULE | {"plugin_chain": shown["plugin_chain"], "headers": shown["headers"]})
        assert is_set(sent["plugin_chain"][0]["settings"]["headers"]["X-Key"])

    def test_a_key_is_shown_by_its_prefix_and_its_status_now(self) -> None:
        key = ApiKey("k1", "", "gwk_12345678", "pepper:hash", expires_at=100.0)
        assert "hash" not in api_key_document(key, 99.0)
        assert api_key_document(key, 99.0)["status"] == "active"
        assert api_key_document(key, 100.0)["status"] == "expired"
        assert api_key_document(key, 100.0)["scopes"] == ["proxy"]

    def test_masking_leaves_plain_values(self) -> None:
        assert masked({"a": None, "b": [True, 1.5]}) == {"a": None, "b": [True, 1.5]}
