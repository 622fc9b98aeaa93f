"""The example bodies and responses of AI in the OpenAPI document. Each is valid as it is."""

from typing import Any, Final

from shared.documents.ai.pool import PoolOutput, pool_members
from shared.documents.examples import Document, page
from shared.model.pools import AI_POLICY

_TIMES: Final = {"created_at": "2027-01-15T08:00:00.000Z", "updated_at": "2027-01-15T08:00:00.000Z"}
_NO_TIMEOUTS: Final = dict.fromkeys(("connect", "first_byte", "idle", "total"))

PROVIDER_KEY: Document = {"name": "team-a", "secret": "sk-...", "weight": 1, "models": ["gpt-*"]}
PROVIDER_KEY_READ: Document = {
    "id": "pk_1f2e3d4c5b6a798897a6b5c4",
    "name": "team-a",
    "secret": {"set": True, "hint": "sk-…9f2c"},
    "weight": 1,
    "models": ["gpt-*"],
    "enabled": True,
    "expires_at": None,
    "created_at": "2027-01-15T08:00:00.000Z",
    "status": "ok",
    "cooling_until": None,
    "last_error": None,
}
PROVIDER_HEALTH: Document = {
    "targets": [
        {
            "target": "prv_5d7f0c1a2b3e4f5061728394/gpt-5.6",
            "state": "open",
            "since": "2027-01-15T08:00:00.000Z",
            "until": "2027-01-15T08:00:10.000Z",
            "reason": "status 503",
            "by": "calls",
            "open_for_tenants": 1,
            "ewma": 0.84,
            "in_flight": 3,
            "last_errors": [{"at": "2027-01-15T08:00:00.000Z", "key": None, "reason": "status 503"}],
        }
    ]
}
PROVIDERS_HEALTH: Document = {
    "window_seconds": 270,
    "providers": [
        {
            "id": "prv_5d7f0c1a2b3e4f5061728394",
            "name": "openai-main",
            "kind": "openai",
            "shared": False,
            "state": "degraded",
            "since": "2027-01-15T08:00:00.000Z",
            "reason": "1 of 2 targets is not called: status 503.",
            "calls": 1_204,
            "failed": 18,
            "rate_limited_per_minute": 0.22,
            "p95_ms": 1_200.0,
            "keys": {"usable": 3, "total": 3},
            "targets": PROVIDER_HEALTH["targets"],
        }
    ],
}
RULE_HEALTH: Document = {
    "targets": [
        {
            **PROVIDER_HEALTH["targets"][0],
            "target": "9f86d081884c",
            "name": "https://gpu-1.example.com/v1",
            "open_for_tenants": 1,
            "last_errors": [],
        }
    ]
}
OPEN_TARGET: Document = {"duration": "30m", "reason": "maintenance"}
ROTATE_KEY: Document = {"secret": "sk-...", "overlap": "1h"}

PROVIDER: Document = {
    "name": "openai-main",
    "kind": "openai",
    "keys": [PROVIDER_KEY],
    "models": [{"id": "gpt-5.6", "aliases": ["fast"], "prices": {"input": "2.00", "output": "8.00"}}],
}
PROVIDER_READ: Document = {
    "id": "prv_5d7f0c1a2b3e4f5061728394",
    "name": "openai-main",
    "kind": "openai",
    "base_url": None,
    "params": {},
    "apis": None,
    "auth": None,
    "keys": [PROVIDER_KEY_READ],
    "headers": {},
    "query": {},
    "models": [
        {
            "id": "gpt-5.6",
            "aliases": ["fast"],
            "caps": {},
            "prices": {"input": "2.00", "output": "8.00"},
        }
    ],
    "discover": "off",
    "timeouts": _NO_TIMEOUTS,
    "ca": None,
    "max_concurrent": None,
    "enabled": True,
    "tags": [],
    **_TIMES,
    "version": 1,
}
PLATFORM_PROVIDER: Document = {**PROVIDER, "shared": {"tiers": ["pro", "enterprise"]}}
PLATFORM_PROVIDER_READ: Document = {
    **PROVIDER_READ,
    "shared": {"tenants": [], "tiers": ["pro", "enterprise"]},
}
PROVIDER_LIST: Document = {
    **page("providers", PROVIDER_READ),
    "shared": [
        {
            "name": "anthropic",
            "kind": "anthropic",
            "apis": ["anthropic.messages", "anthropic.count_tokens"],
            "models": [{"id": "claude-sonnet-5-5", "aliases": []}],
        }
    ],
}
KINDS: Document = {
    "kinds": [
        {
            "kind": "bedrock",
            "title": "Amazon Bedrock",
            "docs": "https://docs.aws.amazon.com/bedrock/",
            "base_url": "https://bedrock-runtime.{region}.amazonaws.com/openai/v1",
            "auth": {"type": "bearer", "name": ""},
            "needs_key": True,
            "apis": ["openai.chat", "openai.responses"],
            "params_schema": {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {"region": {"type": "string", "pattern": "^[A-Za-z0-9-]{1,63}$"}},
                "required": ["region"],
                "additionalProperties": False,
            },
        }
    ]
}
PROVIDER_TEST: Document = {"model": "gpt-5.6", "deep": False}
PROVIDER_TESTED: Document = {"ok": True, "status": 200, "milliseconds": 132, "models": 48, "error": None}

MODEL: Document = {
    "name": "best",
    "targets": [
        {"provider": "openai-main", "model": "gpt-5.6", "weight": 3},
        {"provider": "openai-main", "model": "gpt-5.6-mini", "priority": 1},
    ],
    "description": "The best model that can be called.",
}
_POOL: Final[dict[str, Any]] = PoolOutput().dump(pool_members(AI_POLICY))
MODEL_READ: Document = {
    "name": "best",
    "targets": [
        {
            "provider": "openai-main",
            "model": "gpt-5.6",
            "weight": 3,
            "priority": 0,
            "timeouts": _NO_TIMEOUTS,
        },
        {
            "provider": "openai-main",
            "model": "gpt-5.6-mini",
            "weight": 1,
            "priority": 1,
            "timeouts": _NO_TIMEOUTS,
        },
    ],
    **_POOL,
    "visible": True,
    "description": "The best model that can be called.",
    "tags": [],
    **_TIMES,
}
PLATFORM_MODEL: Document = {**MODEL, "shared": "all"}
PLATFORM_MODEL_READ: Document = {**MODEL_READ, "shared": "all"}
MODEL_LIST: Document = {
    **page("models", MODEL_READ),
    "shared": [{"name": "fast", "description": "A small and fast model."}],
}
KNOWN_MODELS: Document = {
    "prices_source": "genai-prices 0.2.3 (MIT)",
    "prices_date": "2026-11-30",
    "providers": [
        {
            "provider": "openai-main",
            "kind": "openai",
            "shared": False,
            "enabled": True,
            "apis": ["openai.chat", "openai.responses"],
            "checked_at": "2027-01-15T08:00:00.000Z",
            "count": 1,
            "models": [
                {
                    "model": "gpt-5.6",
                    "aliases": ["fast"],
                    "declared": True,
                    "listed": True,
                    "prices": {"input": "2.00", "input_cached": "0.2", "output": "8.00"},
                    "prices_from": {"input": "provider", "input_cached": "shipped", "output": "provider"},
                    "caps": {"vision": True, "context": 400_000},
                }
            ],
            "used_by_models": ["best"],
            "used_by_rules": [{"id": "rule_1f2e3d4c5b6a798897a6b5c4", "path": "/v1"}],
            "used_by_tenants": [],
        }
    ],
}
PRICES: Document = {"prices": {"openai/gpt-5.6": {"input": "1.80", "output": "7.20"}}}

_SUM: Final = {
    "calls": 12,
    "input": 48_210,
    "output": 9_312,
    "cached": 30_000,
    "cost": "0.160896",
    "unpriced": 0,
}
USAGE: Document = {
    "from": "2027-01-01",
    "to": "2027-01-15",
    "group_by": ["day", "model"],
    "usage": [{"day": "2027-01-15", "model": "gpt-5.6", **_SUM}],
}
PLATFORM_USAGE: Document = {
    **USAGE,
    "group_by": ["tenant"],
    "usage": [{"tenant": "tenant_5d7f0c1a2b3e4f5061728394", **_SUM}],
}
USAGE_CSV: Final = (
    "day,model,calls,input,output,cached,cost,unpriced\r\n"
    "2027-01-15,gpt-5.6,12,48210,9312,30000,0.160896,0\r\n"
)
PLATFORM_USAGE_CSV: Final = (
    "tenant,calls,input,output,cached,cost,unpriced\r\n"
    "tenant_5d7f0c1a2b3e4f5061728394,12,48210,9312,30000,0.160896,0\r\n"
)
USAGE_ROWS: Document = {
    "rows": [
        {
            "id": "0f3c9a6d5b2e48719c0d1e2f3a4b5c6d",
            "time": "2027-01-15T08:00:00.000Z",
            "request_id": "5f6a1d2c9b3e4f708192a3b4c5d6e7f8",
            "key": "key_9c8b7a6f5e4d3c2b1a0f9e8d",
            "rule": "rule_1f2e3d4c5b6a798897a6b5c4",
            "user": "team-a",
            "tags": {"project": "search"},
            "provider": "openai-main",
            "provider_key": "pk_1f2e3d4c5b6a798897a6b5c4",
            "model_asked": "best",
            "model": "gpt-5.6",
            "api": "openai.chat",
            "status": 200,
            "stream": True,
            "usage": {"input": 4_017, "input_cached": 2_500, "output": 776, "requests": 1},
            "source": "reported",
            "cost": "0.013408",
            "attempts": 1,
            "abandoned": [],
            "duration_ms": 2310,
            "first_ms": 420,
            "budgets": {"bud_0f1e2d3c4b5a69788796a5b4:1798758000": 13_408_000},
            "adjustment": None,
        }
    ],
    "count": 1,
    "next_cursor": None,
}

BUDGET: Document = {
    "name": "team-a monthly",
    "scope": {"user": "team-a"},
    "limit": {"usd": "250.00"},
    "period": "month",
    "timezone": "Europe/Berlin",
}
INCREASE: Document = {"usd": "50.00", "until": "2027-01-20T00:00:00Z"}
_INCREASE_READ: Document = {
    "usd": "50",
    "until": "2027-01-20T00:00:00.000Z",
    "by": "platform",
    "at": "2027-01-15T08:00:00.000Z",
}
BUDGET_READ: Document = {
    **BUDGET,
    "id": "bud_0f1e2d3c4b5a69788796a5b4",
    "owner": "platform",
    "limit": {"usd": "250"},
    "starts": None,
    "on_spent": "reject",
    "downgrade_to": None,
    "at": [50, 80, 95],
    "overrun": "cut",
    "on_error": "local",
    "reserve": "p95",
    "cap_output": False,
    "unpriced": "reject",
    "increases": [_INCREASE_READ],
    "tags": [],
    **_TIMES,
    "state": {
        "limit": "300",
        "used": "12.5",
        "held": "0.02",
        "remaining": "287.48",
        "over": "0",
        "lost": 0,
        "period_start": "2026-12-31T23:00:00.000Z",
        "resets_at": "2027-01-31T23:00:00.000Z",
    },
}
BUDGET_LIST: Document = {**page("budgets", BUDGET_READ), "of_tier": []}
WHAT_IF_INPUT: Document = {
    "from": "2027-01-09",
    "to": "2027-01-15",
    "limits": {"per_key": {"limit": 100_000, "unit": "tokens", "window": "1m"}},
}
WHAT_IF: Document = {
    "from": "2027-01-09",
    "to": "2027-01-15",
    "calls": 8_130,
    "is_truncated": False,
    "oldest_at": "2027-01-09T00:00:03.120Z",
    "limits": [
        {
            "name": "per_key",
            "unit": "tokens",
            "limit": 100_000,
            "window_ms": 60_000,
            "requests": 8_130,
            "rejected": 12,
            "unpriced": 0,
            "first_rejected_at": "2027-01-12T09:30:01.004Z",
            "peak": 131_077,
            "peak_at": "2027-01-12T09:30:22.871Z",
            "keys": [
                {"key": "key_9c8b7a6f5e4d3c2b1a0f9e8d", "name": "search", "requests": 6_012, "rejected": 12}
            ],
        }
    ],
}
