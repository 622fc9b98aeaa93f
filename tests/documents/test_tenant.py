"""The body of a tenant."""

from typing import Any

import pytest

from shared.documents.tenant import TenantInput, TenantPatch
from tests.documents.bodies import TENANT, problems


class TestTenant:
    def test_tenant_without_optional_fields_gets_defaults(self) -> None:
        assert TenantInput().load(TENANT) == TENANT | {
            "tier": "basic",
            "status": "active",
            "enabled_plugins": None,
            "required_plugins": {},
            "cors": None,
            "tags": (),
            "plugin_chain": [],
        }

    def test_a_patch_holds_only_what_was_sent(self) -> None:
        assert TenantPatch(partial=True).load({"status": "disabled"}) == {"status": "disabled"}

    @pytest.mark.parametrize("field", ["plugin_chain", "required_plugins"])
    def test_an_entry_in_a_patch_is_whole(self, field: str) -> None:
        patch = TenantPatch(partial=True)
        assert problems(patch, {field: [{}]}) == {f"/{field}/0/name": "It is missing. Add it."}
        loaded = patch.load({field: [{"name": "audit"}]})[field]
        entry = loaded[0] if field == "plugin_chain" else loaded["audit"]
        assert (entry["priority"], entry["settings"]) == (100, {})

    def test_an_unknown_field_is_rejected_and_the_known_ones_are_named(self) -> None:
        assert problems(TenantInput(), TENANT | {"teir": "pro"}) == {
            "/teir": "Unknown field: did you mean tier? Allowed: name, subdomain, tier, status, enabled_plugins, "
            "required_plugins, cors, tags, plugin_chain."
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
