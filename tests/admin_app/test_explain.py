"""/tenants/{id}/explain: dry runs of requests that are forwarded."""

import base64
import json
from typing import Any

import pytest

from tests.admin_app.dry_runs import (
    ASKING,
    CHAT,
    CHECKING,
    LIMITER,
    asked,
    judging_responses,
    new_rule,
    plugins,
)
from tests.admin_app.world import Api, Tenant, pointers


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
    """The proxy expects no body of these, and shows plugins an empty one, also if one is sent along."""
    entry = judging_responses({"blocked_patterns": ["secret"]})
    new_rule(api, tenant, streams="buffer", plugin_chain=[entry])
    sent = {"status": status, "headers": {"Content-Type": "text/plain"}, "body": "the secret"}
    explained = asked(api, tenant, method=method, response=sent)
    assert plugins(explained, "pre_response") == [[("content_validator", "continue")]]
    assert (explained["response"]["status"], explained["response"]["body"]) == (status, "")


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
