"""Whether the admin API lives, and whether it can work."""

from unittest.mock import Mock

import pytest

from shared.core.errors import StoreDown, StoreLost
from tests.admin_app.world import TOKEN, Api, World

READY = ["/__/ready", "/readyz", "/health"]
ELSEWHERE = {"REMOTE_ADDR": "203.0.113.7"}
FINE = {"status": "ok", "parts": {"store": "ok", "plugins": "ok"}}


def get(api: Api, url: str, **more: object) -> tuple[int, dict[str, object]]:
    response = api.client.get(url, **more)
    return response.status_code, response.get_json()


def test_health_with_a_working_store_is_ok(api: Api) -> None:
    for url in ("/__/health", "/livez"):
        assert get(api, url) == (200, {"status": "ok"})
    for url in READY:
        assert get(api, url, environ_base=ELSEWHERE) == (200, FINE)
    assert get(api, "/version") == (200, {"name": "ai-gateway", "version": "0.1.0"})


@pytest.mark.parametrize("url", READY)
def test_readiness_without_the_store_is_503_and_names_it_without_its_address(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(world.store, "ping", Mock(side_effect=StoreDown("redis at 10.0.0.5")))
    parts = {"store": "unavailable", "plugins": "ok"}
    assert get(api, url, environ_base=ELSEWHERE) == (503, {"status": "unavailable", "parts": parts})
    assert get(api, "/__/health")[0] == 200


def test_readiness_on_a_lost_store_says_so_and_keeps_the_machine(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.store, "ping", Mock(side_effect=StoreLost("It is empty.")))
    parts = {"store": "store lost", "plugins": "ok"}
    expected = {"status": "degraded", "parts": parts}
    assert get(api, "/__/ready", environ_base=ELSEWHERE) == (200, expected)


def test_readiness_shows_the_store_to_the_platform_and_on_this_machine_only(api: Api) -> None:
    api.tenant()
    store = {"address": "memory", "mode": "external", "tenants": 1, "faults": {}}
    shown = {**FINE, "store": store}
    platform = {"Authorization": f"Bearer {TOKEN}"}
    assert get(api, "/readyz") == (200, shown)
    assert get(api, "/readyz", environ_base=ELSEWHERE, headers=platform) == (200, shown)
    for headers in (
        {"Host": "evil.example"},
        {"X-Forwarded-For": "203.0.113.7"},
        {"Authorization": "Bearer wrong"},
    ):
        assert get(api, "/readyz", headers=headers) == (200, FINE)


@pytest.mark.parametrize("url", ["/__/health", *READY])
@pytest.mark.parametrize("host", ["evil.example", "", "not a host:x"])
def test_probes_answer_under_any_host(api: Api, url: str, host: str) -> None:
    assert get(api, url, headers={"Host": host})[0] == 200
