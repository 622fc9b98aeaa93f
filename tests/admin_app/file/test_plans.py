"""Files that are planned and applied."""

import copy
from pathlib import Path
from typing import Any

import pytest

from admin_app.changes.file import changes
from admin_app.changes.file.plan import MAX_TENANTS
from admin_app.http.bodies import MAX_TENANT_FILE
from shared.core.fields import MAX_PROBLEMS
from tests.admin_app.world import TOKEN, Api, Tenant, World, app_of, error_of, make_world, pointers
from tests.documents.file.files import EXAMPLE

RULE = {"path": "/v1", "target": "https://api.openai.com"}


def file(**tenants: Any) -> dict[str, Any]:
    return {"_format_version": "1", "tenants": tenants}


def acme(**members: Any) -> dict[str, Any]:
    return file(acme={"name": "Acme", **members})


def planned(api: Api, document: Any, **options: Any) -> Any:
    response = api.post("/plan", {"document": document, **options})
    assert response.status_code == 200, response.text
    return response.get_json()


def applied(api: Api, document: Any, **options: Any) -> Any:
    """Plan and apply a file; None if there is nothing to apply."""
    plan = planned(api, document, **options)
    if plan["plan_id"] is None:
        return None
    response = api.post(f"/plan/{plan['plan_id']}/apply", {})
    assert response.status_code == 200, response.text
    return response.get_json()


def ops(plan: Any) -> dict[str, str]:
    return {change["path"]: change["op"] for change in plan["changes"]}


@pytest.fixture
def example() -> Any:
    """A file that an empty store takes; it has no secret outside."""
    document = copy.deepcopy(EXAMPLE)
    document["platform"]["providers"]["openai-main"]["keys"][0]["secret"] = "sk-canary-0123456789abcdef"
    document["platform"]["webhooks"]["ops"]["secret"] = "canary-of-the-platform"
    return document


class TestPlan:
    def test_a_plan_says_what_would_be_and_changes_nothing(self, api: Api, example: Any) -> None:
        plan = planned(api, example)
        assert ops(plan) == dict.fromkeys(
            [
                "/platform/providers/openai-main",
                *("/platform/models/fast", "/platform/prices/openai~1gpt-5.6", "/platform/webhooks/ops"),
                *("/tenants/acme", "/tenants/acme/rules/chat", "/tenants/acme/rules/search"),
                "/tenants/acme/webhooks/on-call",
                *("/tenants/acme/api_keys/ci", "/tenants/globex", "/tenants/globex/rules/all"),
            ],
            "create",
        )
        assert plan["summary"] == {"create": 11, "update": 0, "delete": 0}
        assert plan["base"] == {"platform": 0, "acme": 0, "globex": 0}
        assert api.get("/tenants").get_json()["tenants"] == []

    def test_all_problems_are_told_with_their_places_in_the_file(self, api: Api) -> None:
        sent = file(
            acme={"name": "Acme", "tier": "gold", "rules": {"chat": RULE, "talk": RULE}},
            globex={"name": "G", "rules": {"a": {"path": "v1", "target": "http://127.0.0.1:6379"}}},
        )
        assert sorted(pointers(api.post("/plan", {"document": sent}))) == [
            "/document/tenants/acme/rules/talk/path",
            "/document/tenants/acme/tier",
            "/document/tenants/globex/rules/a/path",
            "/document/tenants/globex/rules/a/target",
        ]

    def test_a_malformed_file_is_rejected_in_place(self, api: Api) -> None:
        sent = acme(rules={"chat": {"path": "/v1", "ai": {"provider": []}}})
        found = api.post("/plan", {"document": sent})
        assert pointers(found) == ["/document/tenants/acme/rules/chat/ai/provider"]
        assert "did you mean providers?" in found.get_json()["detail"]

    def test_a_tenant_that_something_is_shared_with_must_be_there(self, api: Api) -> None:
        provider = {"kind": "openai", "shared": {"tenants": ["acme", "nobody"]}}
        sent = {**acme(), "platform": {"providers": {"main": provider}}}
        assert pointers(api.post("/plan", {"document": sent})) == [
            "/document/platform/providers/main/shared/tenants"
        ]


class TestApply:
    def test_a_file_is_applied_and_its_new_keys_are_shown_once(self, api: Api, example: Any) -> None:
        made = applied(api, example)
        assert made["versions"] == {"platform": 1, "acme": 1, "globex": 1}
        [key] = made["api_keys"]
        assert (key["tenant"], key["name"], key["models"]) == ("acme", "ci", ["gpt-*"])
        tenants = {one["subdomain"]: one["id"] for one in api.get("/tenants").get_json()["tenants"]}
        assert api.get(f"/tenants/{tenants['acme']}", key=key["key"]).status_code == 403
        versions = api.get(f"/tenants/{tenants['acme']}/versions").get_json()["versions"]
        assert [(one["source"], one["file"]) for one in versions] == [("file", None)]

    def test_a_file_that_is_applied_again_changes_nothing(self, api: Api, example: Any) -> None:
        applied(api, example)
        audit = api.get("/audit").get_json()["entries"]
        plan = planned(api, example)
        assert (plan["plan_id"], plan["changes"]) == (None, [])
        shown = api.get("/document").get_json()
        assert planned(api, shown)["changes"] == []
        assert api.get("/audit").get_json()["entries"] == audit

    def test_a_new_secret_is_a_change_and_is_not_shown(
        self, api: Api, example: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        applied(api, example)
        example["tenants"]["acme"]["rules"]["search"]["headers"]["Authorization"] = "Bearer other-canary"
        key = example["platform"]["providers"]["openai-main"]["keys"][0]
        key["secret"] = "sk-other-canary-0123456789"
        example["tenants"]["acme"]["webhooks"]["on-call"]["secret"] = "other-canary-of-a-webhook"
        plan = planned(api, example)
        assert ops(plan) == {
            "/platform/providers/openai-main": "update",
            "/tenants/acme/rules/search": "update",
            "/tenants/acme/webhooks/on-call": "update",
        }
        applied(api, example)
        shown = [str(plan), caplog.text, api.get("/audit").text, api.get("/document").text]
        assert not [text for text in shown if "canary" in text]

    def test_prices_are_by_their_models(self, api: Api) -> None:
        prices = {"openai/a": {"input": "1"}, "openai/b": {"input": "2"}}
        applied(api, {"_format_version": "1", "platform": {"prices": prices}})
        sent = {"_format_version": "1", "platform": {"prices": {"openai/b": {"input": "3"}}}}
        assert ops(planned(api, sent)) == {"/platform/prices/openai~1b": "update"}
        pruned = {"/platform/prices/openai~1a": "delete", "/platform/prices/openai~1b": "update"}
        assert ops(planned(api, sent, prune=True)) == pruned

    def test_a_provider_can_leave_with_the_last_rule_that_names_it(self, api: Api) -> None:
        provider = {"kind": "openai", "shared": "all"}
        chat = {"path": "/v1", "ai": {"providers": ["main"]}}
        first = {**acme(rules={"chat": chat}), "platform": {"providers": {"main": provider}}}
        applied(api, first)
        only = {"_format_version": "1", "platform": {}}
        assert error_of(api.post("/plan", {"document": only, "prune": True})) == (409, "in_use")
        assert applied(api, {**acme(), "platform": {}}, prune=True)["summary"]["delete"] == 2

    def test_a_plan_is_for_what_was_there(self, api: Api, tenant: Tenant) -> None:
        plan = planned(api, acme(rules={"chat": RULE}))
        api.rule(tenant, "/other")
        rejected = api.post(f"/plan/{plan['plan_id']}/apply", {})
        assert error_of(rejected) == (409, "conflict")
        assert "acme" in rejected.get_json()["detail"]

    def test_of_two_plans_one_is_applied(self, api: Api, tenant: Tenant) -> None:
        plans = [planned(api, acme(rules={name: RULE})) for name in ("a", "b")]
        statuses = [api.post(f"/plan/{one['plan_id']}/apply", {}).status_code for one in plans]
        assert statuses == [200, 409]

    def test_a_plan_ends_after_an_hour(self, api: Api, tenant: Tenant, world: World) -> None:
        plan = planned(api, acme(rules={"chat": RULE}))
        world.clock.time += 3600
        assert error_of(api.post(f"/plan/{plan['plan_id']}/apply", {})) == (404, "not_found")

    def test_a_call_that_is_repeated_shows_the_same_keys(self, api: Api) -> None:
        plan = planned(api, acme(api_keys={"ci": {}}))
        headers = {"Idempotency-Key": "one"}
        calls = [api.post(f"/plan/{plan['plan_id']}/apply", {}, headers=headers) for _ in range(2)]
        assert calls[0].get_json()["api_keys"] == calls[1].get_json()["api_keys"] != []

    def test_the_reason_and_the_name_of_the_file_are_kept(self, api: Api, tenant: Tenant) -> None:
        plan = planned(api, acme(rules={"chat": RULE}), file_name="gateway.yaml")
        api.post(f"/plan/{plan['plan_id']}/apply", {"message": "New rules."})
        newest = api.get(f"{tenant.url}/versions").get_json()["versions"][0]
        assert (newest["source"], newest["file"], newest["message"]) == ("file", "gateway.yaml", "New rules.")

    def test_a_rollback_after_a_file_restores_the_one_before(self, api: Api) -> None:
        applied(api, acme(rules={"chat": RULE}))
        first = api.get("/document").get_json()
        applied(api, acme(rules={"talk": {**RULE, "path": "/talk"}}, tags=["eu"]), prune=True)
        url = f"/tenants/{api.get('/tenants').get_json()['tenants'][0]['id']}"
        assert api.post(f"{url}/versions/1/rollback", {}).status_code == 200
        assert api.get("/document").get_json() == first


BUDGET = {"limit": {"usd": "250"}, "period": "month"}


class TestBudgets:
    def test_a_budget_names_the_keys_and_rules_of_its_file(self, api: Api, tenant: Tenant) -> None:
        scope = {"key": "ci", "rule": "chat", "tag": {"project": "x"}}
        document = acme(
            rules={"chat": RULE},
            api_keys={"ci": {"metadata": {"project": "x"}}},
            budgets={"monthly": BUDGET, "ci only": BUDGET | {"scope": scope}},
        )
        result = applied(api, document)
        # The only rule calls no models.
        at = "/document/tenants/acme/budgets"
        assert [one["pointer"] for one in result["warnings"]] == [
            f"{at}/monthly/scope",
            f"{at}/ci only/scope/rule",
        ]
        made = {one["name"]: one for one in api.get(f"{tenant.url}/budgets").get_json()["budgets"]}
        monthly, of_ci = made["monthly"], made["ci only"]
        assert (monthly["owner"], monthly["scope"]) == ("platform", {})
        rule = api.get(f"{tenant.url}/rules").get_json()["rules"][0]["id"]
        assert of_ci["scope"] == {"key": result["api_keys"][0]["id"], "rule": rule, "tag": {"project": "x"}}
        dumped = api.get("/document").get_json()["tenants"]["acme"]["budgets"]
        assert dumped == {"monthly": BUDGET, "ci only": BUDGET | {"scope": scope}}
        assert applied(api, document) is None

    def test_names_that_the_file_does_not_have_are_told_in_place(self, api: Api, tenant: Tenant) -> None:
        scope = {"key": "ci", "rule": "chat", "provider": "main"}
        response = api.post("/plan", {"document": acme(budgets={"a b": BUDGET | {"scope": scope}})})
        at = "/document/tenants/acme/budgets/a b/scope"
        assert pointers(response) == [f"{at}/key", f"{at}/rule", f"{at}/provider"]

    def test_rule_leaves_only_with_the_budgets_that_name_it(self, api: Api, tenant: Tenant) -> None:
        whole = acme(rules={"chat": RULE}, budgets={"b": BUDGET | {"scope": {"rule": "chat"}}})
        applied(api, whole)
        kept = acme(budgets={"b": BUDGET | {"scope": {"rule": "chat"}}})
        response = api.post("/plan", {"document": kept, "prune": True})
        assert pointers(response) == ["/document/tenants/acme/budgets/b/scope/rule"]
        assert ops(planned(api, acme(), prune=True)) == {
            "/tenants/acme/rules/chat": "delete",
            "/tenants/acme/budgets/b": "delete",
        }

    def test_increases_are_in_no_file_and_stay(self, api: Api, tenant: Tenant) -> None:
        applied(api, acme(budgets={"b": BUDGET}))
        [budget] = api.get(f"{tenant.url}/budgets").get_json()["budgets"]
        api.post(f"{tenant.url}/budgets/{budget['id']}/increase", {"usd": "50"})
        assert applied(api, acme(budgets={"b": BUDGET})) is None
        applied(api, acme(budgets={"b": BUDGET | {"limit": {"usd": "300"}}}))
        [changed] = api.get(f"{tenant.url}/budgets").get_json()["budgets"]
        assert (changed["limit"], len(changed["increases"])) == ({"usd": "300"}, 1)

    def test_budget_that_may_have_been_renamed_has_a_warning(self, api: Api, tenant: Tenant) -> None:
        applied(api, acme(budgets={"old": BUDGET}))
        plan = planned(api, acme(budgets={"new": BUDGET}), prune=True)
        assert [one["pointer"] for one in plan["warnings"]] == ["/document/tenants/acme/budgets/new"]

    def test_tenant_keeps_the_budgets_of_the_platform(self, api: Api, tenant: Tenant) -> None:
        applied(api, acme(budgets={"cap": BUDGET}))
        own = Api(api.client.application, tenant.key)
        applied(own, acme(budgets={"mine": BUDGET}))
        assert (
            planned(own, acme(budgets={}), prune=True)["changes"][0]["path"] == "/tenants/acme/budgets/mine"
        )
        assert len(planned(own, acme(budgets={}), prune=True)["changes"]) == 1
        raised = acme(budgets={"cap": BUDGET | {"limit": {"usd": "9000"}}})
        assert error_of(own.post("/plan", {"document": raised})) == (403, "forbidden")
        dumped = own.get("/document").get_json()
        assert dumped["tenants"]["acme"]["budgets"] == {"cap": BUDGET, "mine": BUDGET | {"owner": "tenant"}}
        assert planned(own, dumped, prune=True)["changes"] == []

    def test_file_of_the_platform_says_who_may_change_a_budget(self, api: Api, tenant: Tenant) -> None:
        applied(api, acme(budgets={"b": BUDGET | {"owner": "tenant"}}))
        [budget] = api.get(f"{tenant.url}/budgets").get_json()["budgets"]
        assert budget["owner"] == "tenant"
        assert api.patch(f"{tenant.url}/budgets/{budget['id']}", {}, key=tenant.key).status_code == 200

    def test_a_file_cannot_have_more_budgets_than_the_tier_allows(self, api: Api, tenant: Tenant) -> None:
        many = acme(budgets={f"b-{at}": BUDGET for at in range(51)})
        assert pointers(api.post("/plan", {"document": many})) == ["/document/tenants/acme/budgets"]
        own = Api(api.client.application, tenant.key)
        assert pointers(own.post("/plan", {"document": many})) == ["/document/tenants/acme/budgets"]


class TestSize:
    def test_a_plan_may_be_larger_than_other_bodies(self, tmp_path: Path) -> None:
        api = Api(app_of(make_world(tmp_path, admin__token=TOKEN, admin__max_plan_body="2MB")), TOKEN)
        tenants = {f"t-{number}": {"name": "x" * 150} for number in range(9_000)}
        sent = {"document": file(**tenants), "tenants": ["t-1", "t-2"]}
        made = {"/tenants/t-1": "create", "/tenants/t-2": "create"}
        assert ops(api.post("/plan", sent).get_json()) == made
        larger = {"document": file(**tenants), "file_name": "x" * 1_000_000}
        assert error_of(api.post("/plan", larger)) == (413, "body_too_large")
        assert error_of(api.post("/tenants", sent)) == (413, "body_too_large")

    def test_a_plan_of_too_many_tenants_says_how_to_split_it(self, api: Api) -> None:
        many = file(**{f"t-{number}": {"name": "T"} for number in range(MAX_TENANTS + 1)})
        rejected = api.post("/plan", {"document": many})
        assert error_of(rejected) == (422, "limit_reached")
        assert "Split the file" in rejected.get_json()["detail"]

    def test_a_tenants_file_that_its_tier_does_not_allow_is_rejected_before_it_is_judged(
        self, api: Api
    ) -> None:
        tenant = api.tenant("acme", tier="pro")
        own = Api(api.client.application, tenant.key)
        rules = {f"r{number}": {"path": "wrong"} for number in range(1_001)}
        rejected = own.post("/plan", {"document": acme(rules=rules)})
        assert pointers(rejected) == ["/document/tenants/acme/rules"]
        assert "has 1001 rules; the tier allows 1000" in rejected.get_json()["detail"]

    def test_a_file_of_a_tenant_must_be_smaller_than_one_of_the_platform(
        self, api: Api, tenant: Tenant
    ) -> None:
        sent = {"document": acme(tags=["x" * MAX_TENANT_FILE])}
        assert error_of(api.post("/plan", sent, key=tenant.key)) == (413, "body_too_large")
        assert error_of(api.post("/plan", sent)) == (422, "validation_failed")

    def test_of_very_many_problems_the_first_are_told(self, api: Api) -> None:
        sent = acme(**{f"x{number}": 1 for number in range(MAX_PROBLEMS + 9)})
        assert len(pointers(api.post("/plan", {"document": sent}))) == MAX_PROBLEMS

    def test_of_very_many_things_the_first_are_compared_with_those_that_go(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(changes, "COMPARED", 3)

        def rules(letter: str) -> Any:
            same = {**RULE, "methods": ["POST"], "tags": ["eu"], "limits": {"request_body": 1_000}}
            return {f"{letter}{number}": {**same, "path": f"/{letter}{number}"} for number in range(5)}

        applied(api, acme(rules=rules("a")))
        plan = planned(api, acme(rules=rules("b")), prune=True)
        assert sum("Renamed?" in one["detail"] for one in plan["warnings"]) == 3


class TestChosen:
    def test_names_of_tenants_have_no_case(self, api: Api) -> None:
        assert ops(planned(api, acme(), tenants=["Acme"])) == {"/tenants/acme": "create"}

    def test_a_name_that_the_file_lacks_is_an_error(self, api: Api) -> None:
        rejected = api.post("/plan", {"document": acme(), "tenants": ["acme", "acmee"]})
        assert pointers(rejected) == ["/tenants/1"]
        assert "has no tenant acmee" in rejected.get_json()["detail"]
        empty = api.post("/plan", {"document": {"_format_version": "1"}, "tenants": ["acme"]})
        assert pointers(empty) == ["/tenants/0"]


class TestRights:
    def test_a_tenant_plans_and_applies_its_own_part(self, api: Api, tenant: Tenant) -> None:
        own = Api(api.client.application, tenant.key)
        assert applied(own, acme(rules={"chat": RULE}))["versions"] == {"acme": 2}

    @pytest.mark.parametrize(
        "document",
        [
            {"_format_version": "1", "platform": {}},
            file(acme={"name": "Acme"}, globex={"name": "G"}),
            file(fresh={"name": "F"}),
            acme(tier="pro"),
            acme(required_plugins={"security_validator": {}}),
        ],
    )
    def test_a_tenant_plans_nothing_else(self, api: Api, tenant: Tenant, document: Any) -> None:
        own = Api(api.client.application, tenant.key)
        assert error_of(own.post("/plan", {"document": document})) == (403, "forbidden")

    def test_fields_that_only_the_platform_writes_stay(self, api: Api) -> None:
        tenant = api.tenant("acme", tier="pro", enabled_plugins=["rate_limiter"])
        own = Api(api.client.application, tenant.key)
        assert planned(own, acme())["changes"] == []
        assert set(ops(planned(api, acme()))) == {"/tenants/acme"}

    def test_a_plan_is_applied_by_the_caller_who_made_it(self, api: Api, tenant: Tenant) -> None:
        plan = planned(api, acme(rules={"chat": RULE}))
        other = api.post(f"/plan/{plan['plan_id']}/apply", {}, key=tenant.key)
        assert error_of(other) == (404, "not_found")
