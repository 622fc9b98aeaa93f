"""The keys, rules, providers and models that budgets name: they stay, or a warning names the budget."""

from typing import Any

import pytest

from tests.admin_app.ai.budget_documents import AI_RULE, BUDGET, PROVIDER
from tests.admin_app.world import Api, Tenant, error_of, pointers


class TestReferences:
    def test_key_that_was_rotated_is_that_of_the_first_one(
        self, api: Api, tenant: Tenant, budgets: str
    ) -> None:
        first = api.create(f"{tenant.url}/api-keys", {})["id"]
        second = api.create(f"{tenant.url}/api-keys/{first}/rotate", {})["id"]
        made = api.create(budgets, BUDGET | {"scope": {"key": second}})
        assert made["scope"] == {"key": first}
        assert api.delete(f"{tenant.url}/api-keys/{first}").status_code == 204

    def test_key_of_a_budget_can_be_revoked_with_a_warning(
        self, api: Api, tenant: Tenant, budgets: str
    ) -> None:
        key = api.create(f"{tenant.url}/api-keys", {})["id"]
        made = api.create(budgets, BUDGET | {"scope": {"key": key}})
        revoked = api.delete(f"{tenant.url}/api-keys/{key}")
        assert revoked.status_code == 200
        assert [one["detail"] for one in revoked.get_json()["warnings"]] == [
            "The budget monthly counts nothing any more. Delete it, or give it another key."
        ]
        changed = api.patch(f"{budgets}/{made['id']}", {"limit": {"usd": "5"}}).get_json()
        assert [one["pointer"] for one in changed["warnings"]] == ["/scope/key"]

    def test_rule_of_a_budget_cannot_be_deleted(self, api: Api, tenant: Tenant, budgets: str) -> None:
        rule = api.rule(tenant)["id"]
        made = api.create(budgets, BUDGET | {"scope": {"rule": rule}})
        response = api.delete(f"{tenant.url}/rules/{rule}")
        assert error_of(response) == (409, "in_use")
        assert "the budget monthly" in response.get_json()["detail"]
        api.delete(f"{budgets}/{made['id']}")
        assert api.delete(f"{tenant.url}/rules/{rule}").status_code == 204

    def test_provider_and_model_of_a_budget_cannot_be_deleted(
        self, api: Api, tenant: Tenant, budgets: str
    ) -> None:
        provider = api.create(f"{tenant.url}/providers", PROVIDER)["id"]
        api.create(
            f"{tenant.url}/models", {"name": "cheap", "targets": [{"provider": "main", "model": "gpt-5.6"}]}
        )
        api.create(
            budgets,
            BUDGET | {"scope": {"provider": "main"}, "on_spent": "downgrade", "downgrade_to": "cheap"},
        )
        for path in ("models/cheap", f"providers/{provider}"):
            response = api.delete(f"{tenant.url}/{path}")
            assert error_of(response) == (409, "in_use")
            assert "the budget monthly" in response.get_json()["detail"]

    def test_platform_cannot_take_away_the_provider_of_a_budget(self, api: Api, budgets: str) -> None:
        provider = api.create("/providers", PROVIDER | {"shared": "all"})["id"]
        api.create(budgets, BUDGET | {"scope": {"provider": "main"}})
        assert error_of(api.patch(f"/providers/{provider}", {"shared": "none"})) == (409, "in_use")

    @pytest.mark.parametrize(
        ("members", "detail"),
        [
            ({"downgrade_to": "nothing"}, "There is no model nothing here."),
            ({"downgrade_to": "main/gpt-5.6"}, "The model main/gpt-5.6 is not allowed here."),
            (
                {"downgrade_to": "gpt-5.6", "scope": {"key": "strict"}},
                "The model gpt-5.6 is not allowed here.",
            ),
        ],
    )
    def test_other_model_must_pass_the_lists_of_rule_and_key(
        self, api: Api, tenant: Tenant, budgets: str, members: Any, detail: str
    ) -> None:
        api.create(f"{tenant.url}/providers", PROVIDER)
        api.create(f"{tenant.url}/rules", AI_RULE)
        key = api.create(f"{tenant.url}/api-keys", {"models": ["home-*"]})["id"]
        scope = {"key": key} if "scope" in members else {}
        response = api.post(budgets, BUDGET | members | {"on_spent": "downgrade", "scope": scope})
        assert pointers(response) == ["/downgrade_to"]
        assert detail in response.get_json()["detail"]

    def test_rule_that_does_not_allow_the_other_model_is_a_warning(
        self, api: Api, tenant: Tenant, budgets: str
    ) -> None:
        api.create(f"{tenant.url}/providers", PROVIDER)
        api.create(f"{tenant.url}/rules", AI_RULE)
        api.create(f"{tenant.url}/rules", {"path": "/own", "ai": {"models": ["home-*"]}})
        made = api.create(
            budgets,
            {
                "name": "n",
                "limit": {"tokens": 5},
                "period": "day",
                "on_spent": "downgrade",
                "downgrade_to": "gpt-5.6",
            },
        )
        [warning] = made["warnings"]
        assert warning["pointer"] == "/downgrade_to"
        assert "requests to own are rejected" in warning["detail"]

    def test_models_without_a_price_are_a_warning_for_a_limit_in_usd(
        self, api: Api, tenant: Tenant, budgets: str
    ) -> None:
        api.create(f"{tenant.url}/providers", PROVIDER)
        api.create(f"{tenant.url}/rules", AI_RULE)
        made = api.create(budgets, BUDGET)
        assert made["warnings"] == [
            {
                "pointer": "/unpriced",
                "detail": "No price is known of main/home-made: calls are rejected. Set prices of these models.",
            }
        ]
        assert api.create(budgets, BUDGET | {"name": "b", "scope": {"model": "gpt-*"}})["warnings"] == []
        assert api.create(budgets, BUDGET | {"name": "c", "limit": {"tokens": 1}})["warnings"] == []
        allowed = api.patch(f"{budgets}/{made['id']}", {"unpriced": "allow"}).get_json()["warnings"]
        assert "calls are not counted" in allowed[0]["detail"]

    def test_rules_that_call_no_models_are_a_warning(self, api: Api, tenant: Tenant, budgets: str) -> None:
        plain = api.rule(tenant, "/plain")
        sent = {"limit": {"requests": 5}, "period": "day"}
        made = [
            api.create(budgets, sent | {"name": "all"}),
            api.create(budgets, sent | {"name": "one", "scope": {"rule": plain["id"]}}),
        ]
        warnings = [(one["pointer"], one["detail"]) for each in made for one in each["warnings"]]
        why = "so the budget counts nothing yet. Budgets count calls of models."
        assert warnings == [
            ("/scope", f"The rules have no `ai`, {why}"),
            ("/scope/rule", f"This rule has no `ai`, {why}"),
        ]
        api.create(f"{tenant.url}/providers", PROVIDER)
        api.create(f"{tenant.url}/rules", AI_RULE)
        assert api.create(budgets, sent | {"name": "again"})["warnings"] == []

    def test_scope_that_no_key_fits_is_a_warning(self, api: Api, budgets: str) -> None:
        made = api.create(budgets, BUDGET | {"scope": {"user": "ann", "tag": {"project": "x"}}})
        assert [one["pointer"] for one in made["warnings"]] == ["/scope/user", "/scope/tag"]
