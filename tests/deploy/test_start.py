"""A start that cannot succeed ends both programs with one sentence, which names the setting, and code 78."""

import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.deploy.conftest import composed, prepare
from tests.support.certificates import Authority
from tests.support.commands import run_command
from tests.support.gateway import ROOT, bare_environment
from tests.support.machine import as_arbitrary_user, fill, small_disk
from tests.support.ports import free_port

ADMIN, PROXY = ("-m", "gunicorn", "wsgi:app"), ("run_proxy.py",)
BOTH = pytest.mark.parametrize("program", [ADMIN, PROXY], ids=["admin", "proxy"])
pytestmark = pytest.mark.slow


def start(
    folder: Path, program: tuple[str, ...], settings: Mapping[str, object], *prefix: str
) -> subprocess.CompletedProcess[str]:
    """Start a program with settings by their names in config.yaml, and wait for its end."""
    ports = {"server.admin_port": free_port(), "server.proxy_port": free_port()}
    changed = {"data_dir": folder / "data", "server.workers": 1, **ports, **settings}
    variables = {f"GATEWAY__{name.upper().replace('.', '__')}": str(value) for name, value in changed.items()}
    environment = {**bare_environment(folder / "data"), **variables}
    return run_command(*prefix, sys.executable, *program, env=environment, timeout=60)


def assert_refused(ended: subprocess.CompletedProcess[str], setting: str, *texts: object) -> None:
    """Assert that there is one sentence or two on standard error, with these texts, and no traceback."""
    assert ended.returncode == 78, ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr + ended.stdout
    lines = [line for line in ended.stderr.splitlines() if "gunicorn" not in line]
    assert len(lines) == 1, ended.stderr
    for text in (setting, *texts):
        assert str(text) in lines[0]
    assert lines[0].endswith((".", ")", "?")) or ": " in lines[0]


@BOTH
@pytest.mark.parametrize(
    ("settings", "name", "texts"),
    [
        ({"security.ca_file": "/none/ca.pem"}, "security.ca_file", ["/none/ca.pem", "No such file"]),
        ({"security.ca_file": ROOT / "README.md"}, "security.ca_file", ["README.md", "PEM"]),
        ({"security.pepper_file": "/none/pepper"}, "security.pepper_file", ["/none/pepper"]),
        ({"security.key_file": ROOT / "README.md"}, "security.key_file", ["README.md"]),
        ({"security.key_file": ROOT}, "security.key_file", [ROOT, "Is a directory"]),
        ({"plugins.paths": "/none/plugins"}, "plugins.paths", ["/none/plugins"]),
        ({"plugins.paths": ROOT / "tests" / "core"}, "plugins.paths", ["tests/core/"]),
        ({"redis.url": "redis://localhost:port"}, "redis.url", ["port"]),
        ({"redis.url": "redis://localhost?tiemout=3"}, "redis.url", ["tiemout"]),
        ({"data_dir": ROOT / "README.md"}, "data_dir", ["README.md"]),
        ({"server.admin_host": "no such host"}, "server.admin_host", []),
        ({"server.shared_hosts": "gateway:8081"}, "server.shared_hosts", ["without scheme and port"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_setting_that_cannot_be_used_ends_the_start(
    tmp_path: Path,
    program: tuple[str, ...],
    settings: Mapping[str, object],
    name: str,
    texts: list[object],
) -> None:
    assert_refused(start(tmp_path, program, settings), name, *texts)


@BOTH
def test_config_file_that_is_missing_ends_the_start(tmp_path: Path, program: tuple[str, ...]) -> None:
    environment = {**bare_environment(tmp_path), "GATEWAY_CONFIG": "/none/config.yaml"}
    assert_refused(run_command(sys.executable, *program, env=environment), "/none/config.yaml")


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "2001:db8::1::"])
@pytest.mark.parametrize("engine", ["express", "mitmproxy"])
def test_proxy_that_cannot_listen_names_its_host(tmp_path: Path, host: str, engine: str) -> None:
    ended = start(tmp_path, PROXY, {"server.proxy_host": host, "server.engine": engine})
    assert_refused(ended, "server.proxy_host", host, "an address of this machine")
    assert "server.proxy_port" not in ended.stderr


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_admin_api_that_cannot_listen_names_its_host(tmp_path: Path, host: str) -> None:
    settings = {"server.admin_host": host, "admin.token": "a-token"}
    assert_refused(start(tmp_path, ADMIN, settings), "server.admin_host", host)


@pytest.mark.parametrize(
    ("program", "setting"),
    [
        (ADMIN, "server.admin_port"),
        (PROXY, "server.proxy_port"),
        ((*PROXY, "--web"), "server.web_port"),
        (ADMIN, "metrics.admin_api_port"),
        (PROXY, "metrics.port"),
        ((*PROXY, "--engine", "mitmproxy"), "metrics.port"),
    ],
    ids=["admin", "proxy", "mitmweb", "metrics of admin", "metrics", "metrics on mitmproxy"],
)
def test_port_in_use_names_its_setting(tmp_path: Path, program: tuple[str, ...], setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_refused(start(tmp_path, program, {setting: port}), setting, port, "free port")


class TestTls:
    @pytest.fixture
    def files(self, tmp_path: Path) -> dict[str, Path]:
        """A certificate with its key, the key of another one, a key with a password, and a text."""
        authority = Authority(tmp_path)
        for name in ("one.example", "other.example"):
            authority.server_context(name)
        key = ec.generate_private_key(ec.SECP256R1())
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
        (tmp_path / "locked.pem").write_bytes(secret)
        broken = (tmp_path / "one.example.pem").read_text().replace("M", "N")
        (tmp_path / "broken.pem").write_text(broken)
        return {
            "pair": tmp_path / "one.example.pem",
            "other": tmp_path / "other.example.pem",
            "locked": tmp_path / "locked.pem",
            "authority": authority.file,
            "broken": tmp_path / "broken.pem",
            "text": ROOT / "README.md",
            "folder": tmp_path,
            "missing": tmp_path / "none.pem",
        }

    @pytest.mark.parametrize(
        ("cert", "key", "setting", "told"),
        [
            ("missing", "pair", "server.tls.cert", "No such file"),
            ("pair", "missing", "server.tls.key", "No such file"),
            ("folder", "pair", "server.tls.cert", "Is a directory"),
            ("text", "pair", "server.tls.cert", "no certificate"),
            ("pair", "text", "server.tls.key", "no private key"),
            ("pair", "authority", "server.tls.key", "no private key"),
            ("pair", "locked", "server.tls.key", "password"),
            ("pair", "other", "server.tls.key", "is not the key"),
            ("broken", "pair", "server.tls.cert", "cannot be used"),
        ],
    )
    def test_tls_files_that_cannot_be_used_end_the_start(
        self, tmp_path: Path, files: dict[str, Path], cert: str, key: str, setting: str, told: str
    ) -> None:
        named = {"server.tls.cert": files[cert], "server.tls.key": files[key]}
        path = files[key if setting.endswith("key") else cert]
        assert_refused(start(tmp_path, PROXY, named), setting, path, told)

    def test_admin_api_does_not_need_the_files_of_the_proxy(self, tmp_path: Path) -> None:
        named = {"server.tls.cert": "/none/a", "server.tls.key": "/none/b", "plugins.paths": "/none/plugins"}
        assert_refused(start(tmp_path, ADMIN, named), "plugins.paths")


class TestTheDisk:
    @BOTH
    def test_data_dir_of_another_user_ends_the_start(self, shelf: Path, program: tuple[str, ...]) -> None:
        data = shelf / "data"
        data.mkdir(mode=0o500)
        ended = start(shelf, program, {}, *as_arbitrary_user())
        assert_refused(ended, "data_dir", data, "Permission denied", "GATEWAY__DATA_DIR")

    @pytest.mark.parametrize("engine", ["express", "mitmproxy"])
    def test_data_dir_that_only_the_proxy_needs_ends_its_start(
        self, shelf: Path, redis_port: int, engine: str
    ) -> None:
        secrets = composed(shelf, redis_port)
        assert prepare(secrets).returncode == 0
        settings = {
            "redis.mode": "external",
            "redis.port": redis_port,
            "security.pepper_file": shelf / "pepper",
            "security.key_file": shelf / "encryption-key",
            "server.engine": engine,
        }
        for name in ("pepper", "encryption-key"):  # as Kubernetes mounts them
            (shelf / name).chmod(0o440)
        (shelf / "data").mkdir(mode=0o500)
        ended = start(shelf, PROXY, settings, *as_arbitrary_user())
        assert_refused(ended, "data_dir", shelf / "data", "Permission denied")

    @BOTH
    def test_first_start_on_a_full_disk_ends_it(self, tmp_path: Path, program: tuple[str, ...]) -> None:
        with small_disk(tmp_path / "disk") as disk:
            fill(disk)
            assert_refused(start(tmp_path, program, {"data_dir": disk / "data"}), "data_dir", disk)
