"""The doctor's findings about settings and about the status of the platform."""

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from admin_app.doctor.findings import Finding, of_replicas, of_rights, of_settings, of_status
from shared.config_store.identity import StoreState
from shared.redis_client.server import Server
from shared.settings import Settings, load_settings
from shared.workers.heartbeat import Heartbeat, Plane
from shared.workers.status import Status
from shared.workers.store import Fleet
from tests.workers.heartbeats import NOW, beat

WELL = {"redis_version": "7.2.4", "aof_enabled": 1, "server_time_usec": NOW * 1e6}


def settings(folder: Path, **flags: Any) -> Settings:
    named = {name.replace("__", "."): value for name, value in flags.items()}
    return load_settings(folder / "none.yaml", environ={"GATEWAY_CONFIG": ""}, flags=named)


def status(*heartbeats: Heartbeat, info: Any = WELL, round_trip: float = 0.0002, faults: int = 0) -> Status:
    return Status(
        state=StoreState(id="abc", generation=1, revision=7, pepper="p", keys=("k",)),
        tenants=1,
        faults=faults,
        server=None if info is None else Server.parse(info),
        round_trip=round_trip,
        fleet=Fleet(len(heartbeats), heartbeats),
        leads=[],
    )


def levels(findings: Any) -> dict[str, str]:
    """The level of each check. Each check that is not well has a fix, and no other one has."""
    found: list[Finding] = [*findings]
    assert [one for one in found if (one.level == "ok") is not (one.fix is None)] == []
    return {one.check: one.level.value for one in found}


@pytest.fixture
def plain(tmp_path: Path) -> Settings:
    (tmp_path / "none.yaml").write_text("")
    return settings(tmp_path)


def test_defaults_are_safe_on_one_machine_but_for_a_key_and_copies_of_secrets(plain: Settings) -> None:
    found = levels(of_settings(plain))
    assert {check for check, level in found.items() if level != "ok"} == {"admin.token", "secrets"}
    assert "error" not in found.values()


def test_settings_that_open_the_gateway_are_told(plain: Settings, tmp_path: Path) -> None:
    server = replace(plain.server, admin_host=("0.0.0.0",), proxy_host=("0.0.0.0",))
    security = replace(plain.security, allowed_target_networks=(ip_network("10.0.0.0/8"),))
    redis = replace(plain.redis, host="redis.example")
    opened = replace(plain, server=server, security=security, redis=redis)
    found = levels(of_settings(opened))
    assert found["proxy.tls"] == found["redis.access"] == "error"
    assert found["admin.listen"] == found["targets"] == "warning"
    everyone = replace(opened, trusted_proxies=(ip_network("0.0.0.0/0"),))
    assert levels(of_settings(everyone))["proxy.clients"] == "error"


@pytest.mark.parametrize(
    ("url", "access", "user"),
    [
        ("redis://u:p@redis.example", "warning", "ok"),
        ("rediss://u:p@redis.example", "ok", "ok"),
        ("rediss://:p@redis.example", "ok", "warning"),
        ("rediss://default:p@redis.example", "ok", "warning"),
        ("rediss://redis.example", "error", "warning"),
        ("rediss://u@redis.example", "error", "ok"),
    ],
)
def test_redis_elsewhere_needs_a_user_a_password_and_tls(
    plain: Settings, url: str, access: str, user: str
) -> None:
    found = levels(of_settings(replace(plain, redis=replace(plain.redis, url=url))))
    assert (found["redis.access"], found["redis.user"]) == (access, user)


def test_redis_elsewhere_has_a_user_by_the_settings(plain: Settings) -> None:
    redis = replace(plain.redis, host="redis.example", password="p")
    for name, level in (("", "warning"), ("default", "warning"), ("gateway-admin", "ok")):
        found = levels(of_settings(replace(plain, redis=replace(redis, username=name))))
        assert found["redis.user"] == level


def test_rights_that_the_gateway_does_not_need_are_told() -> None:
    assert levels(of_rights([])) == {"redis.rights": "ok"}
    [found] = of_rights(["manage users", "run any script"])
    assert (found.level, "manage users, run any script" in found.detail) == ("warning", True)
    assert "deploy/redis/users.acl" in (found.fix or "")


def test_platform_that_is_well_has_nothing_to_fix() -> None:
    found = levels(of_status(status(beat(current=NOW)), NOW))
    assert set(found.values()) == {"ok"}
    assert {"redis.latency", "redis.state", "clock", "workers"} <= found.keys()


def test_slow_full_or_forgetful_redis_is_told() -> None:
    full = {"maxmemory": 100, "used_memory": 99, "maxmemory_policy": "allkeys-lru", "server_time_usec": 0}
    found = levels(of_status(status(beat(current=NOW), info=full, round_trip=0.02, faults=2), NOW))
    assert {check for check, level in found.items() if level == "warning"} == {
        *("redis.latency", "redis.memory.policy", "redis.memory.used_bytes", "redis.persistence", "clock")
    }
    assert found["store.faults"] == "error"
    assert levels(of_status(status(info=None), NOW))["redis.info"] == "warning"


def test_workers_in_trouble_and_of_other_versions_are_told() -> None:
    late = beat(id="late", machine="proxy-2", revision=4, current=NOW - 60, version="0.9")
    alone = beat(id="alone", current=NOW, trouble={"limits": "unavailable"})
    found = levels(of_status(status(late, alone), NOW))
    assert found["workers.behind"] == found["workers.degraded"] == "error"
    assert found["versions"] == "warning"


def test_fleet_without_a_proxy_is_told() -> None:
    assert levels(of_status(status(beat(plane=Plane.ADMIN, current=NOW)), NOW))["workers"] == "error"


@pytest.mark.parametrize(
    ("mode", "wanted", "have", "level"),
    [
        ("auto", 0, 0, None),
        ("sentinel", 0, 2, "warning"),
        ("sentinel", 1, 0, "error"),
        ("sentinel", 1, 1, "warning"),
        ("sentinel", 1, 2, "ok"),
    ],
)
def test_replicas_are_compared_with_the_setting(
    plain: Settings, mode: str, wanted: int, have: int, level: str | None
) -> None:
    redis = replace(plain.redis, mode=mode, min_replicas=wanted)
    found = levels(of_replicas(redis, Server.parse({**WELL, "connected_slaves": have})))
    assert found == ({} if level is None else {"redis.replicas": level})
