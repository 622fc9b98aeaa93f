"""A gateway of our own: a fresh data folder, the admin API with the embedded Valkey, proxies, two tenants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.certificates import Certificates
from bench.exchange import Call
from bench.programs import Program, free_port, python
from scripts.demo import Api

#: Above everything that a run can send.
_PLENTY = {"limits": {"global": {"limit": 1_000_000_000, "window": "1m"}}}
_BODY = b'{"model": "bench", "messages": [{"role": "user", "content": "Hello! What can you do for me?"}]}'
_CONTENT = {
    "allowed_types": ["application/json"],
    "max_size": "1MB",
    "required_fields": ["model", "messages"],
    "blocked_patterns": ["(?i)ignore (all )?previous instructions"],
}
_HEAD = {"required_headers": ["X-Request-ID"], "blocked_user_agents": ["(?i)badbot"]}

#: The seed's chain: two-level rate limit, content and head of the request. The tenant's part and the rule's.
_CHAIN_OF_TENANT: Mapping[str, Any] = {
    "required_plugins": {"security_validator": {"priority": 1, "settings": _HEAD}},
    "plugin_chain": [{"name": "rate_limiter", "priority": 2, "settings": _PLENTY}],
}
_CHAIN_OF_RULE = [
    {"name": "rate_limiter", "priority": 2, "settings": _PLENTY},
    {"name": "content_validator", "priority": 3, "stage": "pre_request", "settings": _CONTENT},
]


@dataclass(frozen=True, slots=True)
class Targets:
    """Where the rules lead: ports of the upstreams on 127.0.0.1."""

    plain: int
    events: int
    secure_events: int | None = None


@dataclass(frozen=True, slots=True)
class Tenant:
    """How a tenant's applications call."""

    host: str
    key: str

    def call(self, path: str) -> Call:
        return make_call(path, self.host, self.key)


def make_call(path: str, host: str = "bench.example.com", key: str = "bench") -> Call:
    """The request that every contender gets alike, but for the tenant's host and key."""
    headers = {
        "Host": host,
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "X-Request-ID": "bench-1",
        "User-Agent": "bench",
    }
    return Call("POST", path, headers, _BODY)


@dataclass(slots=True)
class Gateway:
    """What is started for one gateway in `folder`. All its proxies share one store."""

    folder: Path
    admin_port: int = field(default_factory=free_port)

    def admin(self) -> Program:
        """The admin API; as the first to come, it starts the embedded Valkey."""
        environment = {**self._settings(), "GATEWAY__SERVER__ADMIN_PORT": str(self.admin_port)}
        return Program("admin", python("-m", "gunicorn", "wsgi:app"), f"{self._url}/readyz", environment)

    def proxy(
        self, name: str, port: int, engine: str, workers: int = 1, tls: Certificates | None = None
    ) -> Program:
        """A proxy as its operators start it; with `tls` it speaks TLS to its clients."""
        command = python("run_proxy.py", "--engine", engine, "--workers", str(workers))
        environment = {**self._settings(), "GATEWAY__SERVER__PROXY_PORT": str(port)}
        if tls is None:
            return Program(name, command, f"http://127.0.0.1:{port}/__/ready", environment)
        environment["GATEWAY__SERVER__TLS__CERT"] = str(tls.certificate)
        environment["GATEWAY__SERVER__TLS__KEY"] = str(tls.key)
        return Program(name, command, f"https://127.0.0.1:{port}/__/ready", environment, tls.ca)

    def create_tenants(self, targets: Targets, ca: Path | None = None) -> tuple[Tenant, Tenant]:
        """One tenant without plugins, one with the seed's chain. Raises `DemoFailed`."""
        api = Api(self._url, None)
        bare = _create(api, "bare", {}, [], targets, ca)
        return bare, _create(api, "chain", _CHAIN_OF_TENANT, _CHAIN_OF_RULE, targets, ca)

    def create_tenant(self, name: str, on_tenant: list[Any], on_rule: list[Any], targets: Targets) -> Tenant:
        """One tenant with these chains. Raises `DemoFailed`."""
        return _create(Api(self._url, None), name, {"plugin_chain": on_tenant}, on_rule, targets, None)

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    def _settings(self) -> dict[str, str]:
        return {
            # Nothing listens there, so the embedded Valkey is used whatever runs on this machine.
            "GATEWAY__REDIS__PORT": "1",
            "GATEWAY__DATA_DIR": str(self.folder),
            "GATEWAY__SECURITY__ALLOWED_TARGET_NETWORKS": "127.0.0.0/8,::1/128",
        }


def _create(
    api: Api, name: str, more: Mapping[str, Any], chain: list[Any], targets: Targets, ca: Path | None
) -> Tenant:
    body = {"name": f"Bench {name}", "subdomain": f"bench-{name}", "tier": "enterprise", **more}
    made = api("POST", "/tenants", body)
    rules: list[dict[str, Any]] = [
        {"path": "/v1", "target": f"http://127.0.0.1:{targets.plain}"},
        {"path": "/events", "target": f"http://127.0.0.1:{targets.events}"},
    ]
    if targets.secure_events and ca:
        secure = f"https://localhost:{targets.secure_events}"
        rules.append({"path": "/secure", "target": secure, "ca": ca.read_text()})
    for rule in rules:
        api("POST", f"/tenants/{made['id']}/rules", {**rule, "plugin_chain": chain})
    return Tenant(f"bench-{name}.example.com", made["api_key"])
