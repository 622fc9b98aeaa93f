"""The example bodies and responses in the OpenAPI document. Each is valid as it is."""

from collections.abc import Mapping
from typing import Any

type Document = Mapping[str, Any]

_TIMES = {"created_at": "2027-01-15T08:00:00.000Z", "updated_at": "2027-01-15T08:00:00.000Z"}
_SECRET = "gwk_Ab12Cd34" + "0" * 49  # no key: its checksum is wrong

TENANT: Document = {
    "name": "Acme",
    "subdomain": "acme",
    "tier": "pro",
    "enabled_plugins": ["rate_limiter"],
    "required_plugins": {
        "security_validator": {"priority": 1, "settings": {"blocked_ips": ["203.0.113.0/24"]}}
    },
}
_ENTRY: Document = {
    "enabled": True,
    "stage": "pre_request",
    "priority": 1,
    "parallel": False,
    "on_error": "closed",
    "timeout": 1.0,
    "mode": "enforce",
}
WARNINGS: Document = {
    "warnings": [
        {
            "rule_id": "rule_9c8b7a6f5e4d3c2b1a0f9e8d",
            "rule_path": "/v1",
            "rejects": False,
            "pointer": "/ai/providers",
            "detail": "The tenant has no provider yet, so the rule has no models.",
        }
    ],
    "fault": None,
}
TENANT_READ: Document = {
    **TENANT,
    "id": "tenant_5d7f0c1a2b3e4f5061728394",
    "status": "active",
    "required_plugins": {
        "security_validator": {
            **_ENTRY,
            "name": "security_validator",
            "settings": {"blocked_ips": ["203.0.113.0/24"]},
        }
    },
    "cors": None,
    "tags": [],
    "plugin_chain": [],
    **_TIMES,
    "version": 1,
}
TENANT_CREATED: Document = {**TENANT_READ, "warnings": [], "api_key": _SECRET, "key": _SECRET}

RULE: Document = {
    "name": "v1",
    "path": "/v1",
    "target": "https://api.openai.com",
    "methods": ["GET", "POST"],
    "strip_path": False,
    "headers": {"Authorization": "Bearer sk-..."},
    "timeouts": {"connect": "5s", "first_byte": "60s"},
    "limits": {"request_body": "25MB"},
    "plugin_chain": [{"name": "rate_limiter", "priority": 1, "settings": {"limit": 100, "window": "1m"}}],
}
RULE_READ: Document = {
    **RULE,
    "id": "rule_1f2e3d4c5b6a798897a6b5c4",
    "targets": None,
    "ai": None,
    "match": "prefix",
    "preserve_host": False,
    "active": True,
    "public": False,
    "headers": {"Authorization": {"set": True}},
    "timeouts": {"connect": 5.0, "first_byte": 60.0, "idle": None, "total": None},
    "limits": {"request_body": 26_214_400, "response_body": None},
    "streams": "pass",
    "encoded_slashes": "reject",
    "ca": None,
    "credential": "provider",
    "identity_headers": None,
    "trace_headers": None,
    "upstream_headers": "drop",
    "stream_keepalive": None,
    "drain_on_disconnect": None,
    "cors": None,
    "tags": [],
    **dict.fromkeys(("strategy", "affinity", "retry", "breaker", "stream", "health")),
    "plugin_chain": [
        {
            **_ENTRY,
            "name": "rate_limiter",
            "settings": {"limit": 100, "window": "1m"},
            "on_error": "local",
        }
    ],
    **_TIMES,
}

API_KEY: Document = {
    "name": "production",
    "scopes": ["proxy"],
    "models": ["gpt-*", "best"],
    "deny_models": ["gpt-5.6-pro"],
    "user": "team-a",
    "metadata": {"project": "search"},
}
API_KEY_READ: Document = {
    "id": "key_9c8b7a6f5e4d3c2b1a0f9e8d",
    "name": "production",
    "prefix": "gwk_Ab12Cd34",
    "scopes": ["proxy"],
    "status": "active",
    "expires_at": None,
    "last_used_at": None,
    "created_at": "2027-01-15T08:00:00.000Z",
    "models": ["gpt-*", "best"],
    "deny_models": ["gpt-5.6-pro"],
    "providers": None,
    "user": "team-a",
    "metadata": {"project": "search"},
    "first": None,
    "tags": [],
}
API_KEY_CREATED: Document = {**API_KEY_READ, "key": _SECRET, "api_key": _SECRET}
API_KEY_REVOKED: Document = {
    **API_KEY_READ,
    "scopes": ["admin", "proxy"],
    "status": "revoked",
    "warnings": [
        {
            "pointer": "/scopes",
            "detail": "No active key with scope admin is left. Only the platform can create one now.",
        }
    ],
}

ROTATE: Document = {"overlap": "24h"}

TIER: Document = {
    "name": "basic",
    "limits": {"global": {"limit": 600, "window": "1m"}},
    "concurrent": 20,
    "max_rules": 100,
    "max_keys": 50,
    "max_providers": 10,
    "max_models": 100,
    "max_targets": 20,
    "max_budgets": 50,
}
TIERS: Document = {"tiers": [TIER]}

PLUGIN: Document = {
    "name": "model_alias",
    "summary": "Replace the names of models.",
    "description": "Replace the names of models.",
    "stages": ["pre_request"],
    "default_stage": "pre_request",
    "default_on_error": "closed",
    "on_error_choices": ["closed", "open"],
    "default_timeout": 1.0,
    "reads": ["body", "headers"],
    "changes": ["body"],
    "streams": "any",
    "merges_entries": False,
    "example": {"name": "model_alias", "settings": {"aliases": {"fast": "gpt-4o-mini"}}},
    "secret_settings": [],
    "settings_schema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "aliases": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "title": "Aliases",
                "description": "Replacement names by requested name.",
            }
        },
        "required": ["aliases"],
        "additionalProperties": False,
    },
}

RATE_LIMITS: Document = {
    "limits": [
        {
            "scope": "rule",
            "rule_id": RULE_READ["id"],
            "rule_path": "/v1",
            "key_id": None,
            "key_name": None,
            "name": "global",
            "unit": "requests",
            "limit": 100,
            "window": "1m",
            "used": 1,
            "remaining": 99,
            "reset_after_ms": 60_000,
        }
    ]
}
ALL_RATE_LIMITS: Document = {
    "limits": [{"tenant_id": TENANT_READ["id"], "tenant_name": "Acme", **RATE_LIMITS["limits"][0]}],
    "tenants": 1,
    "next_cursor": None,
}

EXPLAIN: Document = {
    "method": "POST",
    "path": "/v1/chat/completions",
    "headers": {"Content-Type": "application/json", "X-Request-ID": "req-123"},
    "body": '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello!"}]}',
    "client": "198.51.100.7",
}


def _plugin(name: str, origin: str, on_error: str) -> Document:
    return {
        "name": name,
        "mode": "enforce",
        "entries": [{"origin": origin, "priority": 1, "parallel": False}],
        "on_error": on_error,
        "timeout": 1.0,
        "verdict": "continue",
        "detail": None,
        "milliseconds": 0.02,
    }


EXPLANATION: Document = {
    "outcome": "forwarded",
    "tenant": {"id": TENANT_READ["id"], "subdomain": "acme", "version": 2},
    "key_id": API_KEY_READ["id"],
    "rule_id": RULE_READ["id"],
    "rules": [
        {
            "id": RULE_READ["id"],
            "path": "/v1",
            "methods": ["GET", "POST"],
            "matches": True,
            "why_not": None,
            "fault": None,
        }
    ],
    "plan": [
        {
            "stage": "pre_request",
            "groups": [
                {"needs_body": False, "milliseconds": 0.03, "plugins": [plugin]}
                for plugin in (
                    _plugin("security_validator", "required", "closed"),
                    _plugin("rate_limiter", "rule", "local"),
                )
            ],
        }
    ],
    "limits": [
        {
            "scope": "rule",
            "name": "global",
            "unit": "requests",
            "limit": 100,
            "window": "1m",
            "cost": 1,
            "allows": True,
            "before": {"remaining": 100, "reset_after_ms": 0},
            "after": {"remaining": 99},
        }
    ],
    "ai": None,
    "upstream": {
        "method": "POST",
        "url": "https://api.openai.com/v1/chat/completions",
        "headers": [
            {"name": "Host", "value": "api.openai.com"},
            {"name": "Content-Type", "value": "application/json"},
            {"name": "Authorization", "value": "[redacted]"},
            {"name": "X-Request-ID", "value": "req-123"},
        ],
        "body": EXPLAIN["body"],
        "body_bytes": 77,
    },
    "response": None,
    "warnings": [],
}

ME: Document = {
    "is_platform": False,
    "actor": "key:key_5f6a1d2c9b3e4f708192a3b4",
    "scopes": ["read"],
    "tenant": {"id": "tenant_5d7f0c1a2b3e4f5061728394", "subdomain": "acme", "name": "Acme"},
    "session": False,
}
LIVENESS: Document = {"status": "ok"}
READINESS: Document = {
    "status": "ok",
    "parts": {"store": "ok", "plugins": "ok"},
    "store": {"address": "localhost:6379", "mode": "external", "tenants": 12, "faults": {}},
}
UNREADINESS: Document = {"status": "unavailable", "parts": {"store": "unavailable", "plugins": "ok"}}


def page(name: str, item: Document) -> Document:
    """A list with one item."""
    return {name: [item], "count": 1, "next_cursor": None}


def changed(resource: Document) -> Document:
    """The response to a change without warnings."""
    return {**resource, "warnings": []}
