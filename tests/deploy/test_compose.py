"""docker-compose.yaml starts what the tests start."""

import os
from pathlib import Path

import pytest
import requests

from shared.settings import load_settings
from tests.deploy.conftest import SERVICES, composed, on_loopback, prepare
from tests.support.commands import run_command
from tests.support.gateway import ROOT
from tests.support.valkey_server import install


def test_redis_alone_starts_without_a_profile() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["redis"]
    assert SERVICES["redis"]["ports"] == ["127.0.0.1:6379:6379"]
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_admin_and_proxy_share_image_settings_and_secrets() -> None:
    admin, proxy, first = SERVICES["admin"], SERVICES["proxy"], SERVICES["prepare"]
    for name in ("build", "environment", "volumes"):
        assert admin[name] == proxy[name] == first[name]
    assert admin["command"] == ["gunicorn", "wsgi:app"]
    assert proxy["command"] == ["python", "run_proxy.py"]
    assert admin["environment"]["GATEWAY__REDIS__MODE"] == "external"


def test_operators_mount_their_config_and_plugins() -> None:
    volumes = SERVICES["admin"]["volumes"]
    assert "./config.yaml:/app/config.yaml:ro" in volumes
    assert f"./plugins:{SERVICES['admin']['environment']['GATEWAY__PLUGINS__PATHS']}:ro" in volumes


def test_open_exchanges_may_end_before_the_proxy_is_killed() -> None:
    proxy, drain = SERVICES["proxy"], load_settings(environ={}).server.drain_timeout
    assert int(proxy["stop_grace_period"].removesuffix("s")) >= drain + 10
    assert proxy["init"] is True


@pytest.mark.parametrize("host", ["proxy:8081", "gateway:8081", "host.docker.internal:8081", "localhost"])
def test_names_of_containers_are_shared_hosts(host: str) -> None:
    environment = {
        name: str(value) for name, value in SERVICES["proxy"]["environment"].items() if "HOSTS" in name
    }
    assert host.partition(":")[0] in load_settings(environ=environment).server.shared_hosts


@pytest.mark.slow
@pytest.mark.parametrize("token", ["", "a-token"])
def test_compose_file_is_valid_for_docker_compose_of_debian(token: str) -> None:
    command = (install("docker-compose"), "-f", ROOT / "docker-compose.yaml", "--profile", "gateway")
    ended = run_command(*command, "config", "-q", env={**os.environ, "GATEWAY_ADMIN_TOKEN": token})
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("program", ["admin", "proxy"])
def test_empty_token_is_refused_in_one_sentence(tmp_path: Path, redis_port: int, program: str) -> None:
    command = SERVICES[program]["command"]
    gateway = composed(tmp_path / "data", redis_port, token="")
    ended = run_command(*command, env=gateway.environment())
    assert ended.returncode == 78
    assert ended.stderr.count("\n") == 1
    assert "set admin.token (GATEWAY_ADMIN_TOKEN)" in ended.stderr


@pytest.mark.slow
def test_programs_are_not_started_without_a_token(tmp_path: Path, redis_port: int) -> None:
    for name in ("admin", "proxy"):
        assert SERVICES[name]["depends_on"]["prepare"] == {"condition": "service_completed_successfully"}
    folder = tmp_path / "data"
    folder.mkdir()
    ended = prepare(composed(folder, redis_port, token=""))
    assert ended.returncode == 78
    assert ended.stderr.count("\n") == 1
    assert "set admin.token (GATEWAY_ADMIN_TOKEN)" in ended.stderr
    assert prepare(composed(folder, redis_port)).returncode == 0


@pytest.mark.slow
def test_health_checks_tell_a_program_that_serves_from_one_that_does_not(
    tmp_path: Path, redis_port: int
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    gateway = on_loopback(composed(folder, redis_port))
    assert prepare(gateway).returncode == 0

    def check(program: str) -> int:
        kind, *command = SERVICES[program]["healthcheck"]["test"]
        assert kind == "CMD"
        return run_command(*command, env=gateway.environment()).returncode

    with gateway:
        assert requests.get(f"{gateway.admin}/api/v1/tenants", timeout=10).status_code == 401
        assert gateway.call("GET", "/tenants").status_code == 200
        assert [check("admin"), check("proxy")] == [0, 0]
    assert [check("admin"), check("proxy")] == [1, 1]
