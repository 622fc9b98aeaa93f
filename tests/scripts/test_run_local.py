"""`./scripts/run_local.sh`: one command brings everything up, and nothing outlives it."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.scripts.local_gateway import LocalGateway, Started, run_as_printed
from tests.support.cases import slow


@dataclass(frozen=True)
class Ending:
    """How a start ended: the exit code, and the processes that were left (process id -> command)."""

    exit_code: int
    left_behind: dict[int, str]


@dataclass(frozen=True)
class Life:
    """Started, called as printed, stopped by Ctrl-C, started again, asked, and terminated."""

    gateway: LocalGateway
    first: Started
    responses: list[list[str]]
    first_ending: Ending
    second: Started
    subdomains: set[str]
    status_of_old_key: int
    second_ending: Ending


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with LocalGateway(tmp_path_factory.mktemp("local")) as gateway:
        first = gateway.start()
        responses = [run_as_printed(call) for call in first.calls]
        first_ending = Ending(first.press_ctrl_c(), gateway.left_behind())
        second = gateway.start()
        found = subdomains(gateway)
        # With a key that is known, a path without a rule is 404.
        bearer = {"Authorization": f"Bearer {first.key}"}
        old_key = requests.get(f"{gateway.url('proxy')}/nothing", headers=bearer, timeout=10)
        second_ending = Ending(second.stop(signal.SIGTERM), gateway.left_behind())
        yield Life(gateway, first, responses, first_ending, second, found, old_key.status_code, second_ending)


def subdomains(gateway: LocalGateway) -> set[str]:
    response = requests.get(f"{gateway.url('admin')}/api/v1/tenants", timeout=10)
    return {tenant["subdomain"] for tenant in response.json()["tenants"]}


def test_it_says_of_every_part_that_it_is_up_and_where(life: Life) -> None:
    admin, proxy = life.gateway.url("admin"), life.gateway.url("proxy")
    lines = re.findall(r"^ok +(\w+) +(.*)$", life.first.output, re.MULTILINE)
    assert lines == [
        ("store", f"embedded, {life.gateway.folder}/data/valkey.sock"),
        ("demo", f"http://127.0.0.1:{life.gateway.ports['DEMO__PORT']}"),
        ("admin", admin),
        ("proxy", proxy),
    ]
    assert f"API docs  {admin}/docs" in life.first.output
    assert "FAIL" not in life.first.output


def test_the_three_calls_give_201_200_and_429_as_printed(life: Life) -> None:
    promised = re.findall(r"^(\d{3})  \w", life.first.output, re.MULTILINE)
    assert promised == ["201", "200", "429"]
    created, called, rejected = life.responses
    assert created[-2:] == ["201", ""]
    assert json.loads("".join(created[:-2]))["subdomain"] == "testcompany"
    assert called[-2:] == ["200", ""]
    said = json.loads("".join(called[:-2]))["choices"][0]["message"]["content"]
    assert said == "You said: Hello!"
    assert len(rejected) == 6
    assert rejected[0] == "200"
    assert rejected[-2:] == ["429", ""]


def test_ctrl_c_stops_all(life: Life) -> None:
    assert life.first_ending == Ending(0, {})


def test_a_second_start_finds_the_tenants_and_the_key_of_the_first(life: Life) -> None:
    assert life.subdomains == {"demo", "testcompany"}
    assert life.second.key == life.first.key
    assert life.status_of_old_key == 404


def test_a_second_start_prints_calls_that_work_again(life: Life) -> None:
    create, *calls = life.second.calls
    assert '"subdomain": "testcompany2"' in create
    assert calls == life.first.calls[1:]


def test_a_termination_stops_all(life: Life) -> None:
    assert life.second_ending == Ending(0, {})


@pytest.mark.slow
def test_without_the_demo_the_store_stays_empty_and_a_kill_leaves_nothing_behind(tmp_path: Path) -> None:
    with LocalGateway(tmp_path) as gateway:
        started = gateway.start("--no-demo")
        assert "There is no tenant `demo`" in started.output
        assert started.calls == []
        assert subdomains(gateway) == set()
        assert len(gateway.processes()) > 4
        assert started.stop(signal.SIGKILL) == -signal.SIGKILL
        assert gateway.left_behind() == {}


@pytest.mark.parametrize("name", ["server.admin_port", *slow("server.proxy_port", "demo.port")])
def test_a_taken_port_is_told_with_the_setting_that_names_it(name: str, tmp_path: Path) -> None:
    variable = name.upper().replace(".", "__")
    with socket.create_server(("127.0.0.1", 0)) as taken, LocalGateway(tmp_path) as gateway:
        port = taken.getsockname()[1]
        gateway.more = {f"GATEWAY__{variable}": str(port)}
        started = gateway.start()
        assert started.process.wait(10) == 1
    assert started.output == (
        f"Port {port} is in use. Set {name} in config.yaml, or variable GATEWAY__{variable}, to a free port.\n"
    )


def test_a_wrong_setting_is_told_with_its_line_and_what_was_meant(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("server:\n  base_domain: example.com\n  admin_prot: 8080\n")
    with LocalGateway(tmp_path, {"GATEWAY_CONFIG": str(config)}) as gateway:
        started = gateway.start()
        assert started.process.wait(10) == 1
        assert gateway.left_behind() == {}
    assert started.output.startswith("config.yaml:3: ")
    assert "admin_prot" in started.output
    assert "did you mean admin_port" in started.output
    assert "Traceback" not in started.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "command"),
    [("demo", "examples.demo_upstream"), ("admin", "wsgi:app"), ("proxy", "run_proxy.py")],
)
def test_a_part_that_dies_ends_the_rest_and_is_named(part: str, command: str, tmp_path: Path) -> None:
    with LocalGateway(tmp_path) as gateway:
        started = gateway.start("--no-demo")
        of_part = [
            pid for pid, line in gateway.processes().items() if command in line and "sh -c" not in line
        ]
        os.kill(min(of_part), signal.SIGKILL)
        assert started.process.wait(20) == 1
        assert gateway.left_behind() == {}
        assert f"FAIL  {part}" in (tmp_path / "out").read_text()
