"""The doctor's findings about its machine and about providers, over HTTP."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from shared.core.errors import OutsideError
from shared.records.keys import ALL
from tests.admin_app.world import Api, OneRecord, SpareRights, Tenant, World


def findings(api: Api) -> Mapping[str, Any]:
    """The findings by their checks."""
    response = api.get("/doctor")
    assert response.status_code == 200, response.text
    return {one["check"]: one for one in response.get_json()["findings"]}


def test_machine_that_is_well_has_nothing_to_fix(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.settings.data_dir.mkdir(0o700, exist_ok=True)
    monkeypatch.setattr("admin_app.doctor.machine.resolve", lambda *_: ["192.0.2.7"])
    found = findings(api)
    for check in ("python", "disk", "files", "dns"):
        assert (found[check]["level"], found[check]["fix"]) == ("ok", None), found[check]


def test_full_disk_open_folder_and_missing_name_are_told(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any) -> None:
        raise OutsideError("The name does not exist.")

    world.settings.data_dir.mkdir(exist_ok=True)
    os.chmod(world.settings.data_dir, 0o755)
    monkeypatch.setattr("admin_app.doctor.machine.resolve", unknown)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    found = findings(api)
    assert found["files"]["fix"] == f"Run: chmod 700 {world.settings.data_dir}"
    assert (found["disk"]["level"], found["dns"]["level"]) == ("warning", "warning")


def test_providers_of_the_platform_are_called_without_cost(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {"name": "a", "secret": "sk-hidden-0123456789"}
    api.create("/providers", {"name": "well", "kind": "openai", "keys": [key]})
    api.create("/providers", {"name": "keyless", "kind": "openai"})
    api.create("/providers", {"name": "unlisted", "kind": "perplexity", "keys": [key]})
    api.create("/providers", {"name": "off", "kind": "openai", "enabled": False})
    world.outside = b'{"data": []}'
    found = findings(api)
    assert [found[f"provider {name}"]["level"] for name in ("well", "keyless", "unlisted")] == [
        "ok",
        "error",
        "ok",
    ]
    assert "provider off" not in found
    assert [method for method, _, _ in world.called] == ["GET"]

    def broken(*_: Any, **__: Any) -> None:
        raise OutsideError("The certificate of the service is not trusted, or is for another name.")

    monkeypatch.setattr(world, "fetch", broken)
    assert findings(api)["provider well"]["detail"].startswith("The certificate of the service")


def test_time_to_the_first_content_is_that_of_calls_that_were_made_anyway(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = api.create(
        "/providers", {"name": "home", "kind": "openai", "keys": [{"secret": "sk-0123456789abcdef"}]}
    )
    world.outside = b'{"data": []}'
    assert findings(api)["provider home"]["detail"].endswith(
        "No call of the last hour tells its time to the first content."
    )
    figures = {f"{made['id']}:4": 90, f"{made['id']}:6": 10, "prv_other:9": 1_000}
    monkeypatch.setattr(OneRecord, "calls", lambda _, owner, minutes: [figures] if owner == ALL else [])
    assert findings(api)["provider home"]["detail"].endswith(
        "Of the calls of the last hour, half began within 256 ms, and 95 % within 625 ms."
    )


@pytest.mark.parametrize(("spare", "level"), [([], "ok"), (["manage users"], "warning")])
def test_rights_in_redis_are_tried_on_another_machine_only(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch, spare: list[str], level: str
) -> None:
    monkeypatch.setattr(SpareRights, "rights", spare)
    assert "redis.rights" not in findings(api)
    redis = replace(world.settings.redis, host="redis.example")
    world.settings = replace(world.settings, redis=redis)
    assert findings(api)["redis.rights"]["level"] == level


def test_findings_are_the_platforms_and_have_no_secret(api: Api, tenant: Tenant) -> None:
    assert api.get("/doctor", key=tenant.key).status_code == 403
    assert api.key is not None
    assert api.key not in api.get("/doctor").text
