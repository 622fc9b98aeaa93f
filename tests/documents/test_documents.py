"""What the bodies of the admin API may hold, and what its readers see."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError

from shared.core.fields import Duration, Timestamp, problems_of
from shared.documents.api_key import ApiKeyInput, RotateInput, api_key_document
from shared.documents.fields import KEEP, READ_ONLY, is_set, masked
from shared.documents.plugin_config import PluginConfigInput, complete_entry
from shared.documents.rule import RuleInput, RulePatch, RuleReplacement, TimeoutsInput, rule_document
from shared.documents.tenant import TenantInput, TenantPatch, TenantReplacement, tenant_document
from shared.model.config import ApiKey, Cors, PluginConfig, Rule, RuleTimeouts, Scope, Sealed, Stage, Tenant
from shared.pipeline.plugin import CONTINUE, Exchange, Plugin, Verdict

TENANT = {"name": "Acme", "subdomain": "acme"}
RULE = {"path": "/v1", "target": "https://api.openai.com"}


class Audit(Plugin):
    """Acts late and gives up slowly."""

    name = "audit"
    default_stage = Stage.POST_RESPONSE
    default_on_error = "open"
    default_timeout = 5.0

    def post_response(self, exchange: Exchange) -> Verdict:
        return CONTINUE


def problems(schema: Schema, body: Any) -> dict[str, str]:
    """Pointer -> detail of everything that is wrong with `body`."""
    with pytest.raises(ValidationError) as caught:
        schema.load(body)
    return {problem.pointer: problem.detail for problem in problems_of(caught.value.messages)}


class TestTenant:
    def test_tenant_without_optional_fields_gets_defaults(self) -> None:
        assert TenantInput().load(TENANT) == TENANT | {
            "tier": "basic",
            "status": "active",
            "enabled_plugins": None,
            "required_plugins": {},
            "cors": None,
            "plugin_chain": [],
        }

    def test_a_patch_holds_only_what_was_sent(self) -> None:
        assert TenantPatch(partial=True).load({"status": "disabled"}) == {"status": "disabled"}

    @pytest.mark.parametrize("field", ["plugin_chain", "required_plugins"])
    def test_an_entry_in_a_patch_is_whole(self, field: str) -> None:
        patch = TenantPatch(partial=True)
        assert problems(patch, {field: [{}]}) == {f"/{field}/0/name": "Missing data for required field."}
        loaded = patch.load({field: [{"name": "audit"}]})[field]
        entry = loaded[0] if field == "plugin_chain" else loaded["audit"]
        assert (entry["priority"], entry["settings"]) == (100, {})

    def test_an_unknown_field_is_rejected_and_the_known_ones_are_named(self) -> None:
        assert problems(TenantInput(), TENANT | {"teir": "pro"}) == {
            "/teir": "Unknown field: did you mean tier? Allowed: name, subdomain, tier, status, enabled_plugins, "
            "required_plugins, cors, plugin_chain."
        }

    @pytest.mark.parametrize("field", ["id", "version", "created_at", "updated_at", "api_key", "tenant_id"])
    def test_tenant_with_fields_of_the_gateway_is_rejected(self, field: str) -> None:
        assert f"/{field}" in problems(TenantInput(), TENANT | {field: "x"})

    def test_the_subdomain_is_lower_cased(self) -> None:
        assert TenantInput().load(TENANT | {"subdomain": "AcMe-1"})["subdomain"] == "acme-1"

    @pytest.mark.parametrize(
        "label",
        [
            *("", "-a", "a-", "a.b", "a_b", "a b", "a\n", "ä", "\N{KELVIN SIGN}elvin", "a" * 64, "admin"),
            *("API", "www"),
        ],
    )
    def test_a_bad_or_reserved_subdomain_is_rejected(self, label: str) -> None:
        assert "/subdomain" in problems(TenantInput(), TENANT | {"subdomain": label})

    @pytest.mark.parametrize("name", ["", "a\nb", "a\x00", "x" * 201, 5, None, ["a"]])
    def test_a_name_is_one_printable_line(self, name: Any) -> None:
        assert "/name" in problems(TenantInput(), TENANT | {"name": name})


NULLS: list[tuple[type[Schema], dict[str, Any]]] = [
    (TenantInput, TENANT),
    (TenantReplacement, TENANT),
    (RuleInput, RULE),
    (RuleReplacement, RULE),
    (TimeoutsInput, {}),
    (PluginConfigInput, {"name": "audit"}),
    (ApiKeyInput, {}),
    (RotateInput, {}),
]


@pytest.mark.parametrize(("kind", "least"), NULLS, ids=lambda value: getattr(value, "__name__", ""))
def test_null_stands_for_the_default_of_every_field(kind: type[Schema], least: dict[str, Any]) -> None:
    optional = [name for name, field in kind().fields.items() if not field.required]
    sent = {**dict.fromkeys(name for name in optional if name not in READ_ONLY), **least}
    assert len(sent) > len(least)
    assert kind().load(sent) == kind().load(least)


def test_null_in_a_patch_resets_a_field() -> None:
    patch = RulePatch(partial=True)
    assert patch.load({"methods": None, "headers": None, "timeouts": None, "ca": None}) == {
        "methods": [],
        "headers": {},
        "timeouts": RuleTimeouts(),
        "ca": None,
    }
    assert patch.load({"active": None}) == {"active": True}
    assert patch.load({}) == {}


@pytest.mark.parametrize("kind", [RuleReplacement, RulePatch, TenantReplacement, TenantPatch])
def test_null_for_a_required_or_read_only_field_is_rejected(kind: type[Schema]) -> None:
    required = [name for name, field in kind().fields.items() if field.required]
    sent = dict.fromkeys([*required, "id", "created_at", "updated_at"])
    assert set(problems(kind(partial=True), sent)) == {f"/{name}" for name in sent}


class TestRequiredPlugins:
    def load(self, value: Any) -> Any:
        return TenantInput().load(TENANT | {"required_plugins": value})["required_plugins"]

    def problems(self, value: Any) -> dict[str, str]:
        return problems(TenantInput(), TENANT | {"required_plugins": value})

    def test_a_map_a_list_and_a_repeated_name_say_the_same(self) -> None:
        assert self.load({"audit": {"priority": 1}}) == self.load([{"name": "audit", "priority": 1}])
        assert self.load({"audit": {"name": "audit"}}) == self.load({"audit": {}})

    def test_a_name_other_than_its_key_or_twice_in_a_list_is_rejected(self) -> None:
        found = self.problems({"audit": {"name": "other"}})
        assert found == {"/required_plugins/audit/name": "Must equal its key audit, or be omitted."}
        assert list(self.problems([{"name": "audit"}, {"name": "audit"}])) == ["/required_plugins/1/name"]

    def test_a_wrong_field_is_rejected_in_place(self) -> None:
        found = self.problems({"audit": {"priority": 1000, "stgae": "x"}, "other": 5})
        assert set(found) == {f"/required_plugins/{at}" for at in ("audit/priority", "audit/stgae", "other")}

    @pytest.mark.parametrize("value", ["audit", 5, [5], [{}] * 33])
    def test_malformed_value_is_rejected(self, value: Any) -> None:
        assert all(pointer.startswith("/required_plugins") for pointer in self.problems(value))


class TestPluginConfig:
    def load(self, **fields: Any) -> PluginConfig:
        return complete_entry(PluginConfigInput().load({"name": "audit", **fields}), {"audit": Audit})

    def test_gaps_are_filled_from_the_plugin(self) -> None:
        assert self.load() == PluginConfig("audit", stage=Stage.POST_RESPONSE, on_error="open", timeout=5.0)

    def test_plugin_config_keeps_what_was_sent(self) -> None:
        entry = self.load(stage="pre_request", on_error="closed", timeout="500ms", priority=0, enabled=False)
        assert (entry.stage, entry.on_error, entry.timeout) == (Stage.PRE_REQUEST, "closed", 0.5)
        assert (entry.priority, entry.enabled) == (0, False)

    def test_an_unknown_plugin_gets_common_defaults_so_that_its_name_can_be_rejected(self) -> None:
        assert complete_entry({"name": "nobody"}, {}).timeout == 1.0

    def test_entry_mode_is_enforce_or_shadow(self) -> None:
        assert PluginConfigInput().load({"name": "audit", "mode": "shadow"})["mode"] == "shadow"
        found = problems(PluginConfigInput(), {"name": "audit", "mode": "dark"})
        assert found == {"/mode": "Must be one of: enforce, shadow."}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("enabled", "true"),
            ("enabled", 1),
            ("priority", -1),
            ("priority", 1000),
            ("priority", "1"),
            ("priority", True),
            ("stage", "later"),
            ("settings", []),
            ("timeout", 0),
            ("timeout", "301s"),
            ("timeout", "1 fortnight"),
            ("timeout", True),
            ("mode", "watch"),
            ("on_error", ""),
        ],
    )
    def test_plugin_config_with_wrong_values_is_rejected(self, field: str, value: Any) -> None:
        assert list(problems(PluginConfigInput(), {"name": "audit", field: value})) == [f"/{field}"]


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
        names = ("credential", "identity_headers", "upstream_headers", "stream_keepalive", "cors")
        assert [loaded[name] for name in names] == ["provider", None, "drop", None, None]

    @pytest.mark.parametrize(
        ("field", "value", "at"),
        [
            ("credential", "mine", ""),
            ("identity_headers", "yes", ""),
            ("upstream_headers", "keep", ""),
            ("stream_keepalive", "500ms", ""),
            ("stream_keepalive", "2h", ""),
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
            upstream_headers="prefix",
            stream_keepalive=15.0,
            cors=Cors(("https://a.example",), ("x-a",), 5.0),
        )
        shown = rule_document(rule)
        names = ("credential", "identity_headers", "upstream_headers", "stream_keepalive", "cors")
        sent = RuleInput().load(RULE | {name: shown[name] for name in names})
        assert all(sent[name] == getattr(rule, name) for name in names)
        assert "is_internal" not in shown


class TestApiKey:
    def test_key_has_the_proxy_scope_and_no_expiry_by_default(self) -> None:
        assert ApiKeyInput().load({}) == {"name": "", "scopes": [Scope.PROXY], "expires_at": None}

    @pytest.mark.parametrize("scopes", [[], ["root"], "admin", [None], ["admin"] * 4])
    def test_scopes_are_some_of_three(self, scopes: Any) -> None:
        assert all(p.startswith("/scopes") for p in problems(ApiKeyInput(), {"scopes": scopes}))

    def test_old_key_is_valid_for_a_day_after_rotation_by_default(self) -> None:
        assert RotateInput().load({}) == {"overlap": 86_400.0}
        assert RotateInput().load({"overlap": "0s"}) == {"overlap": 0.0}


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("2030-01-01T00:00:00Z", 1_893_456_000.0),
            ("2030-01-01t01:00:00.5+01:00", 1_893_456_000.5),
            ("2030-01-01 00:00:00z", 1_893_456_000.0),
        ],
    )
    def test_rfc_3339_is_read(self, text: str, seconds: float) -> None:
        assert Timestamp("").deserialize(text) == seconds

    @pytest.mark.parametrize(
        "value",
        [
            *("", "tomorrow", "2030-01-01", "2030-01-01T00:00:00", "2030-02-30T00:00:00Z"),
            *(1_893_456_000, None),
            *("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2030-01-01T24:61:00Z", True),
        ],
    )
    def test_malformed_value_is_rejected(self, value: Any) -> None:
        with pytest.raises(ValidationError):
            Timestamp("").deserialize(value)

    @given(st.integers(32_000_000_000, 250_000_000_000_000).map(lambda ms: ms / 1000))
    def test_a_time_survives_a_round_trip(self, seconds: float) -> None:
        shown = Timestamp("").serialize("t", {"t": seconds})
        assert Timestamp("").deserialize(shown) == pytest.approx(seconds, abs=0.002)

    def test_a_duration_is_in_bounds(self) -> None:
        duration = Duration(minimum=1, maximum=2, description="")
        assert duration.deserialize("1500ms") == 1.5
        with pytest.raises(ValidationError, match="from 1 to 2 seconds"):
            duration.deserialize(3)


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
