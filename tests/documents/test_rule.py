"""The body of a rule."""

from typing import Any

import pytest
from marshmallow import Schema

from shared.documents.fields import KEEP
from shared.documents.rule import RuleInput, RulePatch, rule_document
from shared.documents.tenant import TenantInput
from shared.model.config import Cors, Rule
from shared.model.rule_timeouts import RuleTimeouts
from tests.documents.bodies import RULE, problems


class TestRule:
    def test_methods_are_upper_cased(self) -> None:
        assert RuleInput().load(RULE | {"methods": ["post", "Get"]})["methods"] == ["POST", "GET"]

    @pytest.mark.parametrize("method", ["TRACE", "connect", "FOO", "", "GE T", "GET\n", 5])
    def test_rule_with_unknown_methods_is_rejected(self, method: Any) -> None:
        assert list(problems(RuleInput(), RULE | {"methods": [method]})) == ["/methods/0"]

    @pytest.mark.parametrize(
        "target",
        [
            *("", "api.openai.com", "ftp://a.example", "https://user:secret@a.example", 5),
            *("https://a.example?x=1", "https://a.example#x", "https://a.example/ b", "http://2130706433/"),
        ],
    )
    def test_a_target_is_a_plain_url(self, target: Any) -> None:
        assert list(problems(RuleInput(), RULE | {"target": target})) == ["/target"]

    @pytest.mark.parametrize(("schema", "body"), [(RuleInput(), 5), (TenantInput(), [])])
    def test_a_body_that_is_not_a_map_is_rejected(self, schema: Schema, body: object) -> None:
        assert list(problems(schema, body)) == [""]

    def test_timeouts_are_seconds_or_texts_and_none_is_the_default(self) -> None:
        sent = {"connect": "500ms", "first_byte": 2, "idle": None}
        assert RuleInput().load(RULE | {"timeouts": sent})["timeouts"] == RuleTimeouts(0.5, 2.0)
        assert RuleInput().load(RULE)["timeouts"] == RuleTimeouts()

    def test_a_patch_writes_timeouts_as_a_whole_or_not_at_all(self) -> None:
        patch = RulePatch(partial=True)
        assert patch.load({"timeouts": {"total": 5}}) == {"timeouts": RuleTimeouts(total=5.0)}
        assert patch.load({}) == {}

    @pytest.mark.parametrize(
        ("name", "value", "why"),
        [
            ("connect", 0, "Must be from 0.01 to 60 seconds."),
            ("connect", 61, "Must be from 0.01 to 60 seconds."),
            ("first_byte", "2h", "Must be from 0.01 to 3600 seconds."),
            ("idle", 0.001, "Must be from 0.01 to 3600 seconds."),
            ("total", "2d", "Must be from 0.01 to 86400 seconds."),
            ("total", -1, None),
            ("total", True, None),
            ("total", "soon", None),
            ("totl", 1, "Unknown field: did you mean total? Allowed: connect, first_byte, idle, total."),
        ],
    )
    def test_rule_with_wrong_timeouts_is_rejected_in_place(
        self, name: str, value: Any, why: str | None
    ) -> None:
        found = problems(RuleInput(), RULE | {"timeouts": {name: value}})
        assert list(found) == [f"/timeouts/{name}"]
        assert why is None or found[f"/timeouts/{name}"] == why

    @pytest.mark.parametrize("value", [5, [], "5s"])
    def test_timeouts_are_a_map(self, value: Any) -> None:
        assert list(problems(RuleInput(), RULE | {"timeouts": value})) == ["/timeouts"]

    def test_timeouts_are_read_as_they_are_sent(self) -> None:
        shown = rule_document(Rule("r", "/", "http://x", timeouts=RuleTimeouts(connect=0.5)))["timeouts"]
        assert shown == {"connect": 0.5, "first_byte": None, "idle": None, "total": None}
        assert RuleInput().load(RULE | {"timeouts": shown})["timeouts"] == RuleTimeouts(connect=0.5)

    def test_a_header_is_a_value_or_keeps_the_stored_one(self) -> None:
        loaded = RuleInput().load(RULE | {"headers": {"Authorization": "Bearer x", "X-A": {"set": True}}})
        assert loaded["headers"] == {"Authorization": "Bearer x", "X-A": KEEP}

    @pytest.mark.parametrize(
        "name",
        [
            *("Host", "content-length", "Connection", "Transfer-Encoding", "Proxy-Authorization"),
            "X-Tenant-Id",
            *("X-Forwarded-For", "Content-Type", "content_encoding", "Content-Language"),
            *("X_Gateway_Trace", "x.consumer.id", "Via", "a b", "", "X-Ä", "a:b", "a\r\nb"),
        ],
    )
    def test_headers_that_are_not_a_rules_to_set_are_rejected(self, name: str) -> None:
        assert list(problems(RuleInput(), RULE | {"headers": {name: "x"}})) == [f"/headers/{name}"]

    @pytest.mark.parametrize(
        "value",
        ["a\r\nb", "a\x00", "\N{SNOWMAN}", 5, None, {"set": False}, {"set": 1}, {"set": True, "x": 1}],
    )
    def test_header_values_are_one_line_of_text(self, value: Any) -> None:
        assert list(problems(RuleInput(), RULE | {"headers": {"X-A": value}})) == ["/headers/X-A"]

    def test_rule_without_the_newer_fields_gets_their_defaults(self) -> None:
        loaded = RuleInput().load(RULE)
        names = (
            "credential",
            "identity_headers",
            "trace_headers",
            "upstream_headers",
            "stream_keepalive",
            "drain_on_disconnect",
            "cors",
        )
        assert [loaded[name] for name in names] == ["provider", None, None, "drop", None, None, None]

    @pytest.mark.parametrize(
        ("field", "value", "at"),
        [
            ("credential", "mine", ""),
            ("identity_headers", "yes", ""),
            ("trace_headers", "yes", ""),
            ("upstream_headers", "keep", ""),
            ("stream_keepalive", "500ms", ""),
            ("stream_keepalive", "2h", ""),
            ("drain_on_disconnect", "0s", ""),
            ("drain_on_disconnect", "11m", ""),
            ("cors", {}, "/origins"),
            ("cors", {"origins": ["https://a.example/x"]}, "/origins/0"),
            ("cors", {"origins": ["*"], "headers": ["a b"]}, "/headers/0"),
            ("cors", {"origins": ["*"], "max_age": "2d"}, "/max_age"),
            ("cors", {"origins": ["*"], "credentials": True}, "/credentials"),
        ],
    )
    def test_wrong_value_of_a_newer_field_is_rejected_in_place(self, field: str, value: Any, at: str) -> None:
        assert list(problems(RuleInput(), RULE | {field: value})) == [f"/{field}{at}"]

    def test_cors_is_read_with_its_defaults(self) -> None:
        loaded = RuleInput().load(RULE | {"cors": {"origins": ["https://A.example:443", "*", "*"]}})
        assert loaded["cors"] == Cors(("https://a.example", "*"), (), 600.0)

    def test_newer_fields_that_were_shown_can_be_sent_back(self) -> None:
        rule = Rule(
            *("r1", "/", "https://a.example"),
            credential="client",
            identity_headers=False,
            trace_headers=True,
            upstream_headers="prefix",
            stream_keepalive=15.0,
            drain_on_disconnect=10.0,
            cors=Cors(("https://a.example",), ("x-a",), 5.0),
        )
        shown = rule_document(rule)
        names = (
            "credential",
            "identity_headers",
            "trace_headers",
            "upstream_headers",
            "stream_keepalive",
            "drain_on_disconnect",
            "cors",
        )
        sent = RuleInput().load(RULE | {name: shown[name] for name in names})
        assert all(sent[name] == getattr(rule, name) for name in names)
        assert "is_internal" not in shown
