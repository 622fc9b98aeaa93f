"""Tenants, keys and a clock for the tests of the configuration stores."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.config_store.history.edit import Edit
from shared.config_store.port import ConfigStore
from shared.model.budgets import Budget, BudgetScope, Increase
from shared.model.config import ApiKey, Cors, PluginConfig, Rule, Scope, Snapshot, Stage, Tenant
from shared.model.rule_timeouts import RuleTimeouts
from shared.model.sealed import Sealed
from shared.model.webhooks import Webhook

ACTOR = "platform"


@dataclass
class StillClock:
    """A clock whose hands the test turns."""

    time: float = 1_750_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


def an_api_key(name: str, **others: Any) -> ApiKey:
    return ApiKey(id=f"key-{name}", name=name, prefix=f"gwk_{name}", hash=f"pepper:{name}", **others)


def a_tenant(name: str, **others: Any) -> Snapshot:
    """A snapshot with nothing but one key, whose hash is ``pepper:<name>``."""
    keys = others.pop("keys", (an_api_key(name),))
    rules = others.pop("rules", ())
    return Snapshot(Tenant(id=f"id-{name}", name=name, subdomain=name, **others), rules, keys)


def create(store: ConfigStore, snapshot: Snapshot) -> Snapshot:
    return change(store, None, snapshot)


def change(store: ConfigStore, before: Snapshot | None, after: Snapshot) -> Snapshot:
    written = store.write(before, after, edit=Edit(actor=ACTOR))
    assert written is not None
    return written


def with_tenant(snapshot: Snapshot, **changes: Any) -> Snapshot:
    return replace(snapshot, tenant=replace(snapshot.tenant, **changes))


def a_full_tenant(name: str) -> Snapshot:
    """A snapshot in which every field differs from its default."""
    settings: Mapping[str, Any] = {
        "limits": {"global": {"limit": 10**30, "window": "1m"}},
        "headers": {"Authorization": Sealed("v1.abc")},
        "nothing": None,
        "list": [1, 2.5, True, "ä\ud800", {"sealed": "not a secret"}],
    }
    plugin = PluginConfig(
        "rate_limiter",
        enabled=False,
        stage=Stage.PRE_RESPONSE,
        priority=1,
        parallel=True,
        settings=settings,
        on_error="local",
        timeout=2.5,
        mode="shadow",
    )
    rule = Rule(
        id="rule-1",
        path="/v1",
        target="https://upstream.example/v1",
        methods=("GET", "POST"),
        match="exact",
        strip_path=True,
        preserve_host=True,
        active=False,
        public=True,
        headers={"Authorization": Sealed("v1.def")},
        timeouts=RuleTimeouts(connect=0.5, first_byte=2, idle=3.25, total=4.0),
        streams="buffer",
        encoded_slashes="allow",
        ca="PEM",
        plugin_chain=(plugin,),
        created_at=1.25,
        updated_at=2.5,
        credential="client",
        identity_headers=False,
        trace_headers=True,
        is_internal=True,
        upstream_headers="pass",
        stream_keepalive=15.0,
        drain_on_disconnect=10.0,
        cors=Cors(("https://a.example",), ("x-a",), 60.0),
    )
    budget = Budget(
        id="bud-1",
        name="all at once",
        owner="platform",
        scope=BudgetScope(
            key="key-1",
            user="ann",
            model="gpt-*",
            provider="main",
            rule="rule-1",
            tags={"sealed": "no secret"},
        ),
        unit="usd",
        limit=9_000_000_000_000_000,
        period="30d",
        timezone="Europe/Berlin",
        starts="2026-12-01",
        on_spent="downgrade",
        downgrade_to="fast",
        at=(50, 95),
        overrun="finish",
        on_error="closed",
        reserve="max",
        cap_output=True,
        unpriced="allow",
        increases=(
            Increase(amount=1, until=7.5, by="platform", at=6.5),
            Increase(amount=2, by="key:k", at=7),
        ),
        created_at=1.5,
        updated_at=2.5,
        tags=("team-a",),
    )
    webhook = Webhook(
        id="hook-1",
        name="ops",
        url="https://ops.example/hook?team=a",
        events=("budget.reached", "key.rejected"),
        secret=Sealed("v1.k.x"),
        active=False,
        created_at=1.5,
        updated_at=2.5,
    )
    keys = (
        an_api_key(
            f"{name}-b", scopes=(Scope.ADMIN, Scope.PROXY), revoked=True, expires_at=9.5, created_at=3.0
        ),
        an_api_key(f"{name}-a", scopes=(), created_at=2.0, first=f"key-{name}"),
    )
    return a_tenant(
        name,
        tier="pro",
        status="disabled",
        enabled_plugins=("rate_limiter",),
        required_plugins={"rate_limiter": plugin},
        plugin_chain=(plugin, replace(plugin, settings={})),
        created_at=4.5,
        updated_at=5.5,
        cors=Cors(("*",)),
        budgets=(budget, Budget(id="bud-2", name="plain", unit="requests", limit=0, period="day")),
        webhooks=(webhook, Webhook(id="hook-2", name="other", url="https://b.example", env="SECRET")),
        rules=(rule, replace(rule, id="rule-2", ca=None)),
        keys=keys,
    )
