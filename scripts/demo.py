"""The demo tenant of a local gateway, and example calls for it."""

import json
import os
from pathlib import Path
from typing import Any

import requests

from shared.settings import Settings

PATH = "/v1/chat/completions"
_LIMIT = {"name": "rate_limiter", "settings": {"limit": 3, "window": "10s"}}
_CALL = {"model": "demo", "messages": [{"role": "user", "content": "Hello!"}]}
#: The tenant of the first example in the README.
_EXAMPLE = {
    "name": "Test Company",
    "subdomain": "testcompany",
    "tier": "pro",
    "enabled_plugins": ["rate_limiter"],
    "required_plugins": {
        "security_validator": {
            "name": "security_validator",
            "enabled": True,
            "priority": 1,
            "stage": "pre_request",
            "settings": {"required_headers": ["X-Request-ID"]},
        }
    },
}


class DemoFailed(Exception):
    """A call of the admin API failed."""


class Api:
    """The admin API with the platform key."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = f"{url}/api/v1"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of the response. Raises `DemoFailed` on an error."""
        with requests.Session() as session:
            session.trust_env = False  # a proxy of the environment cannot reach this machine
            try:
                response = session.request(
                    method, self._url + path, json=body, headers=self._headers, timeout=10
                )
                if response.ok:
                    return response.json()
                raise DemoFailed(f"{method} {path}: {response.status_code} {response.text.strip()}")
            except requests.RequestException as error:
                raise DemoFailed(f"{method} {path}: {error}") from None


def demo_key(api: Api, settings: Settings, *, create: bool) -> str | None:
    """A key of the tenant `demo`; None when the tenant does not exist.

    With `create`, an empty store gets the tenant and its rule. The key is saved in data_dir for later starts.
    The rule's target is updated to demo.port.
    """
    tenants = api("GET", "/tenants?limit=500")["tenants"]
    tenant = next((one for one in tenants if one["subdomain"] == "demo"), None)
    if tenant is None and (tenants or not create):
        return None
    if tenant is None:
        tenant = api("POST", "/tenants", {"name": "Demo", "subdomain": "demo"})
        _save_key(settings, tenant["id"], tenant["api_key"])
    key = _saved_key(settings, tenant["id"]) or _new_key(api, settings, tenant["id"])
    _ensure_rule(api, tenant["id"], f"http://127.0.0.1:{settings.demo.port}")
    return key


def _ensure_rule(api: Api, tenant_id: str, target: str) -> None:
    rules = api("GET", f"/tenants/{tenant_id}/rules?limit=500")["rules"]
    rule = next((one for one in rules if one["path"] == PATH), None)
    if rule is None:
        body = {"path": PATH, "target": target, "strip_path": False, "plugin_chain": [_LIMIT]}
        api("POST", f"/tenants/{tenant_id}/rules", body)
    elif rule["target"].startswith("http://127.0.0.1:") and rule["target"] != target:
        api("PATCH", f"/tenants/{tenant_id}/rules/{rule['id']}", {"target": target})


def _new_key(api: Api, settings: Settings, tenant_id: str) -> str:
    key = api("POST", f"/tenants/{tenant_id}/api-keys", {"name": "run_local.sh"})["key"]
    _save_key(settings, tenant_id, key)
    return str(key)


def _file(settings: Settings) -> Path:
    return settings.data_dir / "demo.json"


def _save_key(settings: Settings, tenant_id: str, key: str) -> None:
    """Save the key atomically, readable by this user only."""
    new = _file(settings).with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"tenant": tenant_id, "key": key}, file)
    new.replace(_file(settings))


def _saved_key(settings: Settings, tenant_id: str) -> str | None:
    """The saved key of this tenant; None without one."""
    try:
        saved = json.loads(_file(settings).read_text())
        return str(saved["key"]) if saved["tenant"] == tenant_id else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def free_subdomain(api: Api) -> str:
    """The subdomain of the example, with a number appended when it is taken."""
    taken = {tenant["subdomain"] for tenant in api("GET", "/tenants?limit=500")["tenants"]}
    names = (_EXAMPLE["subdomain"], *(f"{_EXAMPLE['subdomain']}{number}" for number in range(2, 1000)))
    return next(str(name) for name in names if name not in taken)


def curl_lines(
    admin: str, proxy: str, key: str, subdomain: str, *, token: bool, direct: bool = True
) -> list[tuple[str, str]]:
    """The example calls for a shell, each with a description that begins with its status.

    Without `direct`, the environment has a proxy, which cannot reach this machine.
    """
    seed = json.dumps({**_EXAMPLE, "subdomain": subdomain})
    call, kind = json.dumps(_CALL), "-H 'Content-Type: application/json'"
    platform = ' -H "Authorization: Bearer $GATEWAY_ADMIN_TOKEN"' if token else ""
    sent = f"-H 'Authorization: Bearer {key}' {kind} -d '{call}'"
    # The proxy's certificate is for the host names of tenants, not for localhost.
    here = "curl" if direct else "curl --noproxy '*'"
    curl = f"{here} -k" if proxy.startswith("https:") else here
    body, codes = r"-s -w '\n%{http_code}\n'", r"-s -o /dev/null -w '%{http_code}\n'"
    return [
        ("201  create a tenant", f"{here} {body} {admin}/api/v1/tenants{platform} {kind} -d '{seed}'"),
        ("200  call the demo upstream through the proxy", f"{curl} {body} {proxy}{PATH} {sent}"),
        (
            "429  repeat it five times, which exceeds the limit of 3 per 10s",
            f"{curl} {codes} '{proxy}{PATH}?call=[1-5]' {sent}",
        ),
    ]
