"""`./scripts/run_local.sh`: one command brings everything up, and nothing outlives it."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
import requests

from tests.docs.shell_blocks import run_blocks, shell_blocks
from tests.support.cases import slow
from tests.support.gateway import ROOT, START_LIMIT, bare_environment
from tests.support.machine import fill, small_disk
from tests.support.ports import free_port
from tests.support.valkey_server import Server
from tests.support.wait import until

SERVERS = ("SERVER__ADMIN_PORT", "SERVER__PROXY_PORT", "SERVER__WEB_PORT")
DEMOS = ("DEMO__PORT", "DEMO__SECOND_PORT", "DEMO__CONTROL_PORT")
STOP_LIMIT = 20.0  # seconds until all that was started must have ended


@dataclass
class LocalGateway:
    """One start after the other, with one store. All their processes carry `folder` in their environment."""

    folder: Path
    more: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(
        default_factory=lambda: {name: free_port() for name in (*SERVERS, *DEMOS)}
    )
    out: Path | None = None

    def __enter__(self) -> "LocalGateway":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def environment(self) -> dict[str, str]:
        return {
            **bare_environment(self.folder / "data"),
            **{f"GATEWAY__{name}": str(port) for name, port in self.ports.items()},
            **self.more,
        }

    def start(self, *arguments: str) -> "Started":
        """Start the script, and return when it says that all is up or has ended."""
        out = self.out or self.folder / "out"
        with out.open("wb") as output:
            process = subprocess.Popen(
                ["./scripts/run_local.sh", *arguments],
                cwd=ROOT,
                env=self.environment(),
                stdout=output,
                stderr=output,
                start_new_session=True,  # as a terminal's foreground job, which Ctrl-C ends as a group
            )
        for _ in until(START_LIMIT):
            if "Ctrl-C stops everything." in out.read_text() or process.poll() is not None:
                return Started(process, out.read_text())
        raise AssertionError(f"It did not come up:\n{out.read_text()}")

    def url(self, part: str) -> str:
        return f"http://localhost:{self.ports[f'SERVER__{part.upper()}_PORT']}"

    def processes(self) -> dict[int, str]:
        """The processes that run for this gateway: process id -> command."""
        marker = f"GATEWAY__DATA_DIR={self.folder / 'data'}\0".encode()
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if marker in (process / "environ").read_bytes():
                    command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(process.name)] = command
            except OSError:
                continue  # it has just ended, or is another user's
        return found

    def left_behind(self) -> dict[int, str]:
        """The processes that still run when all had time to end."""
        for _ in until(STOP_LIMIT):
            if not self.processes():
                break
        return self.processes()


@dataclass
class Started:
    """A script that is up, or has ended by itself, and what it has printed."""

    process: subprocess.Popen[bytes]
    output: str

    @property
    def calls(self) -> Sequence[str]:
        """The curl lines."""
        return re.findall(r"^curl .*", self.output, re.MULTILINE)

    @property
    def key(self) -> str:
        """The API key that is shown."""
        return re.findall(r"gwk_\w+", self.output)[0]

    def press_ctrl_c(self) -> int:
        """As a terminal does. Returns the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(STOP_LIMIT)

    def stop(self, how: signal.Signals) -> int:
        """Send the signal to the script alone. Returns the exit code."""
        self.process.send_signal(how)
        return self.process.wait(STOP_LIMIT)


def run_as_printed(call: str) -> list[str]:
    """The lines that a call prints in a shell."""
    return subprocess.run(["bash", "-c", call], capture_output=True, text=True, timeout=30).stdout.split("\n")


Ending = tuple[int, dict[int, str]]  # the exit code, and the processes that were left (id -> command)


@dataclass(frozen=True)
class Life:
    """Started, called as printed, and stopped by Ctrl-C."""

    gateway: LocalGateway
    first: Started
    responses: list[list[str]]
    ending: Ending


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with LocalGateway(tmp_path_factory.mktemp("local")) as gateway:
        first = gateway.start()
        responses = [run_as_printed(call) for call in first.calls]
        yield Life(gateway, first, responses, (first.press_ctrl_c(), gateway.left_behind()))


def subdomains(gateway: LocalGateway) -> set[str]:
    response = requests.get(f"{gateway.url('admin')}/api/v1/tenants", timeout=10)
    return {tenant["subdomain"] for tenant in response.json()["tenants"]}


def test_run_local_prints_that_every_part_is_up_and_where(life: Life) -> None:
    admin, proxy = life.gateway.url("admin"), life.gateway.url("proxy")
    demo, second, control = (life.gateway.ports[name] for name in DEMOS)
    lines = re.findall(r"^ok +(\w+) +(.*)$", life.first.output, re.MULTILINE)
    assert lines == [
        ("store", f"embedded, {life.gateway.folder}/data/valkey.sock, 0 tenants"),
        ("demo", f"http://127.0.0.1:{demo}"),
        ("demo2", f"http://127.0.0.1:{second}, made to fail by http://127.0.0.1:{control}/control"),
        ("admin", admin),
        ("proxy", proxy),
    ]
    assert f"Dashboard {admin}/ui/\nAPI docs  {admin}/docs" in life.first.output
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
    assert life.ending == (0, {})


@pytest.mark.slow
def test_a_second_start_finds_tenants_and_key_and_prints_calls_that_work_until_a_termination(
    life: Life,
) -> None:
    gateway, second = life.gateway, life.gateway.start()
    assert subdomains(gateway) == {"demo", "testcompany"}
    assert second.key == life.first.key
    # With a key that is known, a path without a rule is 404.
    bearer = {"Authorization": f"Bearer {second.key}"}
    assert requests.get(f"{gateway.url('proxy')}/nothing", headers=bearer, timeout=10).status_code == 404
    create, *calls = second.calls
    assert '"subdomain": "testcompany2"' in create
    assert calls == life.first.calls[1:]
    assert (second.stop(signal.SIGTERM), gateway.left_behind()) == (0, {})


@pytest.mark.slow
def test_start_without_the_demo_creates_no_tenant_and_a_kill_leaves_nothing(tmp_path: Path) -> None:
    with LocalGateway(tmp_path) as gateway:
        started = gateway.start("--no-demo")
        assert "There is no tenant `demo`" in started.output
        assert started.calls == []
        assert subdomains(gateway) == set()
        assert len(gateway.processes()) > 4
        assert started.stop(signal.SIGKILL) == -signal.SIGKILL
        assert gateway.left_behind() == {}


@pytest.mark.slow
def test_proxy_behind_a_balancer_that_names_clients_becomes_ready(tmp_path: Path) -> None:
    more = {
        "GATEWAY__SERVER__PROXY_PROTOCOL": "v2",
        "GATEWAY__TRUSTED_PROXIES": "127.0.0.1",
    }
    with LocalGateway(tmp_path, more) as gateway:
        started = gateway.start()
        assert f"ok    proxy   {gateway.url('proxy')}\n" in started.output
        assert "Call the proxy through its load balancer" in started.output
        assert started.calls == []
        assert subdomains(gateway) == {"demo"}
        assert started.stop(signal.SIGTERM) == 0


@pytest.mark.slow
@pytest.mark.parametrize("readme_first", [False, True], ids=["printed lines first", "README first"])
def test_printed_lines_and_the_readme_work_in_either_order(readme_first: bool, tmp_path: Path) -> None:
    readme = shell_blocks((ROOT / "README.md").read_text())
    with LocalGateway(tmp_path) as gateway:
        started = gateway.start()
        written = {"SERVER__ADMIN_PORT": 8080, "SERVER__PROXY_PORT": 8081, "DEMO__PORT": 8082}
        ports = {f":{port}": f":{gateway.ports[name]}" for name, port in written.items()}
        if readme_first:
            run_blocks(readme, ports, folder=ROOT, env=gateway.environment())
        statuses = [run_as_printed(call)[-2] for call in started.calls]
        if not readme_first:
            run_blocks(readme, ports, folder=ROOT, env=gateway.environment())
        started.stop(signal.SIGTERM)
    assert statuses == ["201", "200", "429"]


@pytest.mark.parametrize(
    "name",
    ["server.admin_port", *slow("server.proxy_port", "demo.port", "demo.second_port", "demo.control_port")],
)
def test_port_in_use_is_reported_with_the_setting_to_change(name: str, tmp_path: Path) -> None:
    variable = name.upper().replace(".", "__")
    with socket.create_server(("127.0.0.1", 0)) as taken, LocalGateway(tmp_path) as gateway:
        port = taken.getsockname()[1]
        gateway.more = {f"GATEWAY__{variable}": str(port)}
        started = gateway.start()
        assert started.process.wait(10) == 78
    assert started.output == (
        f"run_local.sh: Cannot listen on 127.0.0.1:{port}: Address already in use. Set {name} "
        f"(GATEWAY__{variable}) to a free port.\n"
    )


def test_unknown_setting_is_reported_with_its_line_and_a_suggestion(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("server:\n  base_domain: example.com\n  admin_prot: 8080\n")
    with LocalGateway(tmp_path, {"GATEWAY_CONFIG": str(config)}) as gateway:
        started = gateway.start()
        assert started.process.wait(10) == 78
        assert gateway.left_behind() == {}
    assert started.output.startswith("config.yaml:3: ")
    assert "admin_prot" in started.output
    assert "did you mean admin_port" in started.output
    assert "Traceback" not in started.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "command"),
    [
        ("demo", "examples.demo_upstream"),
        ("demo2", "--control-port"),
        ("admin", "wsgi:app"),
        ("proxy", "run_proxy.py"),
    ],
)
def test_a_part_that_dies_ends_the_rest_and_is_named(part: str, command: str, tmp_path: Path) -> None:
    with LocalGateway(tmp_path) as gateway:
        started = gateway.start("--no-demo")
        running = gateway.processes().items()
        os.kill(min(pid for pid, line in running if command in line and "sh -c" not in line), signal.SIGKILL)
        assert started.process.wait(20) == 1
        assert gateway.left_behind() == {}
        assert f"FAIL  {part}" in (tmp_path / "out").read_text()


@pytest.mark.slow
def test_external_redis_that_is_down_is_reported_with_cause_and_way_out(tmp_path: Path) -> None:
    more = {"GATEWAY__REDIS__MODE": "external", "GATEWAY__REDIS__PORT": str(free_port())}
    with LocalGateway(tmp_path, more) as gateway:
        with ThreadPoolExecutor(1) as pool:
            starting = pool.submit(gateway.start)
            out = tmp_path / "out"
            assert any("wait  store" in out.read_text() for _ in until(START_LIMIT) if out.exists())
            told = time.monotonic()
            started = starting.result()
        assert started.process.wait(10) == 78
        assert time.monotonic() - told < 5
        assert gateway.left_behind() == {}
    store = f"Redis at localhost:{more['GATEWAY__REDIS__PORT']} does not respond"
    assert started.output.splitlines() == [
        f"wait  store   {store} yet: Connection refused",
        f"FAIL  store   {store}: Connection refused. Start it, or set redis.host and redis.port (or redis.url) "
        "to one that runs.",
    ]


def test_redis_with_another_password_is_reported_at_once(tmp_path: Path, running: Server) -> None:
    with redis.Redis(unix_socket_path=running.socket) as client:
        client.config_set("requirepass", "right")
    more = {"GATEWAY__REDIS__MODE": "external", "GATEWAY__REDIS__URL": f"unix://:wrong@{running.socket}"}
    with LocalGateway(tmp_path, more) as gateway:
        started = gateway.start()
        assert started.process.wait(10) == 78
    assert started.output.startswith(f"FAIL  store   Redis at {running.socket} rejects the password: ")
    assert "redis.password" in started.output
    assert started.output.count("\n") == 1


@pytest.mark.slow
def test_redis_that_starts_late_is_waited_for_and_an_unused_store_is_told(
    tmp_path: Path, running: Server
) -> None:
    (tmp_path / "data" / "appendonlydir").mkdir(parents=True)
    late = tmp_path / "late.sock"
    more = {"GATEWAY__REDIS__MODE": "external", "GATEWAY__REDIS__URL": f"unix://{late}"}
    with LocalGateway(tmp_path, more) as gateway:
        with ThreadPoolExecutor(1) as pool:
            starting = pool.submit(gateway.start, "--no-demo")
            out = tmp_path / "out"
            assert any("wait  store" in out.read_text() for _ in until(START_LIMIT) if out.exists())
            late.symlink_to(running.socket)
            started = starting.result()
        assert f"ok    store   external Redis at {late}, 0 tenants\n" in started.output
        assert f"WARN  store   {tmp_path}/data holds an embedded store that is not used" in started.output
        assert started.press_ctrl_c() == 0


@pytest.mark.slow
def test_full_disk_is_reported_with_the_setting(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, LocalGateway(disk) as gateway:
        fill(disk)
        gateway.out = tmp_path / "out"
        started = gateway.start()
        assert started.process.wait(10) == 78
    assert started.output.startswith(f"FAIL  store   {disk}/data")
    assert "data_dir" in started.output
    assert started.output.count("\n") == 1
