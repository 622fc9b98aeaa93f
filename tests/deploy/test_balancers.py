"""The balancers of deploy/ in front of a real proxy: valid files, streams that flow, clients with their address."""

import http.client
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.commands import run_command
from tests.support.gateway import ADDRESS, ROOT, RunningGateway, TenantInUse
from tests.support.packages import need_command
from tests.support.ports import free_port
from tests.support.upstream import Upstream
from tests.support.wait import await_true

HAPROXY = ROOT / "deploy" / "haproxy" / "haproxy.cfg"
NGINX = ROOT / "deploy" / "nginx" / "nginx.conf"
#: Of this machine, but not the balancer's.
CLIENT = "127.0.0.9"
TRUSTED = {"GATEWAY__TRUSTED_PROXIES": f"{ADDRESS}/32"}

pytestmark = pytest.mark.slow


@dataclass
class Balanced(RunningGateway):
    """A gateway that is called through its balancer."""

    balancer: str = ""

    @property
    def proxy(self) -> str:
        return self.balancer


def adapted(file: Path, gateway: RunningGateway, folder: Path, **replaced: str) -> Path:
    """The balancer's file with addresses of this machine: of three proxies one runs."""
    changes = {
        "10.0.0.11:8081": f"{ADDRESS}:{gateway.proxy_port}",
        "10.0.0.12:8081": f"{ADDRESS}:{free_port()}",
        "10.0.0.13:8081": f"{ADDRESS}:{free_port()}",
        "10.0.0.11:8080": f"{ADDRESS}:{gateway.admin_port}",
        "10.0.0.12:8080": f"{ADDRESS}:{free_port()}",
        **replaced,
    }
    text = file.read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    adapted = folder / file.name
    adapted.write_text(text)
    return adapted


@contextmanager
def running(*command: str | Path) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def stream(
    connect: Callable[[], http.client.HTTPConnection], tenant: TenantInUse, during: Callable[[], None]
) -> list[float]:
    """The times at which the lines of a stream arrive; `during` is called after the first one."""
    connection, times = connect(), []
    headers = {"Host": tenant.host, "Authorization": f"Bearer {tenant.key}", "X-Request-Id": "streamed"}
    connection.request("POST", "/v1/stream", b"{}", headers)
    response = connection.getresponse()
    assert response.status == 200
    while line := response.readline():
        if line.startswith(b"data:"):
            times.append(time.monotonic())
            if len(times) == 1:
                during()
    connection.close()
    return times


def streams_by(gateway: Balanced, connect: Callable[[], http.client.HTTPConnection]) -> TenantInUse:
    """Show that a stream flows, and that its client has its own address."""
    with Upstream() as upstream:
        tenant = gateway.create_tenant()
        tenant.create_rule("/v1", upstream.url)
        times = stream(connect, tenant, lambda: None)
        assert len(times) == 4
        assert times[-1] - times[0] > 0.2, "The events came at once."
    assert gateway.access_line("streamed")["client"] == CLIENT
    return tenant


def test_nginx_passes_streams_and_addresses_of_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nginx = need_command("nginx", "nginx-light")
    authority, port, folder = Authority(tmp_path), free_port(), tmp_path / "nginx"
    authority.server_context(ADDRESS)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    folder.mkdir()
    gateway = Balanced(tmp_path / "data", TRUSTED, balancer=f"https://{ADDRESS}:{port}")
    file = adapted(
        NGINX,
        gateway,
        tmp_path,
        **{
            "/etc/nginx/gateway.pem": str(tmp_path / f"{ADDRESS}.pem"),
            "listen 443 ssl": f"listen {ADDRESS}:{port} ssl",
            "127.0.0.1:8443": f"{ADDRESS}:{free_port()}",
            "events {": f"daemon off;\npid {folder}/pid;\nevents {{",
            "access_log /dev/stdout": "access_log off",
        },
    )
    checked = run_command(nginx, "-t", "-q", "-p", folder, "-c", file)
    assert (checked.returncode, checked.stderr) == (0, "")
    context = ssl.create_default_context(cafile=str(authority.file))
    with running(nginx, "-p", folder, "-c", file), gateway:
        streams_by(
            gateway,
            lambda: http.client.HTTPSConnection(
                ADDRESS, port, timeout=10, source_address=(CLIENT, 0), context=context
            ),
        )


def test_haproxy_passes_streams_and_addresses_of_clients_and_leaves_a_proxy_that_drains(
    tmp_path: Path,
) -> None:
    haproxy = need_command("haproxy", "haproxy")
    assert run_command(haproxy, "-c", "-f", HAPROXY).returncode == 0
    port, control = free_port(), tmp_path / "haproxy.sock"
    settings = {**TRUSTED, "GATEWAY__SERVER__PROXY_PROTOCOL": "v2"}
    gateway = Balanced(tmp_path / "data", settings, balancer=f"http://{ADDRESS}:{port}")
    file = adapted(
        HAPROXY,
        gateway,
        tmp_path,
        **{
            "bind :8081": f"bind {ADDRESS}:{port}",
            "bind 127.0.0.1:8080": f"bind {ADDRESS}:{free_port()}",
            "maxconn 20000\n": f"maxconn 200\n    stats socket {control}\n",
        },
    )

    def state(server: str) -> str:
        """The state of a server by its health checks."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(control))
            client.sendall(b"show stat\n")
            rows = b"".join(iter(lambda: client.recv(65536), b"")).decode().splitlines()
        names = rows[0].removeprefix("# ").split(",")
        [row] = [
            found
            for line in rows[1:]
            if (found := dict(zip(names, line.split(","), strict=False))) and found.get("svname") == server
        ]
        return f"{row['status']} {row['check_status']}"

    def connect() -> http.client.HTTPConnection:
        return http.client.HTTPConnection(ADDRESS, port, timeout=10, source_address=(CLIENT, 0))

    with running(haproxy, "-db", "-f", file), gateway:
        await_true(lambda: state("proxy-1") == "UP L7OK")
        await_true(lambda: state("proxy-2") == "DOWN L4CON")
        await_true(lambda: state("admin-1") == "UP L7OK")
        tenant = streams_by(gateway, connect)
        # A client that comes without the balancer is rejected, and told so; the balancer's probe works.
        direct = http.client.HTTPConnection(ADDRESS, gateway.proxy_port, timeout=10)
        direct.request("GET", "/__/ready")
        response = direct.getresponse()
        assert response.status == 400
        assert b"Call the load balancer" in response.read()
        probe = run_command(sys.executable, "-m", "shared.settings.probe", "proxy", env=gateway.environment())
        assert (probe.returncode, probe.stderr) == (0, "")

        def drain() -> None:
            gateway.processes["proxy"].send_signal(signal.SIGTERM)
            await_true(lambda: state("proxy-1").startswith("DOWN"))

        with Upstream() as upstream:
            tenant.create_rule("/v1/stream", upstream.url)
            assert len(stream(connect, tenant, drain)) == 4
    assert "The connection does not begin with a header" in gateway.log("proxy")
