"""The test of a provider, against servers on this machine."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import redis

from shared.config_store.store import RedisStore
from shared.net.fetch import GuardedFetch
from shared.net.policy import Policy
from shared.net.port import FetchRequest, FetchResponse
from shared.net.resolve import CheckedTarget, check_target
from shared.services import SystemClock
from tests.admin_app.world import TOKEN, Api, Tenant, World, error_of, make_world, pointers
from tests.support.upstream import Upstream, sized

SECRET = "sk-canary-0123456789abcdef"
OPEN = Policy((ip_network("127.0.0.0/8"),))


class OpenWorld(World):
    """A world whose operator allows targets on this machine. Its calls are real."""

    def check_target(self, url: str, *, allow_query: bool = False) -> CheckedTarget:
        return check_target(url, OPEN, allow_query=allow_query)

    def fetch(self, request: FetchRequest, *, ca: str | None = None, **_: Any) -> FetchResponse:
        with closing(self.open_fetch(ca)) as fetch:
            return fetch(request)

    def open_fetch(self, ca: str | None = None) -> GuardedFetch:
        return GuardedFetch(OPEN, SystemClock(), None, ca)


@pytest.fixture
def world(tmp_path: Path, client: redis.Redis) -> World:
    world = OpenWorld(make_world(tmp_path, admin__token=TOKEN).settings)
    world.store = RedisStore(client, world.settings.admin.subdomain_quarantine)
    return world


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def made(api: Api, upstream: Upstream, base: str = "", **members: Any) -> str:
    """The URL of the test of a new provider."""
    sent = {
        "name": "p",
        "kind": "openai",
        "base_url": f"{upstream.url}/v1",
        "keys": [{"secret": SECRET}],
        **members,
    }
    return f"{base}/providers/{api.create(f'{base}/providers', sent)['id']}/test"


def respond(upstream: Upstream, document: Any, status: str = "200 OK") -> None:
    upstream.responds(sized(json.dumps(document).encode(), status, "Content-Type: application/json"))


def result_of(api: Api, url: str, **members: Any) -> Mapping[str, Any]:
    response = api.post(url, members)
    assert response.status_code == 200, response.text
    result: Mapping[str, Any] = response.get_json()
    return result


def test_list_of_models_is_counted(api: Api, upstream: Upstream) -> None:
    url = made(api, upstream, headers={"X-Team": "red"}, query={"v": "1"})
    respond(upstream, {"object": "list", "data": [{"id": "a"}, {"id": "b"}]})
    found = result_of(api, url)
    assert (found["ok"], found["status"], found["models"], found["error"]) == (True, 200, 2, None)
    [request] = upstream.await_requests(1)
    assert (request.method, request.target) == ("GET", "/v1/models?v=1")
    assert request.get("authorization") == f"Bearer {SECRET}"
    assert request.get("x-team") == "red"


def test_deep_test_generates_one_token(api: Api, upstream: Upstream) -> None:
    url = made(api, upstream, kind="anthropic", base_url=upstream.url, models=[{"id": "claude-x"}])
    respond(upstream, {"type": "message", "content": []})
    assert result_of(api, url, deep=True)["ok"] is True
    [request] = upstream.await_requests(1)
    assert (request.method, request.target) == ("POST", "/v1/messages")
    assert request.get("x-api-key") == SECRET
    assert request.get("anthropic-version")
    assert json.loads(request.body)["max_tokens"] == 1
    assert json.loads(request.body)["model"] == "claude-x"


def test_deep_test_needs_the_name_of_a_model(api: Api, upstream: Upstream) -> None:
    assert pointers(api.post(made(api, upstream), {"deep": True})) == ["/model"]


def test_error_of_the_provider_is_shown_without_the_key(api: Api, upstream: Upstream) -> None:
    url = made(api, upstream, headers={"X-Team": ""})
    message = f"Incorrect API key provided: {SECRET}. Header Bearer {SECRET}"
    respond(upstream, {"error": {"message": message}}, "401 Unauthorized")
    found = result_of(api, url)
    assert (found["ok"], found["status"]) == (False, 401)
    assert found["error"].startswith("Incorrect API key provided")
    assert SECRET not in json.dumps(found)
    assert SECRET[3:] not in json.dumps(found)


def test_page_that_is_not_the_api_is_told(api: Api, upstream: Upstream) -> None:
    url = made(api, upstream)
    upstream.responds(sized(b"<html>Welcome</html>"))
    found = result_of(api, url)
    assert (found["ok"], found["status"]) == (False, 200)
    assert "base_url" in found["error"]


def test_server_that_is_not_there_is_told(api: Api, upstream: Upstream) -> None:
    url = made(api, upstream, base_url="http://127.0.0.1:9/v1")
    found = result_of(api, url)
    assert (found["ok"], found["status"]) == (False, None)
    assert found["error"] == "The connection to 127.0.0.1 failed."


@pytest.mark.parametrize("keys", [[], [{"secret": SECRET, "enabled": False}]])
def test_provider_without_a_usable_key_is_not_called(api: Api, upstream: Upstream, keys: Any) -> None:
    found = result_of(api, made(api, upstream, keys=keys))
    assert found["ok"] is False
    assert "key" in found["error"]


def test_shared_provider_is_tested_by_the_platform_only(api: Api, tenant: Tenant, upstream: Upstream) -> None:
    url = made(api, upstream, shared="all")
    assert error_of(api.post(url, {}, key=tenant.key)) == (403, "forbidden")
    assert api.post(f"{tenant.url}{url}", {}, key=tenant.key).status_code == 404
    own = made(api, upstream, tenant.url)
    respond(upstream, {"data": []})
    assert api.post(own, {}, key=tenant.key).get_json()["models"] == 0
