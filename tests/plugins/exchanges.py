"""Exchanges for plugins to judge."""

from typing import Any

from shared.model.config import Rule, Tenant
from shared.model.messages import Exchange, Headers, Request, Response


def exchange(
    body: bytes | None = b"",
    *,
    method: str = "POST",
    client: str = "203.0.113.7",
    response: Response | None = None,
    **headers: str | tuple[str, ...],
) -> Exchange:
    """A request with `headers` (underscores become dashes), and the upstream's `response` to it."""
    request = Request(method, "/v1/chat/completions", head(**headers), body=body)
    tenant, rule = Tenant("t1", "Tenant", "tenant"), Rule("r1", "/", "https://api.example.com")
    return Exchange("req-1", tenant, rule, request, client, response=response)


def head(**headers: Any) -> Headers:
    several = {name: (values,) if isinstance(values, str) else values for name, values in headers.items()}
    return Headers((name.replace("_", "-"), value) for name, values in several.items() for value in values)
