"""A gateway with a past: tenants, providers, models, rules and requests, for pictures and for tests of all pages."""

import math
import random
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import redis
import requests

from examples.demo_upstream.control import ControlledUpstream
from examples.demo_upstream.faults import Fault
from shared.limits.values import budget_key
from shared.records.minutes import Minutes
from tests.records.lines import AI, access_line, line
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.wait import until

TENANTS = (
    ("Acme", "acme", "pro", 60),
    ("Globex", "globex", "enterprise", 34),
    ("Initech", "initech", "basic", 12),
    ("Umbrella Research Institute of Applied Linguistics", "umbrella-research-institute", "pro", 4),
)
_CHAT = "/v1/chat/completions"
_HOURS = 6
#: The used and held amounts of budgets: nano-USD, and tokens.
_SPENT = {
    "Contract": (84_120_000_000, 1_200_000_000),
    "Trial": (19_310_000_000, 40_000_000),
    "Fast models of the first key": (1_284_311, 4_096),
}


@dataclass
class Seeded:
    """The objects of a seeded gateway.

    Attributes:
        gateway: The gateway, both parts.
        tenants: The tenants, the busiest first.
        rules: The ids of rules of the first tenant.
        request_id: A request of the first tenant.
    """

    gateway: RunningGateway
    tenants: list[TenantInUse] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    request_id: str = ""

    def path(self, pattern: str) -> str:
        """The path of a page, about the first tenant."""
        names = {
            "<tenant_id>": self.tenants[0].id,
            "<rule_id>": self.rules[0],
            "<path:request_id>": self.request_id,
        }
        for name, value in names.items():
            pattern = pattern.replace(name, value)
        return pattern


def seed(gateway: RunningGateway, upstream: ControlledUpstream) -> Seeded:
    """Fill a gateway whose proxy runs."""
    seeded = Seeded(gateway)
    url = f"http://127.0.0.1:{upstream.port}/v1"
    for name, subdomain, tier, _ in TENANTS:
        seeded.tenants.append(gateway.create_tenant(name=name, subdomain=subdomain, tier=tier))
    shared = {"shared": {"tenants": [one.id for one in seeded.tenants]}}  # and not with those of other tests
    _create(gateway, "/providers", _provider("openai-main", url) | shared)
    priced = {"id": "gpt-eu", "prices": {"input": "2.50", "output": "10.00"}}
    broken = _provider("azure-eu", "http://127.0.0.1:9/v1") | {"models": [priced]}
    _create(gateway, "/providers", broken | shared)
    for tenant in seeded.tenants:
        seeded.rules += _rules(tenant, upstream)
    _webhook(seeded.tenants[0])
    _past(gateway, seeded)
    _calls(seeded, upstream)
    _spend(gateway, seeded.tenants[0])
    _changes(seeded)
    return seeded


def _create(gateway: RunningGateway, path: str, document: dict[str, Any]) -> dict[str, Any]:
    response = gateway.call("POST", path, json=document)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def _provider(name: str, url: str) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "custom",
        "base_url": url,
        "apis": ["openai.chat"],
        "keys": [{"name": "main", "secret": "sk-demo-main"}, {"name": "spare", "secret": "sk-demo-spare"}],
        "models": [{"id": "demo", "aliases": ["fast"], "prices": {"input": "2.00", "output": "8.00"}}],
    }


def _rules(tenant: TenantInUse, upstream: ControlledUpstream) -> list[str]:
    chain = [
        {"name": "rate_limiter", "settings": {"limit": 25, "window": "1m"}},
        {
            "name": "content_validator",
            "stage": "pre_request",
            "settings": {"blocked_patterns": ["secret project"]},
        },
    ]
    rules = (
        {"path": "/v1", "ai": {"providers": ["openai-main", "azure-eu"]}, "plugin_chain": chain},
        {"path": "/files", "target": f"http://127.0.0.1:{upstream.port}", "methods": ["GET"]},
    )
    chat = _create(tenant.gateway, f"/tenants/{tenant.id}/rules", rules[0])["id"]
    _budgets(tenant, chat)
    files = _create(tenant.gateway, f"/tenants/{tenant.id}/rules", rules[1])["id"]
    tenant.await_rule("/files")  # the newest change, so the budgets count from here on
    return [chat, files]


def _changes(seeded: Seeded) -> None:
    """Versions of the first tenant by several authors, with reasons. Its rules serve as before."""
    tenant = seeded.tenants[0]
    path = f"/tenants/{tenant.id}"
    made = _create(tenant.gateway, f"{path}/api-keys", {"name": "Deployment", "scopes": ["admin"]})
    [files] = [f"{path}/rules/{rule}" for rule in seeded.rules[1:2]]
    secret, other = ({"headers": {"Authorization": f"Bearer {word}"}} for word in ("first", "second"))
    limiter = {"name": "rate_limiter", "settings": {"limit": 50, "window": "1m"}}
    changes = (
        (files, {"methods": ["GET", "HEAD"]}, "Clients ask for the size first.", made["key"]),
        (files, secret, "The archive needs a credential.", None),
        (files, {"plugin_chain": [limiter], "methods": ["GET"]}, None, made["key"]),
        (files, other, "The credential was rotated.", made["key"]),
        (path, {"cors": {"origins": ["https://app.example.com"]}}, None, tenant.key),
    )
    for where, change, reason, key in changes:
        headers = {"X-Gateway-Message": reason} if reason else {}
        response = tenant.gateway.call("PATCH", where, key=key, json=change, headers=headers)
        assert response.status_code == 200, response.text
    pinned = tenant.gateway.call("POST", f"{path}/versions/3/pin", json={})
    assert pinned.status_code == 200, pinned.text


def _budgets(tenant: TenantInUse, rule: str) -> None:
    """Budgets of the first tenants, the platform's and their own. The calls will spend some of them."""
    keys = tenant.gateway.call("GET", f"/tenants/{tenant.id}/api-keys").json()["api_keys"]
    platforms = {"name": "Contract", "limit": {"usd": "250.00"}, "period": "month"}
    chat = {"name": "Chat", "scope": {"rule": rule}, "limit": {"requests": 7}, "period": "day"}
    trial = {"name": "Trial", "limit": {"usd": "20.00"}, "period": "30d", "on_spent": "alert"}
    fast = {
        "name": "Fast models of the first key",
        "scope": {"key": keys[0]["id"], "model": "d*"},
        "limit": {"tokens": 2_000_000},
        "period": "week",
        "timezone": "Europe/Berlin",
        "on_spent": "downgrade",
        "downgrade_to": "fast",
    }
    pilot = {"name": "Pilot", "limit": {"requests": 6}, "period": "total"}
    owned = {"acme": [chat, trial, fast], "initech": [pilot]}.get(tenant.subdomain, [])
    for key, budget in ((None, platforms), *((tenant.key, one) for one in owned)):
        made = tenant.gateway.call("POST", f"/tenants/{tenant.id}/budgets", key=key, json=budget)
        assert made.status_code == 201, made.text


def _spend(gateway: RunningGateway, tenant: TenantInUse) -> None:
    """Let budgets have counted more than the calls of now."""
    found = gateway.call("GET", f"/tenants/{tenant.id}/budgets").json()["budgets"]
    with redis.Redis(unix_socket_path=str(gateway.folder / "valkey.sock")) as client:
        for budget in found:
            if used := _SPENT.get(budget["name"]):
                begin = int(datetime.fromisoformat(budget["state"]["period_start"]).timestamp())
                key = budget_key(tenant.id, f"{budget['id']}:{begin}")
                client.hset(key, mapping=dict(zip(("used", "held"), used, strict=True)))


def _webhook(tenant: TenantInUse) -> None:
    """A webhook that cannot be reached."""
    webhook = {
        "name": "on-call",
        "url": "http://127.0.0.1:9/hooks/gateway/acme",
        "events": ["budget.reached", "key.rejected"],
        "secret": "a-secret-of-the-seed",
    }
    _create(tenant.gateway, f"/tenants/{tenant.id}/webhooks", webhook)


def _past(gateway: RunningGateway, seeded: Seeded) -> None:
    """Figures of the last hours, as workers write them."""
    random.seed(1)
    minutes, now = Minutes(), time.time()
    with (
        redis.Redis(unix_socket_path=str(gateway.folder / "valkey.sock")) as client,
        client.pipeline(transaction=False) as pipeline,
    ):
        for minute in range(_HOURS * 60, 0, -1):
            for tenant, (_, _, _, size) in zip(seeded.tenants, TENANTS, strict=True):
                count = size * (1 + 0.3 * math.sin(minute / 40) + 0.2 * random.random())
                for _ in range(int(count)):
                    minutes.add(now - 60 * minute, access_line(_line(tenant)))
            for batch in minutes.take():
                for key in batch.keys:
                    for name, amount in batch.amounts.items():
                        pipeline.hincrby(key, name, amount)
                    pipeline.expire(key, batch.kept)
        pipeline.execute()


def _line(tenant: TenantInUse) -> dict[str, Any]:
    upstream, chance = random.lognormvariate(5.5, 0.5), random.random()
    outcome: dict[str, Any] = {}
    if chance < (0.06 if tenant.subdomain == "globex" else 0.004):
        outcome = {"status": 502, "source": "gateway", "ai": None}
    elif chance < (0.2 if tenant.subdomain == "initech" else 0.03):
        outcome = {"status": 429, "source": "plugin:rate_limiter", "upstream_ms": None, "ai": None}
    added = random.lognormvariate(0.6, 0.5)
    return line(
        tenant=tenant.id,
        **{
            "milliseconds": upstream + added,
            "upstream_ms": upstream,
            "ttft_ms": upstream,
            "ai": {**AI, "cost": str(random.random() / 500)},
            **outcome,
        },
    )


def _calls(seeded: Seeded, upstream: ControlledUpstream) -> None:
    """Requests of now, with records: served, streamed, limited, blocked, failed."""
    message = {"model": "demo", "messages": [{"role": "user", "content": "Hello from the seed"}]}
    for tenant in seeded.tenants[:3]:
        for number in range(6):
            _call(tenant, f"{_CHAT}", {**message, "stream": number % 3 == 0})
        _call(
            tenant, _CHAT, {"model": "demo", "messages": [{"role": "user", "content": "the secret project"}]}
        )
        _call(tenant, "/nothing", message)
    for _ in range(30):
        _call(seeded.tenants[2], _CHAT, message)
    for _ in range(16):
        _call(seeded.tenants[1], _CHAT, {**message, "model": "gpt-eu"})
    upstream.set(Fault(fail="503"))
    _call(seeded.tenants[1], _CHAT, message)
    upstream.set(None)
    last = _call(seeded.tenants[0], _CHAT, message, {"X-Gateway-Trace": "1"})
    seeded.request_id = last.headers["X-Request-ID"]
    _await_record(seeded)


def _call(
    tenant: TenantInUse, path: str, body: dict[str, Any], headers: dict[str, str] | None = None
) -> requests.Response:
    return tenant.request("POST", path, json=body, headers=headers or {})


def _await_record(seeded: Seeded) -> None:
    path = f"/tenants/{seeded.tenants[0].id}/requests/{seeded.request_id}"
    for _ in until(5.0):
        if seeded.gateway.call("GET", path).status_code == 200:
            return
    raise AssertionError("The request is not recorded.")
