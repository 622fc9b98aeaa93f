"""Null for each field, times and durations."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError

from shared.core.fields import Duration, Timestamp
from shared.documents.api_key import ApiKeyInput, RotateInput
from shared.documents.fields import READ_ONLY
from shared.documents.plugin_config import PluginConfigInput
from shared.documents.rule import RuleInput, RulePatch, RuleReplacement
from shared.documents.tenant import TenantInput, TenantPatch, TenantReplacement
from shared.documents.upstream import TimeoutsInput
from shared.model.rule_timeouts import RuleTimeouts
from tests.documents.bodies import RULE, TENANT, problems

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
