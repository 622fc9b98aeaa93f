"""The entries of chains in bodies, also of required plugins."""

from typing import Any

import pytest

from shared.documents.plugin_config import PluginConfigInput, complete_entry
from shared.documents.tenant import TenantInput
from shared.model.config import PluginConfig, Stage
from tests.documents.bodies import TENANT, Audit, problems


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
