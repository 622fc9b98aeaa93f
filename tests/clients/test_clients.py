"""The clients of developers, unmodified: SDKs, HTTP clients, and proxies in front of the gateway.

Each client chats, streams, uploads 100 MB, and sees 413 and 429 as such. `programs/` has the clients.
"""

import json
import os
import re
import shutil
import subprocess
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.upstream import ClientsUpstream
from tests.support.commands import ROOT, serving
from tests.support.gateway import RunningGateway
from tests.support.packages import need_command
from tests.support.ports import free_port
from tests.support.wait import until

pytestmark = pytest.mark.slow

PROGRAMS = Path(__file__).parent / "programs"
MB = 1024 * 1024
UPLOAD, LIMIT, TOO_LARGE = 100 * MB, 110 * MB, 130 * MB
SAID = "You said: Hello!"
#: The output of every HTTP client.
SEEN = {"chat": True, "stream": SAID, "upload": str(UPLOAD), "too_large": 413, "limited": 429}
#: The output of every SDK.
SDK = {"chat": SAID, "stream": SAID, "limited": 429}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a client: the gateway's URL, a key, and how much to upload."""
    settings = {"GATEWAY__LIMITS__REQUEST_BODY": f"{LIMIT // MB}MB"}
    with (
        serving(ClientsUpstream(0)) as port,
        RunningGateway(tmp_path_factory.mktemp("clients") / "data", settings) as gateway,
    ):
        tenant = gateway.create_tenant()
        limit = {"name": "rate_limiter", "settings": {"limit": 0, "window": "1m"}}
        target = f"http://127.0.0.1:{port}"
        tenant.create_rule("/", target)
        tenant.create_rule("/limited", target, strip_path=True, plugin_chain=[limit])
        yield {
            **os.environ,
            "GATEWAY_URL": gateway.proxy,
            "GATEWAY_KEY": tenant.key,
            "UPLOAD_BYTES": str(UPLOAD),
            "TOO_LARGE_BYTES": str(TOO_LARGE),
        }


def printed(command: Sequence[object], environment: Mapping[str, str], folder: Path = PROGRAMS) -> Any:
    """The document that a client prints."""
    ended = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client in Go, built."""
    compiler = need_command("go", "golang-go")
    program = tmp_path_factory.mktemp("go") / "client"
    build = {**os.environ, "GOCACHE": str(program.parent / "cache"), "GOFLAGS": "-mod=mod"}
    subprocess.run([compiler, "build", "-o", program, "main.go"], cwd=PROGRAMS / "go", env=build, check=True)
    return program


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the clients in JavaScript and their packages."""
    need_command("node", "nodejs")
    npm = need_command("npm", "npm")
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(PROGRAMS / "node", folder, dirs_exist_ok=True)
    subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return folder


def test_go_sees_streams_uploads_413_and_429(go: Path, environment: dict[str, str]) -> None:
    assert printed([go], environment) == SEEN


def test_java_sees_streams_uploads_413_and_429(environment: dict[str, str]) -> None:
    need_command("javac", "default-jdk-headless")
    assert printed(["java", "Client.java"], environment) == SEEN


def test_undici_sees_streams_uploads_413_and_429(node: Path, environment: dict[str, str]) -> None:
    assert printed(["node", "undici.mjs"], environment, node) == SEEN


def test_javascript_sdks_see_streams_and_429(node: Path, environment: dict[str, str]) -> None:
    assert printed(["node", "sdks.mjs"], environment, node) == {
        "openai": SDK,
        "anthropic": SDK,
        "google": SDK,
    }


def test_python_sdks_see_streams_uploads_413_and_429(tmp_path: Path, environment: dict[str, str]) -> None:
    # google-genai is a package of this test only, in an environment of its own.
    venv.create(tmp_path / "venv", system_site_packages=False, with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "openai", "anthropic", "google-genai"], check=True
    )
    seen = printed([python, "sdks.py"], environment)
    size = seen["openai"].pop("upload")
    assert size >= UPLOAD  # with the frame of a multipart form
    assert seen == {"openai": {**SDK, "too_large": 413}, "anthropic": SDK, "google": SDK}


# The block of the file for operators, with the gateway of the test.
[_LOCATION] = re.findall(
    r"location / \{\n +proxy_pass http://proxies;.*?\n +\}\n",
    (ROOT / "deploy/nginx/nginx.conf").read_text(),
    re.DOTALL,
)
_NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr warn;
events {{ worker_connections 100; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    client_max_body_size 0;
    {location}
  }}
}}
"""
_HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend in
  bind 127.0.0.1:{port}
  default_backend gateway
backend gateway
  option httpchk GET /__/ready
  server gateway {address} check inter 200
"""


_PACKAGES = {"nginx": "nginx-light", "haproxy": "haproxy"}


@contextmanager
def in_front(command: Sequence[object], port: int) -> Iterator[str]:
    """A proxy in front of the gateway, once it forwards. Yields its URL."""
    with subprocess.Popen([str(word) for word in command]) as program:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in until(20.0):
                asked = subprocess.run(
                    ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"{url}/__/ready"],
                    capture_output=True,
                    text=True,
                )
                if asked.stdout == "200":
                    break
            yield url
        finally:
            program.terminate()


@pytest.mark.parametrize("name", _PACKAGES)
def test_proxy_in_front_passes_streams_uploads_413_and_429(
    name: str, go: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    program = need_command(name, _PACKAGES[name])
    port, gateway = free_port(), environment["GATEWAY_URL"]
    file = tmp_path / "proxy.conf"
    if name == "nginx":
        location = _LOCATION.replace("http://proxies", gateway)
        file.write_text(_NGINX.format(folder=tmp_path, port=port, location=location))
        command: list[object] = [program, "-c", file, "-p", tmp_path]
    else:
        file.write_text(_HAPROXY.format(port=port, address=gateway.removeprefix("http://")))
        command = [program, "-f", file]
    with in_front(command, port) as url:
        assert printed([go], {**environment, "GATEWAY_URL": url}) == SEEN
