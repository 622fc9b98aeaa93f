"""No credential of a provider or of a client is kept or shown anywhere, whatever the calls end with."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import requests

from tests.support.certificates import Authority
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.peer import Received
from tests.support.ports import free_port
from tests.support.upstream import Upstream, replying, sized

# Most have no shape that `redact` knows, so nothing but care keeps them away.
OURS = {
    "key": "ours+key/0123456789abcdef",
    "header": "ours-header-0123456789abcdef",
    "query": "ours query 0123456789abcdef",
    "plain": "ours-plain-0123456789abcdef",
    "file": "ours-file-0123456789abcdef",
}
THEIRS = {
    "bearer": "sk-ant-oat01-theirs-0123456789abcdef",
    "api_key": "theirs-api-key-0123456789abcdef",
    "parameter": "theirs-parameter-0123456789abcdef",
    "other": "theirs-other-0123456789abcdef",
    "cookie": "theirs-cookie-0123456789abcdef",
}
# As Claude Code calls with a subscription.
CLAUDE_CODE = {
    "Authorization": f"Bearer {THEIRS['bearer']}",
    "anthropic-beta": "claude-code-20250219,oauth-2025-04-20",
    "anthropic-version": "2023-06-01",
    "User-Agent": "claude-cli/2.1.0 (external, cli)",
}
STATUSES = {"401": "401 Unauthorized", "429": "429 Too Many Requests", "500": "500 Internal Server Error"}
QUERY = f"?beta=true&key={THEIRS['parameter']}&subscription-key={THEIRS['other']}&api-key={THEIRS['other']}"


def respond(request: Received) -> bytes:
    """A success, or the status that the model names, which repeats what was sent, as some providers do."""
    found = re.search(rb'm-(\d+)"', request.body)
    status = found[1].decode() if found else "200"
    sent = [request.get("authorization"), request.get("x-api-key"), request.get("x-canary"), request.target]
    said = [one for one in sent if one and ("ours" in one or (status == "401" and one.startswith("Bearer")))]
    if status == "200":
        document: Any = {"type": "message", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}}
    else:
        document = {"type": "error", "error": {"type": "x", "message": f"wrong: {said}"}}
    return sized(
        json.dumps(document).encode(), STATUSES.get(status, "200 OK"), "Content-Type: application/json"
    )


class World:
    """A gateway with providers that work, refuse connections, and show a certificate of nobody."""

    def __init__(self, gateway: RunningGateway, ports: dict[str, str], secrets: Path) -> None:
        self.gateway, self.ports, self.secrets = gateway, ports, secrets
        self.tenant: TenantInUse = gateway.create_tenant()
        self.shown: list[str] = []
        self.ids: list[str] = []

    def note(self, response: requests.Response) -> requests.Response:
        self.shown.append(f"{response.headers}\n{response.text}")
        return response

    def admin(self, method: str, path: str, **more: Any) -> Any:
        response = self.note(self.gateway.call(method, path, **more))
        assert response.ok, response.text
        return response.json()

    def configure(self) -> None:
        own = f"/tenants/{self.tenant.id}"
        for name, url in self.ports.items():
            secret = {"file": "provider"} if name == "shared" else OURS["key"]
            provider = {
                "name": name,
                "kind": "custom",
                "base_url": f"{url}/v1",
                "apis": ["anthropic.messages"],
                "keys": [{"name": "main", "secret": secret}],
                "headers": {"X-Canary": OURS["header"]},
                "query": {"canary": OURS["query"]},
                "discover": "10m",
            }
            if name == "shared":
                self.ids.append(
                    "/providers/" + self.admin("POST", "/providers", json=provider | {"shared": "all"})["id"]
                )
            else:
                self.ids.append(
                    f"{own}/providers/" + self.admin("POST", f"{own}/providers", json=provider)["id"]
                )
            plain = {"path": f"/plain/{name}", "target": url, "headers": {"x-api-key": OURS["plain"]}}
            clients = {"path": f"/clients/{name}", "credential": "client", "ai": {"providers": [name]}}
            direct = {"path": f"/direct/{name}", "credential": "client", "target": url}
            served = {"path": f"/ai/{name}", "ai": {"providers": [name]}}
            for rule in (plain, clients, direct, served):
                self.admin("POST", f"{own}/rules", json=rule)
        self.tenant.await_rule("/ai/refused")

    def call(self) -> set[int]:
        """Call each rule with each outcome. Returns the statuses."""
        statuses = set()
        for name in self.ports:
            for status in ("200", *STATUSES):
                body = {
                    "model": f"{name}/m-{status}",
                    "max_tokens": 1,
                    "messages": [{"role": "user", "content": "x"}],
                }
                for rule in ("plain", "ai", "clients", "direct"):
                    key = {"X-Gateway-Key": self.tenant.key}
                    foreign = {"x-api-key": THEIRS["api_key"], "Cookie": f"a={THEIRS['cookie']}"}
                    got = self.tenant.request(
                        "POST",
                        f"/{rule}/{name}/v1/messages{QUERY}",
                        json=body,
                        headers={**CLAUDE_CODE, **foreign, **key},
                    )
                    statuses.add(got.status_code)
                    # An error about the client's own credential is for the client.
                    if rule not in ("clients", "direct", "plain"):
                        self.note(got)
        return statuses

    def look(self) -> None:
        """Ask the admin API for all that tells of providers and calls, and read the metrics."""
        for is_admin in (False, True):
            self.shown.append("\n".join(self.gateway.metrics(admin=is_admin)))
        own = f"/tenants/{self.tenant.id}"
        for path in ("providers", "models", "rules", "usage", "usage/rows", "requests", "versions", ""):
            self.note(self.gateway.call("GET", f"{own}/{path}".rstrip("/")))
        for one in self.admin("GET", f"{own}/requests?limit=200")["requests"]:
            self.admin("GET", f"{own}/requests/{one['id']}")
        for provider in self.ids:
            self.admin("GET", provider)
            for deep in (False, True):
                self.admin("POST", f"{provider}/test", json={"deep": deep, "model": "m-401"})
        asked = {"method": "POST", "path": f"/ai/own/v1/messages{QUERY}", "headers": CLAUDE_CODE}
        for rule in ("ai", "plain", "clients", "direct"):
            asked["path"] = f"/{rule}/own/v1/messages{QUERY}"
            for key in (None, self.tenant.key):
                body = '{"model": "own/m-200", "max_tokens": 1}'
                self.note(self.gateway.call("POST", f"{own}/explain", key, json={**asked, "body": body}))

    def flows(self) -> Iterator[str]:
        """The flows as mitmweb shows them."""
        [token] = set(re.findall(r"token=([0-9a-f]{32})", self.gateway.log("proxy")))

        def look(path: str) -> str:
            url = f"http://127.0.0.1:{self.gateway.web_port}{path}"
            return requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=5).text

        listed = look("/flows")
        yield from (listed, look("/events"), look("/state"))
        for flow in json.loads(listed):
            for part in ("request", "response"):
                yield look(f"/flows/{flow['id']}/{part}/content.data")


def leaks(text: str | bytes) -> set[str]:
    """The canaries in a text, as they are or percent-encoded."""
    data = text.encode() if isinstance(text, str) else text
    canaries = {
        **{f"our {name}": one for name, one in OURS.items()},
        **{f"their {name}": one for name, one in THEIRS.items()},
    }
    return {
        name
        for name, one in canaries.items()
        if any(form.encode() in data for form in (one, quote(one, safe=""), quote_plus(one)))
    }


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [(), ("--web",)], ids=["express", "mitmweb"])
def test_canaries_are_neither_kept_nor_shown(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    secrets, folder = tmp_path / "secrets", tmp_path / "data"
    secrets.mkdir()
    (secrets / "provider").write_text(OURS["file"])
    settings = {"GATEWAY__SECRETS__FOLDER": str(secrets)}
    nobody = Authority(tmp_path).server_context("localhost")
    with (
        Upstream(replying(respond)) as upstream,
        Upstream(replying(respond), tls=nobody) as foreign,
        RunningGateway(folder, settings, proxy_arguments=arguments) as gateway,
    ):
        ports = {
            "own": upstream.url,
            "shared": upstream.url,
            "foreign": f"https://localhost:{foreign.port}",
            "refused": f"http://127.0.0.1:{free_port()}",
        }
        world = World(gateway, ports, secrets)
        world.configure()
        assert world.call() >= {200, 401, 429, 500, 502}
        world.look()
        shown = [*world.shown, *(world.flows() if arguments else ())]
        received = b"".join(one.head for one in upstream.received)
    assert [leaks(text) for text in shown if leaks(text)] == []
    kept = {
        file.relative_to(folder): leaks(file.read_bytes()) for file in folder.rglob("*") if file.is_file()
    }
    assert {file: found for file, found in kept.items() if found} == {}
    assert any("aof" in str(file) for file in kept)
    # They were sent, each where it belongs.
    assert leaks(received) == {f"our {name}" for name in OURS} | {f"their {name}" for name in THEIRS}
    with_ours = [leaks(one.head) for one in upstream.received if leaks(one.head) & {"our key", "our file"}]
    assert with_ours
    assert not [found for found in with_ours if any(leak.startswith("their") for leak in found)]
    # A plain rule forwards cookies; its own key is alone all the same.
    plain = [leaks(one.head) for one in upstream.received if "our plain" in leaks(one.head)]
    assert {leak for found in plain for leak in found} == {"our plain", "their cookie"}
