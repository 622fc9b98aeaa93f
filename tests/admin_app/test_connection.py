"""How clients call the rules of a tenant: addresses by the settings, APIs and models by the rules."""

from pathlib import Path
from typing import Any

import pytest

from admin_app.views.connection import addresses
from shared.documents.connection import MAX_MODELS
from shared.settings import load_settings
from tests.admin_app.world import Api, Tenant


def settings(folder: Path, **server: Any) -> Any:
    file = folder / "config.yaml"
    file.touch()
    return load_settings(file, environ={}, flags={f"server.{name}": value for name, value in server.items()})


@pytest.mark.parametrize(
    ("server", "found"),
    [
        ({}, ("http://acme.example.com:8081", "http://localhost:8081", "acme.example.com:8081:127.0.0.1")),
        (
            {"proxy_port": 80},
            ("http://acme.example.com", "http://localhost", "acme.example.com:80:127.0.0.1"),
        ),
        (
            {"shared_hosts": ["any_ip"]},
            (
                "http://acme.example.com:8081",
                "http://acme.example.com:8081",
                "acme.example.com:8081:127.0.0.1",
            ),
        ),
        ({"proxy_host": "10.0.0.1"}, ("http://acme.example.com:8081", "http://acme.example.com:8081", None)),
        (
            {"public_url": "https://{subdomain}.ai.example.org"},
            ("https://acme.ai.example.org", "https://acme.ai.example.org", None),
        ),
        (
            {"public_url": "https://ai.example.org:8443/"},
            ("https://ai.example.org:8443", "https://ai.example.org:8443", None),
        ),
    ],
)
def test_address_is_the_one_that_reaches_the_proxy_from_where_clients_are(
    tmp_path: Path, server: dict[str, Any], found: tuple[str, str, str | None]
) -> None:
    assert addresses(settings(tmp_path, **server), "acme") == found


def connected(api: Api, tenant: Tenant) -> dict[str, Any]:
    """The rules that clients can call, by their paths."""
    found = api.get(f"{tenant.url}/connection", key=tenant.key)
    assert found.status_code == 200, found.text
    return {rule["path"]: rule for rule in found.get_json()["rules"]}


def test_rule_for_ai_offers_its_models_by_its_apis_whichever_their_providers_speak(
    api: Api, tenant: Tenant
) -> None:
    key = {"keys": [{"secret": "sk-canary-0123456789abcdef"}]}
    api.create(
        "/providers", {"name": "claude", "kind": "anthropic", **key, "shared": "all", "models": [{"id": "c"}]}
    )
    api.create("/providers", {"name": "hidden", "kind": "openai", **key, "models": [{"id": "h"}]})
    declared = [{"id": "b", "aliases": ["a"]}, {"id": "other"}]
    api.create(f"{tenant.url}/providers", {"name": "own", "kind": "openai", **key, "models": declared})
    targets = [{"provider": "claude", "model": "c"}, {"provider": "own", "model": "b"}]
    api.create(f"{tenant.url}/models", {"name": "best", "targets": targets})
    ai: Any = {"models": ["a", "b", "best", "c"], "default_model": "best"}
    apis = ["openai.chat", "anthropic.messages"]
    api.create(f"{tenant.url}/rules", {"path": "/ai", "ai": {**ai, "apis": apis}})
    rule = connected(api, tenant)["/ai"]
    assert (rule["kind"], rule["base_path"], rule["apis"]) == ("ai", "/ai", sorted(apis))
    # An API that their providers do not speak is translated.
    assert {one["name"]: one["apis"] for one in rule["models"]} == dict.fromkeys(ai["models"], sorted(apis))
    assert rule["models"][0]["name"] == "best"


def test_list_of_models_is_bounded(api: Api, tenant: Tenant) -> None:
    many = [{"id": f"m{number:03}"} for number in range(MAX_MODELS + 1)]
    api.create(f"{tenant.url}/providers", {"name": "own", "kind": "openai", "models": many})
    api.create(f"{tenant.url}/rules", {"path": "/ai", "ai": {}})
    assert len(connected(api, tenant)["/ai"]["models"]) == MAX_MODELS


def test_plain_rule_has_the_apis_of_its_target_unless_its_path_names_one(api: Api, tenant: Tenant) -> None:
    for path in ("/v1", "/x/v1/messages", "/off", "/get"):
        api.rule(tenant, path, active=path != "/off", methods=["GET"] if path == "/get" else [])
    rules = connected(api, tenant)
    assert list(rules) == ["/v1", "/x/v1/messages"]
    assert (rules["/v1"]["kind"], rules["/v1"]["base_path"], rules["/v1"]["apis"]) == ("plain", "", None)
    assert (rules["/x/v1/messages"]["base_path"], rules["/x/v1/messages"]["apis"]) == (
        "/x",
        ["anthropic.messages"],
    )
    assert (rules["/v1"]["models"], rules["/v1"]["public"], rules["/v1"]["credential"]) == (
        [],
        False,
        "provider",
    )


def test_other_tenant_learns_nothing_of_a_connection(api: Api, tenant: Tenant) -> None:
    other = api.tenant("globex")
    assert api.get(f"{tenant.url}/connection", key=other.key).status_code == 404
