"""Log-ins, and a sample of those that fail, are in the audit log."""

import os
from typing import Any

import pytest

from admin_app.auth.failed_logins import MAX_SAMPLES
from shared.core.errors import StoreDown
from shared.secrets.api_keys import mint_key
from tests.admin_app.world import Api, Tenant, World

OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


def log_in(api: Api, key: str) -> int:
    return api.client.post("/ui/session", json={"key": key}, headers=OWN_PAGE).status_code


def events(api: Api) -> list[tuple[str, str, str | None]]:
    entries: list[Any] = api.get("/audit?tenant=platform&limit=200").get_json()["entries"]
    found = [one for one in entries if one["action"] == "event"]
    assert all(one["tenant_id"] is None and one["version"] is None for one in found)
    return [(one["operation"], one["actor"], one["address"]) for one in found]


def test_log_in_to_the_dashboard_is_noted_with_its_caller(api: Api, tenant: Tenant) -> None:
    assert log_in(api, tenant.key) == 204
    [(operation, actor, address)] = events(api)
    assert (operation, actor[:4], address) == ("logIn", "key:", "127.0.0.1")
    [entry] = api.get("/audit?operation=logIn").get_json()["entries"]
    assert (entry["source"], entry["summary"]) == ("ui", "logged in to the dashboard")
    own = api.get("/audit", key=tenant.key).get_json()["entries"]
    assert all(one["operation"] != "logIn" for one in own)


def test_first_failure_of_an_address_in_a_minute_is_noted(api: Api, world: World) -> None:
    for _ in range(3):
        assert api.get("/tenants", key="guess").status_code == 401
    assert events(api) == [("failLogIn", "unknown", "127.0.0.1")]
    world.clock.time += 61
    api.get("/tenants", key="guess")
    assert len(events(api)) == 2


def test_use_of_a_deleted_key_is_noted_once_in_a_minute(api: Api) -> None:
    deleted = mint_key(os.urandom).text
    for _ in range(3):
        assert api.get("/tenants", key=deleted).status_code == 401
    assert events(api) == [("failLogIn", "unknown", "127.0.0.1")]


def test_failures_from_many_addresses_do_not_fill_the_audit_log(api: Api) -> None:
    for number in range(MAX_SAMPLES * 3):
        api.get("/tenants", key="guess", environ_base={"REMOTE_ADDR": f"10.0.0.{number}"})
    assert len(events(api)) == MAX_SAMPLES


def test_log_in_works_while_the_audit_log_cannot_be_written(
    api: Api, tenant: Tenant, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise StoreDown("There is no Redis.")

    monkeypatch.setattr(world.store.tokens, "add_event", fail)
    assert log_in(api, tenant.key) == 204
    assert "This is not in the audit log: logIn" in caplog.text
