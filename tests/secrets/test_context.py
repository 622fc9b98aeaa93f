"""The context that a stored secret belongs to."""

import pytest

from shared.secrets.context import (
    PLATFORM,
    endpoint_origin,
    header_context,
    provider_header_context,
    provider_key_context,
    provider_query_context,
    setting_context,
)


def test_a_header_belongs_to_its_tenant_its_name_and_the_targets_origin() -> None:
    context = header_context("t1", "Authorization", "https://API.example/v1")
    assert context == "t1|rule.headers|authorization|https://api.example:443"
    assert context == header_context("t1", "AUTHORIZATION", "https://api.example:443/v2")
    assert context != header_context("t1", "Authorization", "http://api.example/v1")


def test_a_setting_belongs_to_its_tenant_its_plugin_and_the_endpoints_origin() -> None:
    settings = {"endpoint": "https://checks.example/ask?deep=1"}
    context = setting_context("t1", "external_validator", "headers", "X-Key", settings)
    assert context == "t1|external_validator.headers.x-key|https://checks.example:443"


def test_a_providers_key_belongs_to_its_owner_its_provider_its_id_and_the_origin() -> None:
    origin = "https://api.openai.com:443"
    context = provider_key_context(PLATFORM, "prv_1", "pk_1", origin)
    assert context == "platform|provider.prv_1.keys.pk_1|https://api.openai.com:443"
    moved = [
        provider_key_context("tenant_1", "prv_1", "pk_1", origin),
        provider_key_context(PLATFORM, "prv_2", "pk_1", origin),
        provider_key_context(PLATFORM, "prv_1", "pk_2", origin),
        provider_key_context(PLATFORM, "prv_1", "pk_1", "http://api.openai.com:80"),
    ]
    assert context not in moved


def test_names_of_a_providers_headers_have_no_case_and_those_of_its_query_have() -> None:
    at = "https://api.openai.com:443"
    assert provider_header_context("t", "p", "X-Org", at) == provider_header_context("t", "p", "x-org", at)
    assert provider_query_context("t", "p", "Org", at) != provider_query_context("t", "p", "org", at)


def test_a_plugin_without_an_endpoint_has_no_origin() -> None:
    assert endpoint_origin({}) == ""


@pytest.mark.parametrize("endpoint", [5, "checks.example", "ftp://checks.example"])
def test_a_bad_endpoint_has_no_context(endpoint: object) -> None:
    with pytest.raises(ValueError, match=r"(?i)must be"):
        endpoint_origin({"endpoint": endpoint})
