"""A dry run of a request that would be rejected says by what, and spends nothing."""

import copy
from typing import Any

import pytest

from shared.testing.memory_limiter import MemoryLimiter
from tests.admin_app.dry_runs import ASKING, CHECKING, LIMITER, asked, new_rule, plugins
from tests.admin_app.world import Api, Tenant, World


class TestRejected:
    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            ({"key_id": None}, "missing_api_key"),
            ({"key_id": None, "headers": {"x-api-key": "gwk_wrong"}}, "invalid_api_key"),
            ({"headers": {"Host": "a.b.example.com"}}, "invalid_host"),
            ({"headers": {"Host": "other.example.com"}}, "invalid_api_key"),
            ({"path": "/v1/..;/x"}, "bad_request"),
            ({"path": "/nowhere"}, "no_matching_rule"),
            ({"method": "PATCH"}, "method_not_allowed"),
            ({"path": "/v2/%2f"}, "bad_request"),
            ({"headers": {"Via": "1.1 ai-gateway-test"}}, "loop_detected"),
        ],
    )
    def test_explain_of_a_rejected_request_shows_the_code_of_the_proxy(
        self, api: Api, tenant: Tenant, sent: Any, code: str
    ) -> None:
        new_rule(api, tenant, methods=["POST"])
        new_rule(api, tenant, "/v2")
        explained = asked(api, tenant, **sent)
        assert (explained["outcome"], explained["response"]["code"]) == ("rejected", code)
        assert explained["response"]["source"] == "gateway"
        assert (explained["upstream"], explained["plan"]) == (None, [])

    def test_explain_with_the_host_of_another_tenant_shows_no_tenant_and_no_rules(
        self, api: Api, tenant: Tenant
    ) -> None:
        api.tenant("other")
        explained = asked(api, tenant, headers={"Host": "other.example.com"})
        assert (explained["tenant"], explained["rules"]) == (None, [])

    def test_tenant_under_a_shared_host_is_identified_by_the_key(self, api: Api, tenant: Tenant) -> None:
        new_rule(api, tenant)
        assert asked(api, tenant, headers={"Host": "localhost"})["outcome"] == "forwarded"
        other = api.tenant("other").key
        foreign = asked(api, tenant, key_id=None, headers={"Host": "localhost", "x-api-key": other})
        assert (foreign["response"]["code"], foreign["tenant"]) == ("invalid_api_key", None)

    def test_a_body_above_what_callers_without_a_key_may_send(self, api: Api, tenant: Tenant) -> None:
        new_rule(api, tenant, public=True)
        explained = asked(api, tenant, key_id=None, body="x" * 70_000)
        assert explained["response"]["code"] == "body_too_large"
        assert asked(api, tenant, body="x" * 70_000)["outcome"] == "forwarded"

    def test_rejection_by_a_plugin_is_shown_with_its_details_and_headers(
        self, api: Api, tenant: Tenant
    ) -> None:
        blocking = {**LIMITER, "settings": {"limit": 0, "window": "1m"}}
        new_rule(api, tenant, plugin_chain=[blocking, CHECKING])
        explained = asked(api, tenant)
        response = explained["response"]
        rejected = (429, "rate_limit_exceeded", "plugin:rate_limiter")
        assert (response["status"], response["code"], response["source"]) == rejected
        assert response["details"]["rate_limit"]["limit"] == 0
        assert "RateLimit" in {header["name"] for header in response["headers"]}
        assert plugins(explained) == [[("rate_limiter", "reject")], [("content_validator", "not_run")]]

    def test_explain_says_why_each_rule_does_not_match(self, api: Api, tenant: Tenant) -> None:
        taken, general = new_rule(api, tenant, "/v1/chat"), new_rule(api, tenant, "/v1")
        asleep = new_rule(api, tenant, "/v1/chat/x", active=False)
        found = {rule["id"]: (rule["matches"], rule["why_not"]) for rule in asked(api, tenant)["rules"]}
        assert found == {
            taken: (True, None),
            general: (False, f"The path of the rule {taken} is longer."),
            asleep: (False, "It is not active."),
        }

    def test_unusable_rule_is_explained(
        self, api: Api, tenant: Tenant, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rule = new_rule(api, tenant, plugin_chain=[CHECKING])
        monkeypatch.setattr(world, "catalogue", {"rate_limiter": world.catalogue["rate_limiter"]})
        explained = asked(api, tenant)
        assert explained["response"]["code"] == "config_unavailable"
        [shown] = [one for one in explained["rules"] if one["id"] == rule]
        assert "There is no plugin content_validator." in shown["fault"]


class TestLimits:
    def test_explain_shows_limits_before_and_after(self, api: Api, tenant: Tenant) -> None:
        places = {"limits": {"streams": {"limit": 5}}}
        new_rule(api, tenant, plugin_chain=[LIMITER, {"name": "rate_limiter", "settings": places}])
        rows = {(row["scope"], row["name"]): row for row in asked(api, tenant)["limits"]}
        assert rows["rule", "global"] == {
            "scope": "rule", "name": "global", "unit": "requests", "limit": 2, "window": "1m", "cost": 1,
            "allows": True, "before": {"remaining": 2, "reset_after_ms": 0}, "after": {"remaining": 1},
        }  # fmt: skip
        assert rows["rule", "streams"]["before"] == {"remaining": 5, "reset_after_ms": None}
        assert rows["gateway", "global"]["limit"] == 600

    def test_a_rejected_request_would_take_nothing(self, api: Api, tenant: Tenant) -> None:
        new_rule(api, tenant, plugin_chain=[{**LIMITER, "settings": {"limit": 0, "window": "1m"}}])
        [rule, tier] = asked(api, tenant)["limits"]
        assert (rule["allows"], rule["after"]) == (False, {"remaining": 0})
        assert tier["before"]["remaining"] == tier["after"]["remaining"]

    def test_explain_spends_and_calls_nothing(self, api: Api, tenant: Tenant, world: World) -> None:
        new_rule(api, tenant, plugin_chain=[LIMITER, ASKING])
        assert isinstance(world.limiter, MemoryLimiter)
        before = copy.deepcopy(vars(world.limiter._counters)), world.store.read(tenant.id)
        for _ in range(5):
            assert asked(api, tenant)["outcome"] == "forwarded"
        assert (vars(world.limiter._counters), world.store.read(tenant.id)) == before
        assert world.called == []
