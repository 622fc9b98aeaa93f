"""Whether the admin API lives, and whether it can work."""

from unittest.mock import Mock

import pytest

from shared.core.errors import StoreDown
from tests.admin_app.world import Api, World


def get(api: Api, url: str) -> tuple[int, dict[str, object]]:
    response = api.client.get(url)
    return response.status_code, response.get_json()


def test_health_with_a_working_store_is_ok(api: Api) -> None:
    assert get(api, "/livez") == (200, {"status": "ok"})
    for url in ("/readyz", "/health"):
        status, body = get(api, url)
        assert (status, body["status"]) == (200, "ok")
    assert get(api, "/version") == (200, {"name": "ai-gateway", "version": "0.1.0"})


@pytest.mark.parametrize("url", ["/readyz", "/health"])
def test_a_down_part_is_named(api: Api, world: World, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(world.store, "ping", Mock(side_effect=StoreDown("redis at 10.0.0.5")))
    status, body = get(api, url)
    assert (status, body["status"]) == (503, "not ready")
    parts = body["parts"]
    assert isinstance(parts, dict)
    assert parts["store"] == {"ok": False, "detail": "The store is unavailable."}
    assert parts["plugins"]["ok"] is True
    assert get(api, "/livez")[0] == 200
