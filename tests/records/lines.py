"""Lines of the access log, as the proxy makes them."""

from typing import Any

from shared.log_lines import ACCESS, KINDS, fields_of
from shared.records.line import REST, SAME, SHOWN, AccessLine

NOW = 1_796_083_200.0
_NAMES = [field.name for kind in KINDS if kind.logger == ACCESS for field in fields_of(kind)]
AI = {
    "api": "openai_chat",
    "model": "gpt-5.6",
    "provider": "openai",
    "provider_key": "pk_1",
    "attempts": [{"target": "openai/gpt-5.6", "key": "pk_1", "status": 200, "why": "", "ms": 120}],
    "input": 1_000,
    "input_cached": 400,
    "output": 50,
    "usage_source": "reported",
    "cost": "0.0015",
}


def line(number: int = 1, **members: Any) -> dict[str, Any]:
    """The line of a request that was served."""
    usual = {
        "level": "info",
        "logger": ACCESS,
        "request_id": f"req-{number}",
        "tenant": "acme",
        "rule": "rule_1",
        "key": "key_1",
        "client": "203.0.113.9",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "source": "upstream",
        "stream": False,
        "faults": [],
        "shadow": [],
        "milliseconds": 103.5,
        "upstream": "api.test:443",
        "upstream_status": 200,
        "upstream_ms": 100.0,
        "attempts": 1,
        "bytes_in": 100,
        "bytes_held": 0,
        "bytes_out": 500,
    }
    return {**{name: None for name in _NAMES if name != "time"}, **usual, **members}


def access_line(members: dict[str, Any]) -> AccessLine:
    """The same as the proxy keeps it for the log and for the record."""
    return AccessLine({name: members[name] for name in (*SAME, *SHOWN, REST, *members)})
