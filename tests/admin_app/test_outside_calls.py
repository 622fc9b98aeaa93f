"""Calls of addresses of tenants leave threads for other requests."""

from typing import Any

import pytest

from admin_app.auth.outside_calls import MAX_OF_ALL, MAX_OF_TENANT
from shared.net.port import FetchRequest, FetchResponse
from tests.admin_app.world import Api, Tenant, World, error_of

WEBHOOK = {
    "name": "ops",
    "url": "https://hooks.test/gateway",
    "events": ["budget.reached"],
    "secret": "at-least-16-characters",
}
PROVIDER = {"name": "main", "kind": "custom", "base_url": "https://models.test/v1", "apis": ["openai.chat"]}


class Slow:
    """Addresses of tenants: while one is called, so are the others in `begins`."""

    def __init__(self, api: Api, begins: list[str]) -> None:
        self.api, self.begins = api, begins
        self.results: list[tuple[int, str | None]] = []

    def __call__(self, request: FetchRequest, **_: Any) -> FetchResponse:
        if self.begins:
            self.test(self.begins.pop(0))
        return FetchResponse(200, {}, b"{}")

    def test(self, url: str) -> None:
        found = self.api.post(url, {})
        self.results.append(error_of(found) if found.status_code != 200 else (200, None))


def addresses_of(api: Api, tenant: Tenant) -> list[str]:
    """The operations that call an address of a tenant."""
    webhook = api.create(f"{tenant.url}/webhooks", WEBHOOK)
    provider = api.create(f"{tenant.url}/providers", PROVIDER | {"auth": {"type": "none"}})
    return [f"{tenant.url}/webhooks/{webhook['id']}/test", f"{tenant.url}/providers/{provider['id']}/test"]


def begun(api: Api, world: World, monkeypatch: pytest.MonkeyPatch, urls: list[str]) -> list[Any]:
    """The results of tests that run at the same time; the last one begins last."""
    slow = Slow(api, urls)
    monkeypatch.setattr(world, "fetch", slow)
    slow.test(slow.begins.pop(0))
    return slow.results[::-1]


REJECTED = (429, "too_many_tests")


def test_a_tenant_has_few_tests_at_a_time(
    api: Api, world: World, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_webhook, of_provider = addresses_of(api, tenant)
    results = begun(api, world, monkeypatch, [of_webhook] * MAX_OF_TENANT + [of_provider])
    assert results == [(200, None)] * MAX_OF_TENANT + [REJECTED]
    assert api.post(of_webhook, {}).get_json()["ok"]


def test_all_tenants_have_few_tests_at_a_time_and_the_platform_any_number(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = [addresses_of(api, api.tenant(f"t{number}"))[0] for number in range(MAX_OF_ALL + 1)]
    platforms = api.create("/webhooks", WEBHOOK)
    results = begun(api, world, monkeypatch, [f"/webhooks/{platforms['id']}/test", *tests])
    assert results == [(200, None)] * (1 + MAX_OF_ALL) + [REJECTED]
