"""Rules and dry runs for the tests of explain."""

from typing import Any

from tests.admin_app.world import Api, Tenant

LIMITER = {"name": "rate_limiter", "priority": 1, "settings": {"limit": 2, "window": "1m"}}
ASKING = {
    "name": "external_validator",
    "priority": 2,
    "parallel": True,
    "settings": {
        "endpoint": "https://checks.example/ask",
        "headers": {"Authorization": "Bearer validator-secret"},
        "fields": ["model"],
        "conditions": [{"field": "bad", "operator": "exists", "message": "It is bad."}],
    },
}
CHECKING = {"name": "content_validator", "priority": 2, "parallel": True, "settings": {"max_size": "1KB"}}
CHAT = {"method": "POST", "path": "/v1/chat?a=1", "body": '{"model": "m"}'}


def new_rule(api: Api, tenant: Tenant, path: str = "/v1", **fields: Any) -> Any:
    return api.rule(tenant, path, **{"target": "https://api.openai.com/base", **fields})["id"]


def judging_responses(settings: dict[str, Any]) -> dict[str, Any]:
    return {"name": "content_validator", "stage": "pre_response", "settings": settings}


def asked(api: Api, tenant: Tenant, **more: Any) -> Any:
    """The explanation of a call with the tenant's first key."""
    named = {"key_id": api.first_key(tenant), **CHAT, **more}
    sent = {name: value for name, value in named.items() if value is not None}
    response = api.post(f"{tenant.url}/explain", sent)
    assert response.status_code == 200, response.text
    return response.get_json()


def plugins(explained: Any, stage: str = "pre_request") -> list[list[tuple[str, str]]]:
    """Name and verdict of each plugin, by group."""
    groups = [one["groups"] for one in explained["plan"] if one["stage"] == stage]
    return [[(one["name"], one["verdict"]) for one in group["plugins"]] for group in (groups or [[]])[0]]
