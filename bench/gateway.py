"""A gateway in a folder of its own: the admin API with the embedded Valkey, proxies, tenants."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load import Call
from bench.programs import BenchFailed, Program, free_port, python
from scripts.demo import Api, DemoFailed
from shared.redis_server.embedded import socket_path

#: The response of each upstream: as long as a chat model's to a short question. nginx forbids single quotes.
RESPONSE = (
    b'{"id": "chatcmpl-bench", "object": "chat.completion", "created": 0, "model": "bench", "choices": '
    b'[{"index": 0, "message": {"role": "assistant", "content": "Hello! How can I help you today?"}, '
    b'"finish_reason": "stop", "logprobs": null}], "usage": {"prompt_tokens": 2, "completion_tokens": 9, '
    b'"total_tokens": 11}}'
)
MAX_REQUESTS = 1_000_000_000  # above everything that a run can send
_QUOTA = {"limit": MAX_REQUESTS, "window": "1m"}

_BODY = b'{"model": "bench", "messages": [{"role": "user", "content": "Hello! What can you do for me?"}]}'
CONTENT: dict[str, Any] = {
    "allowed_types": ["application/json"],
    "max_size": "1MB",
    "required_fields": ["model", "messages"],
    "blocked_patterns": ["(?i)ignore (all )?previous instructions"],
}
_HEAD = {"required_headers": ["X-Request-ID"], "blocked_user_agents": ["(?i)badbot"]}


def entry(plugin: str, priority: int, **settings: Any) -> dict[str, Any]:
    """A plugin in a chain."""
    return {"name": plugin, "priority": priority, "settings": settings}


def limiter_entry(*levels: str) -> dict[str, Any]:
    """A rate limiter with a limit at each level that admits everything."""
    return entry("rate_limiter", 2, limits={level: _QUOTA for level in levels})


#: The chain of the specification's example, as (entries of the tenant, entries of the rule).
CHAIN = (
    [entry("security_validator", 1, **_HEAD), limiter_entry("global")],
    [limiter_entry("global"), entry("content_validator", 3, **CONTENT)],
)


def make_call(host: str = "bench.example.com", key: str = "bench") -> Call:
    """The request that all get alike, apart from the tenant's host and key."""
    headers = {
        "Host": host,
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "X-Request-ID": "bench-1",
        "User-Agent": "bench",
    }
    return Call("/v1/chat/completions", headers, _BODY)


@dataclass(slots=True)
class Gateway:
    """The programs of one gateway. All its proxies share the store in `folder`."""

    folder: Path
    upstream: int
    admin_port: int = field(default_factory=free_port)

    @property
    def socket(self) -> str:
        """The unix socket of its Valkey."""
        return str(socket_path(self.folder))

    def admin(self) -> Program:
        """The admin API. It starts the embedded Valkey, so it comes first."""
        environment = {**self._settings(), "GATEWAY__SERVER__ADMIN_PORT": str(self.admin_port)}
        return Program("admin", python("-m", "gunicorn", "wsgi:app"), f"{self._url}/readyz", environment)

    def proxy(self, name: str, port: int, engine: str = "express", workers: int = 1) -> Program:
        """A proxy, started as an operator starts it."""
        command = python("run_proxy.py", "--engine", engine, "--workers", str(workers))
        ports = {"GATEWAY__SERVER__PROXY_PORT": str(port), "GATEWAY__METRICS__PORT": str(free_port())}
        environment = {**self._settings(), **ports}
        return Program(name, command, f"http://127.0.0.1:{port}/__/ready", environment)

    def create_tenant(
        self,
        name: str,
        on_tenant: Sequence[Any] = (),
        on_rule: Sequence[Any] = (),
        *,
        others: int = 0,
        **of_rule: Any,
    ) -> Call:
        """The call of a new tenant whose last rule leads to the upstream. Raises `BenchFailed`.

        `others` is the number of its rules that the call does not match.
        """
        api = Api(self._url, None)
        body = {"name": name, "subdomain": f"bench-{name}", "tier": "enterprise"}
        target = {"target": f"http://127.0.0.1:{self.upstream}"}
        rules: list[dict[str, Any]] = [{"path": f"/other/{number}", **target} for number in range(others)]
        rules.append({"path": "/v1", **target, "plugin_chain": [*on_rule], **of_rule})
        try:
            tenant = api("POST", "/tenants", {**body, "plugin_chain": [*on_tenant]})
            for rule in rules:
                api("POST", f"/tenants/{tenant['id']}/rules", rule)
        except DemoFailed as error:
            raise BenchFailed(str(error)) from None
        return make_call(f"bench-{name}.example.com", tenant["api_key"])

    def create_ai_tenant(self, name: str, budgets: int = 0) -> Call:
        """The call of a new tenant whose rule for AI leads to the upstream, with so many budgets.

        Raises `BenchFailed`.
        """
        api = Api(self._url, None)
        provider = {
            "name": "bench",
            "kind": "custom",
            "base_url": f"http://127.0.0.1:{self.upstream}/v1",
            "apis": ["openai.chat"],
            "keys": [{"name": "bench", "secret": "sk-bench-0123456789"}],
            "models": [{"id": "bench", "prices": {"input": "1", "output": "2"}}],
        }
        try:
            tenant = api(
                "POST", "/tenants", {"name": name, "subdomain": f"bench-{name}", "tier": "enterprise"}
            )
            api("POST", f"/tenants/{tenant['id']}/providers", provider)
            for number in range(budgets):
                limit: dict[str, Any] = {"usd": "9000000"} if number % 2 else {"tokens": 9 * 10**15}
                budget = {"name": f"bench-{number}", "period": "month", "limit": limit}
                api("POST", f"/tenants/{tenant['id']}/budgets", budget)
            api("POST", f"/tenants/{tenant['id']}/rules", {"path": "/v1", "ai": {"providers": ["bench"]}})
        except DemoFailed as error:
            raise BenchFailed(str(error)) from None
        return make_call(f"bench-{name}.example.com", tenant["api_key"])

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    def _settings(self) -> dict[str, str]:
        return {
            # Nothing listens on port 1, so the embedded Valkey is used.
            "GATEWAY__REDIS__PORT": "1",
            "GATEWAY__METRICS__ADMIN_API_PORT": "0",
            "GATEWAY__DATA_DIR": str(self.folder),
            "GATEWAY__SECURITY__ALLOWED_TARGET_NETWORKS": "127.0.0.0/8,::1/128",
        }
