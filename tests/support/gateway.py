"""The whole gateway as its operators start it: gunicorn, run_proxy.py and an embedded Valkey."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import requests

from shared.core.empty import EMPTY
from shared.log_lines import json_schema
from tests.support.certificates import Authority
from tests.support.ports import free_port
from tests.support.wait import until

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "tests" / "end_to_end" / "plugins"
ADDRESS = "127.0.0.1"
START_LIMIT = 40.0  # seconds; mitmproxy takes about three, a busy machine more
STOP_LIMIT = 15.0


def bare_environment(folder: Path) -> dict[str, str]:
    """Ours without settings of the gateway, but for a store in `folder`."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("GATEWAY")},
        # Nothing listens there, so the embedded store is used whatever runs on this machine.
        "GATEWAY__REDIS__PORT": "1",
        # Several gateways run at the same time.
        "GATEWAY__METRICS__PORT": "0",
        "GATEWAY__METRICS__ADMIN_API_PORT": "0",
        "GATEWAY__DATA_DIR": str(folder),
    }


def stored_secrets(folder: Path, pepper: str, encryption_key: str) -> None:
    """Make a data folder that holds the secrets of a store."""
    folder.mkdir(mode=0o700)
    for name, secret in (("pepper", pepper), ("encryption-key", encryption_key)):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(secret + "\n")


@dataclass
class RunningGateway:
    """Two processes on free ports, sharing the embedded store in `folder`."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    engine: str = "express"
    proxy_arguments: tuple[str, ...] = ()
    #: The tree that the programs are started in, and a command that runs them as another user.
    root: Path = ROOT
    run_as: tuple[str, ...] = ()
    #: Where the proxy listens.
    address: str = ADDRESS
    admin_port: int = field(default_factory=free_port)
    proxy_port: int = field(default_factory=free_port)
    web_port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    admin_metrics_port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    count: int = 0

    @property
    def admin(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def proxy(self) -> str:
        scheme = "https" if "GATEWAY__SERVER__TLS__CERT" in self.settings else "http"
        return f"{scheme}://{self.address}:{self.proxy_port}"

    def environment(self) -> dict[str, str]:
        return {
            **bare_environment(self.folder),
            "GATEWAY__SERVER__ADMIN_PORT": str(self.admin_port),
            "GATEWAY__SERVER__PROXY_PORT": str(self.proxy_port),
            **({} if self.address == ADDRESS else {"GATEWAY__SERVER__PROXY_HOST": self.address}),
            "GATEWAY__SERVER__WEB_PORT": str(self.web_port),
            "GATEWAY__METRICS__PORT": str(self.metrics_port),
            "GATEWAY__METRICS__ADMIN_API_PORT": str(self.admin_metrics_port),
            "GATEWAY__SERVER__ENGINE": self.engine,
            "GATEWAY__SERVER__WORKERS": "1",
            "GATEWAY__SERVER__ADMIN_WORKERS": "1",
            "GATEWAY__SECURITY__ALLOWED_TARGET_NETWORKS": "127.0.0.0/8,::1/128",
            "GATEWAY__PLUGINS__PATHS": str(PLUGINS),
            **self.settings,
        }

    def start(self) -> None:
        """Start both parts and wait until both answer."""
        self.start_admin()
        self.start_proxy()

    def start_admin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._spawn("admin", "-m", "gunicorn", "wsgi:app")
        self._await("admin", f"{self.admin}/livez")

    def start_proxy(self) -> None:
        self._spawn("proxy", "run_proxy.py", *self.proxy_arguments)
        self._await("proxy", f"{self.proxy}/__/ready")

    def _spawn(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*self.run_as, sys.executable, *command],
                cwd=self.root,
                env=self.environment(),
                stdout=log,
                stderr=log,
            )

    def _await(self, name: str, url: str) -> None:
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline and self.processes[name].poll() is None:
            with contextlib.suppress(requests.RequestException):
                if requests.get(url, timeout=2).status_code == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"{name} did not come up:\n{self.log(name)[-4000:]}")

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def log_lines(self, name: str, part: str = "") -> list[dict[str, Any]]:
        """The log of the program so far, in lines with `part`. Its file has standard error, too.

        The last line is left out while it is being written.
        """
        lines = self.log(name).rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and part in line]

    def undeclared_lines(self) -> list[str]:
        """The lines of both programs that are not as `shared.log_lines` declares, each with the reason."""
        validator = jsonschema_rs.validator_for(json_schema())
        lines = [line for name in ("admin", "proxy") for line in self.log_lines(name)]
        return [f"{line}: {error.message}" for line in lines for error in validator.iter_errors(line)]

    def metrics(self, *, admin: bool = False, **headers: str) -> dict[str, float]:
        """The samples of a program by their names with labels, as Prometheus reads them."""
        port = self.admin_metrics_port if admin else self.metrics_port
        response = requests.get(f"http://127.0.0.1:{port}/metrics", headers=headers, timeout=5)
        assert response.status_code == 200, response.text
        lines = [line.rpartition(" ") for line in response.text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    def access_line(self, request_id: str) -> dict[str, Any]:
        """The line of an exchange in the log of the proxy."""
        for _ in until(3.0):
            for line in self.log_lines("proxy", request_id):
                if line["logger"] == "gateway.access" and line["request_id"] == request_id:
                    return line
        raise AssertionError(f"There is no line of {request_id}.")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End all programs. One that does not end in time is killed and reported: no test waits for it."""
        names = reversed(list(self.processes))
        late = [name for name in names if not _has_ended(self.processes.pop(name), how)]
        if how == signal.SIGKILL:
            self._await_free_ports()
        assert not late, f"{late} did not end within {STOP_LIMIT} s:\n{self.log(late[0])[-4000:]}"

    def _await_free_ports(self) -> None:
        """Workers end a moment after the process that started them was killed; until then they listen."""
        for port in (self.admin_port, self.proxy_port):
            for _ in until(START_LIMIT):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                except ConnectionRefusedError:
                    break

    def __enter__(self) -> "RunningGateway":
        try:
            self.start()
        except BaseException:
            self.stop(signal.SIGKILL)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def call(
        self,
        method: str,
        path: str,
        key: str | None = None,
        headers: Mapping[str, str] = EMPTY,
        **more: Any,
    ) -> requests.Response:
        """Call the admin API; as the platform, or with a tenant's key."""
        key = key or self.settings.get("GATEWAY_ADMIN_TOKEN")
        sent = {"Authorization": f"Bearer {key}"} if key else {}
        url = f"{self.admin}/api/v1{path}"
        return requests.request(method, url, headers={**sent, **headers}, timeout=10, **more)

    def create(self, url: str, /, **document: Any) -> Any:
        """Create what `document` describes, as the platform, and return it as it is shown.

        On a busy machine Redis may take longer than the admin API waits, so the call is repeated. Its key makes
        sure that this is done once.
        """
        once = {"Idempotency-Key": uuid.uuid4().hex}
        for _ in until(5.0):
            response = self.call("POST", url, json=document, headers=once)
            if response.status_code != 503 or response.json()["code"] not in ("store_down", "store_unsure"):
                break
        assert response.status_code == 201, response.text
        return response.json()

    def create_tenant(self, **document: Any) -> "TenantInUse":
        """A tenant with a name and subdomain of its own."""
        self.count += 1
        body = {"name": f"Tenant {self.count}", "subdomain": f"t{self.count}", "tier": "pro", **document}
        made = self.create("/tenants", **body)
        return TenantInUse(self, made["id"], made["subdomain"], made["api_key"])


def _has_ended(process: subprocess.Popen[bytes], how: signal.Signals) -> bool:
    """End a process. Whether it has ended by itself."""
    process.send_signal(how)
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True


@dataclass
class TenantInUse:
    """A tenant and its first key."""

    gateway: RunningGateway
    id: str
    subdomain: str
    key: str

    @property
    def host(self) -> str:
        return f"{self.subdomain}.example.com"

    def create(self, collection: str, /, **document: Any) -> Any:
        """Create something in a collection of the tenant, such as ``rules``, and return it as it is shown."""
        return self.gateway.create(f"/tenants/{self.id}/{collection}", **document)

    def create_rule(self, path: str, target: str, **document: Any) -> dict[str, Any]:
        """Create a rule, and wait until the proxy knows it."""
        body = {"path": path, "target": target, **document}
        rule: dict[str, Any] = self.create("rules", **body)
        self.await_rule(path)
        return rule

    def await_rule(self, path: str) -> None:
        """Configuration reaches the proxy within 2 s of the admin's answer (reliability.md R6).

        A path with an encoded slash is 404 without a rule and 400 with one: asking costs no limit and
        reaches no upstream.
        """
        for _ in until(2.0):
            if self.request("DELETE", f"{path}/%2f").status_code != 404:
                return
        raise AssertionError("The rule did not reach the proxy within 2 s.")

    def request(self, method: str, path: str, **more: Any) -> requests.Response:
        """Call through the proxy with this tenant's key, by its Host."""
        headers = {"Host": self.host, "Authorization": f"Bearer {self.key}", **more.pop("headers", {})}
        headers = {name: value for name, value in headers.items() if value is not None}
        return requests.request(method, self.gateway.proxy + path, headers=headers, timeout=15, **more)


@contextmanager
def secured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], *, is_tls: bool = True
) -> Iterator[tuple[RunningGateway, Authority | None]]:
    """A gateway whose certificate lies in ``127.0.0.1.pem`` of the folder; without `is_tls` it has none."""
    authority = Authority(folder)
    authority.server_context(ADDRESS)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    pair = str(folder / f"{ADDRESS}.pem")
    files = {"GATEWAY__SERVER__TLS__CERT": pair, "GATEWAY__SERVER__TLS__KEY": pair} if is_tls else {}
    with RunningGateway(folder / "data", {**settings, **files}) as gateway:
        yield gateway, authority if is_tls else None
