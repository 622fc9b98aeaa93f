"""/tenants/{id}/explain: dry runs of requests."""

import asyncio
import base64
import copy
import json
from typing import Any

import pytest

from shared import explain as core_explain
from shared.model.messages import Exchange, Headers, Response
from shared.pipeline.plugin import CONTINUE, Plugin, Respond, Verdict
from shared.testing.memory_limiter import MemoryLimiter
from tests.admin_app.world import Api, Tenant, World, pointers

LIMITER = {"name": "rate_limiter", "priority": 1, "settings": {"limit": 2, "window": "1m"}}
ASKING = {
    "name": "external_validator",
    "priority": 2,
    "parallel": True,
    "settings": {
        "endpoint": "https://checks.example/ask",
        "headers": {"Authorization": "Bearer validator-secret"},
        "fields": ["model"],
        "conditions": [{"field": "bad", "operator": "exists", "message": "It is bad."}],
    },
}
CHECKING = {"name": "content_validator", "priority": 2, "parallel": True, "settings": {"max_size": "1KB"}}
CHAT = {"method": "POST", "path": "/v1/chat?a=1", "body": '{"model": "m"}'}


def new_rule(api: Api, tenant: Tenant, path: str = "/v1", **fields: Any) -> Any:
    return api.rule(tenant, path, **{"target": "https://api.openai.com/base", **fields})["id"]


def judging_responses(settings: dict[str, Any]) -> dict[str, Any]:
    return {"name": "content_validator", "stage": "pre_response", "settings": settings}


def asked(api: Api, tenant: Tenant, **more: Any) -> Any:
    """The explanation of a call with the tenant's first key."""
    named = {"key_id": api.first_key(tenant), **CHAT, **more}
    sent = {name: value for name, value in named.items() if value is not None}
    response = api.post(f"{tenant.url}/explain", sent)
    assert response.status_code == 200, response.text
    return response.get_json()


def plugins(explained: Any, stage: str = "pre_request") -> list[list[tuple[str, str]]]:
    """Name and verdict of each plugin, by group."""
    groups = [one["groups"] for one in explained["plan"] if one["stage"] == stage]
    return [[(one["name"], one["verdict"]) for one in group["plugins"]] for group in (groups or [[]])[0]]


class TestForwarded:
    def test_explain_shows_tenant_rule_plan_and_upstream(self, api: Api, tenant: Tenant) -> None:
        chain = [LIMITER, ASKING, CHECKING]
        rule = new_rule(api, tenant, plugin_chain=chain, headers={"X-Up": "s3cret-of-rule"})
        explained = asked(api, tenant)
        assert explained["outcome"] == "forwarded"
        assert explained["tenant"] == {"id": tenant.id, "subdomain": "acme", "version": 2}
        assert explained["rule_id"] == rule
        assert plugins(explained) == [
            [("rate_limiter", "continue")],
            [("external_validator", "not_called"), ("content_validator", "continue")],
        ]
        first, second = explained["plan"][0]["groups"]
        assert [(first["needs_body"], second["needs_body"])] == [(False, True)]
        timed = [first, *first["plugins"], second, *second["plugins"]]
        assert all(one["milliseconds"] >= 0 for one in timed)
        assert [entry["origin"] for entry in first["plugins"][0]["entries"]] == ["tier", "rule"]
        assert second["plugins"][0]["detail"] == "POST https://checks.example/ask"
        upstream = explained["upstream"]
        assert (upstream["method"], upstream["url"]) == ("POST", "https://api.openai.com/base/v1/chat?a=1")
        assert (upstream["body"], upstream["body_bytes"]) == (CHAT["body"], 14)
        headers = {header["name"]: header["value"] for header in upstream["headers"]}
        assert headers["X-Up"] == "[redacted]"
        assert headers["Host"] == "api.openai.com"
        assert "X-Tenant-Id" not in headers
        assert "Authorization" not in headers
        assert explained["response"] is None

    def test_explain_shows_who_calls_where_the_rule_tells_it(self, api: Api, tenant: Tenant) -> None:
        new_rule(api, tenant, identity_headers=True)
        headers = {one["name"]: one["value"] for one in asked(api, tenant)["upstream"]["headers"]}
        assert (headers["X-Tenant-Id"], headers["X-Forwarded-For"]) == (tenant.id, "127.0.0.1")

    def test_explain_shows_no_secret(self, api: Api, tenant: Tenant) -> None:
        new_rule(api, tenant, plugin_chain=[ASKING], headers={"X-Up": "s3cret-of-rule"})
        headers = {"Authorization": f"Bearer {tenant.key}", "Cookie": "session=of-a-client"}
        text = str(asked(api, tenant, key_id=None, headers=headers, path="/v1?token=of-a-query"))
        for secret in (tenant.key, "s3cret", "validator-secret", "of-a-client", "of-a-query"):
            assert secret not in text

    def test_explain_shows_why_a_target_of_a_model_is_not_chosen(self, api: Api, tenant: Tenant) -> None:
        provider = {"kind": "openai", "keys": [{"secret": "sk-0123456789abcdef012345"}]}
        api.create(f"{tenant.url}/providers", provider | {"name": "main", "models": [{"id": "new"}]})
        targets = [
            {"provider": "main", "model": "gpt-4"},
            {"provider": "main", "model": "new", "priority": 1},
        ]
        api.create(f"{tenant.url}/models", {"name": "both", "targets": targets})
        api.create(f"{tenant.url}/rules", {"path": "/v1", "ai": {"providers": ["main"]}})
        body = '{"model": "%s", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}'
        ai = asked(api, tenant, path="/v1/chat/completions", body=body % "both")["ai"]
        assert [(one["model"], one["is_chosen"], one["why_not"]) for one in ai["targets"]] == [
            ("gpt-4", False, "has no vision"),
            ("new", True, None),
        ]
        explained = asked(api, tenant, path="/v1/chat/completions", body=body % "main/gpt-4")
        assert explained["response"]["code"] == "unsupported_by_model"
        assert explained["ai"]["targets"][0]["why_not"] == "has no vision"

    def test_explain_shows_how_a_request_and_its_response_are_translated(
        self, api: Api, tenant: Tenant
    ) -> None:
        key = {"keys": [{"secret": "sk-0123456789abcdef012345"}]}
        api.create(f"{tenant.url}/providers", {"name": "claude", "kind": "anthropic", **key})
        api.create(f"{tenant.url}/providers", {"name": "main", "kind": "openai", **key})
        targets = [{"provider": "claude", "model": "c"}, {"provider": "main", "model": "g", "priority": 1}]
        api.create(f"{tenant.url}/models", {"name": "both", "targets": targets})
        api.create(f"{tenant.url}/rules", {"path": "/v1", "ai": {"providers": ["main"]}})
        body = '{"model": "both", "seed": 1, %s "messages": [{"role": "user", "content": "Hi"}]}'
        message = {"content": [{"type": "text", "text": "Yes"}], "stop_reason": "end_turn", "usage": {}}
        response = {
            "status": 200,
            "headers": {"Content-Type": "application/json"},
            "body": json.dumps(message),
        }
        given = {"path": "/v1/chat/completions", "body": body % "", "response": response}
        explained = asked(api, tenant, **given)
        seen = [(one["api"], one["dropped"], one["changed"]) for one in explained["ai"]["targets"]]
        assert seen == [("anthropic.messages", ["seed"], []), ("openai.chat", None, None)]
        assert explained["upstream"]["url"].endswith("/v1/messages")
        assert json.loads(explained["upstream"]["body"])["max_tokens"] == 4096
        assert json.loads(explained["response"]["body"])["choices"][0]["message"]["content"] == "Yes"
        page = {**given, "response": {**response, "body": "<html>"}}
        assert asked(api, tenant, **page)["response"]["code"] == "translation_failed"
        several = asked(api, tenant, **{**given, "body": body % '"n": 2,'})["ai"]["targets"]
        assert several[0]["why_not"].startswith("cannot express /n: ")
        assert [one["is_chosen"] for one in several] == [False, True]

    def test_explain_shows_the_budgets_that_count_a_request(self, api: Api, tenant: Tenant) -> None:
        provider = {"kind": "openai", "keys": [{"secret": "sk-0123456789abcdef012345"}], "name": "main"}
        declared = [{"id": "new", "prices": {"input": "1", "output": "2"}}]
        api.create(f"{tenant.url}/providers", provider | {"models": declared})
        common = {"period": "month"}
        for name, more in (
            ("money", {"limit": {"usd": "5"}, "on_spent": "alert"}),
            ("others", {"limit": {"tokens": 1}, "scope": {"model": "old*"}}),
            ("small", {"limit": {"tokens": 1_000}, "cap_output": True}),
        ):
            api.create(f"{tenant.url}/budgets", {"name": name, **common, **more})
        api.create(f"{tenant.url}/rules", {"path": "/v1", "ai": {"providers": ["main"]}})
        body = '{"model": "new", "max_tokens": %d, "messages": []}'
        explained = asked(api, tenant, path="/v1/chat/completions", body=body % 100)
        money, small = [limit for limit in explained["limits"] if limit["scope"] == "budget"]
        assert (small["scope"], small["name"], small["unit"], small["limit"]) == (
            "budget",
            "small",
            "tokens",
            1_000,
        )
        assert (small["allows"], small["before"]["remaining"], small["after"]["remaining"]) == (
            True,
            1_000,
            1_000 - small["cost"],
        )
        assert (money["limit"], money["allows"], money["before"]["remaining"]) == ("5", True, "5")
        assert plugins(explained)[-1] == [("rate_limiter", "continue")]
        capped = asked(api, tenant, path="/v1/chat/completions", body=body % 5_000)
        assert '"max_tokens": 99' in capped["upstream"]["body"]
        stored = api.get(f"{tenant.url}/budgets").get_json()["budgets"]
        [small_id] = [one["id"] for one in stored if one["name"] == "small"]
        api.patch(f"{tenant.url}/budgets/{small_id}", {"cap_output": False})
        rejected = asked(api, tenant, path="/v1/chat/completions", body=body % 5_000)
        assert (rejected["outcome"], rejected["response"]["code"]) == ("rejected", "quota_exceeded")
        assert [limit["allows"] for limit in rejected["limits"][-2:]] == [True, False]

    def test_explain_shows_the_target_of_a_pool_that_is_chosen_first(self, api: Api, tenant: Tenant) -> None:
        first = {"url": "https://api.openai.com/first", "headers": {"X-Up": "s3cret-of-target"}}
        second = {"url": "https://api.openai.com/second", "priority": 1}
        new_rule(api, tenant, target=None, targets=[second, first])
        explained = asked(api, tenant)
        assert explained["upstream"]["url"] == "https://api.openai.com/first/v1/chat?a=1"
        assert "s3cret" not in str(explained)

    def test_explain_shows_what_a_plugin_changes(self, api: Api, tenant: Tenant) -> None:
        cutting = {"name": "content_validator", "settings": {"fields": ["model"]}}
        new_rule(api, tenant, plugin_chain=[cutting])
        explained = asked(api, tenant, body='{"model": "m", "secret": 1}')
        assert plugins(explained)[-1] == [("content_validator", "patch")]
        assert explained["upstream"]["body"] == '{"model":"m"}'

    def test_a_body_that_is_no_text(self, api: Api, tenant: Tenant) -> None:
        new_rule(api, tenant)
        sent = base64.b64encode(b"\xff\x00").decode()
        upstream = asked(api, tenant, body=None, body_base64=sent)["upstream"]
        assert (upstream["body"], upstream["body_bytes"]) == (None, 2)

    def test_stages_behind_the_upstream_are_shown_and_not_run(self, api: Api, tenant: Tenant) -> None:
        entry = judging_responses({"allowed_types": ["text/"]})
        new_rule(api, tenant, plugin_chain=[entry])
        assert plugins(asked(api, tenant), "pre_response") == [[("content_validator", "not_run")]]

    def test_a_given_response_runs_the_stages_behind_the_upstream(self, api: Api, tenant: Tenant) -> None:
        masking = judging_responses({"blocked_patterns": ["secret"], "action": "mask"})
        adding = {"name": "security_validator", "settings": {"security_headers": True}}
        new_rule(api, tenant, plugin_chain=[masking, adding])
        sent = {
            "headers": {"Content-Type": "application/json", "Connection": "x-hop", "X-Hop": "1"},
            "body": '{"choices": [{"message": {"content": "the secret"}}]}',
        }
        explained = asked(api, tenant, response=sent)
        assert (explained["outcome"], explained["upstream"]["body"]) == ("forwarded", CHAT["body"])
        assert plugins(explained, "pre_response") == [[("content_validator", "patch")]]
        response = explained["response"]
        assert (response["status"], response["source"], response["code"]) == (200, "upstream", None)
        assert response["body"] == '{"choices":[{"message":{"content":"the ******"}}]}'
        headers = {header["name"].lower() for header in response["headers"]}
        assert "x-content-type-options" in headers
        assert "x-hop" not in headers

    def test_a_response_that_would_be_rejected(self, api: Api, tenant: Tenant) -> None:
        entry = judging_responses({"blocked_patterns": ["secret"]})
        new_rule(api, tenant, plugin_chain=[entry])
        sent = {"status": 500, "headers": {"Content-Type": "text/plain"}, "body": "the secret"}
        explained = asked(api, tenant, response=sent)
        assert plugins(explained, "pre_response") == [[("content_validator", "reject")]]
        assert (explained["outcome"], explained["response"]["status"]) == ("rejected", 422)
        assert explained["upstream"]["url"].endswith("/v1/chat?a=1")

    def test_entries_in_shadow_mode_are_shown_with_what_they_would_do(self, api: Api, tenant: Tenant) -> None:
        rejecting = {"name": "content_validator", "settings": {"required_fields": ["x"]}, "mode": "shadow"}
        chain = [rejecting, {**ASKING, "mode": "shadow"}, {**LIMITER, "mode": "shadow"}]
        new_rule(api, tenant, plugin_chain=chain)
        explained = asked(api, tenant)
        assert explained["outcome"] == "forwarded"
        found = [one for group in explained["plan"][0]["groups"] for one in group["plugins"]]
        assert {(one["name"], one["mode"], one["verdict"]) for one in found} == {
            ("rate_limiter", "enforce", "continue"),  # the tier's
            ("rate_limiter", "shadow", "continue"),
            ("external_validator", "shadow", "not_called"),
            ("content_validator", "shadow", "reject"),
        }
        assert all(one["milliseconds"] is not None for one in found)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("POST", 204), ("POST", 304)])
def test_response_without_a_body_has_none(api: Api, tenant: Tenant, method: str, status: int) -> None:
    """Whatever is sent along: the proxy expects no body of these, and shows plugins an empty one."""
    entry = judging_responses({"blocked_patterns": ["secret"]})
    new_rule(api, tenant, streams="buffer", plugin_chain=[entry])
    sent = {"status": status, "headers": {"Content-Type": "text/plain"}, "body": "the secret"}
    explained = asked(api, tenant, method=method, response=sent)
    assert plugins(explained, "pre_response") == [[("content_validator", "continue")]]
    assert (explained["response"]["status"], explained["response"]["body"]) == (status, "")


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


class TestOutside:
    def test_explain_calls_services_when_asked_to(self, api: Api, tenant: Tenant, world: World) -> None:
        new_rule(api, tenant, plugin_chain=[ASKING])
        world.outside = b'{"bad": 1}'
        response = asked(api, tenant, call_outside=True)["response"]
        assert (response["code"], response["message"]) == ("validation_failed", "It is bad.")
        assert world.called == [("POST", "https://checks.example/ask", b'{"model":"m"}')]

    def test_a_key_that_only_reads_may_not_ask_for_that(self, api: Api, tenant: Tenant, world: World) -> None:
        new_rule(api, tenant, plugin_chain=[ASKING])
        key = api.created_key(tenant, scopes=["read"])
        sent = {**CHAT, "key_id": api.first_key(tenant)}
        assert api.post(f"{tenant.url}/explain", sent, key=key).status_code == 200
        rejected = api.post(f"{tenant.url}/explain", {**sent, "call_outside": True}, key=key)
        assert rejected.status_code == 403
        assert world.called == []


class Responding(Plugin):
    """Answers itself."""

    name = "answering"

    async def pre_request(self, exchange: Exchange) -> Verdict:
        return Respond(Response(203, Headers([("X-Cache", "hit")]), b"cached"))


class Hanging(Plugin):
    """Never ends."""

    name = "hanging"
    default_timeout = 100.0

    async def pre_request(self, exchange: Exchange) -> Verdict:
        await asyncio.Event().wait()
        return CONTINUE


class Breaking(Plugin):
    """Raises."""

    name = "breaking"

    def pre_request(self, exchange: Exchange) -> Verdict:
        raise ValueError("no such thing")


class TestOtherEnds:
    @pytest.fixture(autouse=True)
    def more(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        extra = {kind.name: kind for kind in (Responding, Hanging, Breaking)}
        monkeypatch.setattr(world, "catalogue", {**world.catalogue, **extra})

    def test_a_plugin_that_responds_itself(self, api: Api, tenant: Tenant) -> None:
        new_rule(api, tenant, plugin_chain=[{"name": "answering"}])
        explained = asked(api, tenant)
        assert explained["outcome"] == "responded"
        headers = explained["response"].pop("headers")
        assert explained["response"] == {
            "status": 203, "source": "plugin:answering", "code": None, "message": None, "details": {},
            "body": "cached",
        }  # fmt: skip
        assert headers[0] == {"name": "X-Cache", "value": "hit"}
        assert "RateLimit-Policy" in [header["name"] for header in headers]

    def test_fault_of_a_plugin_is_shown_with_its_error(self, api: Api, tenant: Tenant) -> None:
        new_rule(api, tenant, plugin_chain=[{"name": "breaking"}])
        explained = asked(api, tenant)
        [plugin] = explained["plan"][0]["groups"][-1]["plugins"]
        assert (plugin["verdict"], plugin["detail"]) == ("fault", "ValueError: no such thing")
        assert explained["response"]["code"] == "plugin_failure"

    def test_hanging_plugin_is_ended(self, api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(core_explain, "MAX_SECONDS", 0.05)
        new_rule(api, tenant, plugin_chain=[{"name": "hanging"}])
        explained = asked(api, tenant)
        assert explained["outcome"] == "unfinished"
        assert plugins(explained)[-1] == [("hanging", "cancelled")]
        assert (explained["response"], explained["upstream"]) == (None, None)


class TestInput:
    @pytest.mark.parametrize(
        ("sent", "pointer"),
        [
            *(({"path": path}, "/path") for path in ("v1", None, "/a b")),
            ({"method": "GE T"}, "/method"),
            ({"headers": {"a b": "x"}}, "/headers/a b"),
            ({"headers": {"a": "x\r\ny"}}, "/headers/a"),
            ({"headers": {"a": [1]}}, "/headers/a"),
            ({"client": "nowhere"}, "/client"),
            *(({"body_base64": text}, "/body_base64") for text in ("%", "YQ==")),
            ({"wrong": 1}, "/wrong"),
        ],
    )
    def test_malformed_request_is_rejected(self, api: Api, tenant: Tenant, sent: Any, pointer: str) -> None:
        body = {name: value for name, value in {**CHAT, **sent}.items() if value is not None}
        assert pointers(api.post(f"{tenant.url}/explain", body)) == [pointer]

    def test_header_with_several_values_is_sent_once_per_value(self, api: Api, tenant: Tenant) -> None:
        new_rule(api, tenant)
        headers = asked(api, tenant, headers={"X-A": ["1", "2"]})["upstream"]["headers"]
        assert [header["value"] for header in headers if header["name"] == "X-A"] == ["1", "2"]

    def test_a_key_of_another_tenant_is_not_found(self, api: Api, tenant: Tenant) -> None:
        other = api.first_key(api.tenant("other"))
        assert api.post(f"{tenant.url}/explain", {**CHAT, "key_id": other}).status_code == 404
