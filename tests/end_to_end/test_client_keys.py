"""Where clients put their keys: SDKs send them in many places, and no gateway key travels upstream."""

import anthropic
import openai
import pytest
import requests

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream

FOREIGN = "sk-ant-oat01-their-own"


@pytest.fixture(scope="module")
def tenant(gateway: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    tenant = gateway.create_tenant()
    tenant.create_rule("/v1", everlasting_upstream.url)
    tenant.create_rule("/own", everlasting_upstream.url, credential="client", strip_path=True)
    tenant.create_rule("/open", everlasting_upstream.url, credential="client", public=True)
    return tenant


def sent(tenant: TenantInUse, path: str, **headers: str) -> requests.Response:
    """A call on a shared host, where the key names the tenant."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.get(tenant.gateway.proxy + path, headers=named, timeout=15)


@pytest.mark.parametrize("name", ["x_goog_api_key", "X_Gateway_Key", "x_api_key", "api_key"])
def test_key_in_the_header_of_an_sdk_names_the_tenant(
    tenant: TenantInUse, upstream: Upstream, name: str
) -> None:
    assert sent(tenant, "/v1/x", **{name: tenant.key}).status_code == 200
    assert tenant.key.encode() not in upstream.received[0].head


def test_key_in_the_query_is_read_and_cut_out(tenant: TenantInUse, upstream: Upstream) -> None:
    assert sent(tenant, f"/v1/m:streamGenerateContent?alt=sse&key={tenant.key}&a=%20").status_code == 200
    assert upstream.received[0].target == "/v1/m:streamGenerateContent?alt=sse&a=%20"
    assert sent(tenant, f"/v1/m?key={tenant.key}").status_code == 200
    assert upstream.received[1].target == "/v1/m"


def test_foreign_credential_beside_a_valid_key_is_no_error_and_stays_here(
    tenant: TenantInUse, upstream: Upstream
) -> None:
    response = sent(tenant, "/v1/x", Authorization=f"Bearer {FOREIGN}", x_api_key=tenant.key)
    assert response.status_code == 200
    assert FOREIGN.encode() not in upstream.received[0].head


def test_key_in_a_fourth_place_does_not_travel(tenant: TenantInUse, upstream: Upstream) -> None:
    key = tenant.key
    response = sent(
        tenant,
        f"/v1/x?note={key}&b=1",
        Authorization=f"Bearer {key}",
        X_Note=f"see {key}",
        Cookie=f"a=1; session={key}",
        Referer=f"https://app.example/?key={key}",
    )
    assert response.status_code == 200
    (seen,) = upstream.received
    assert key.encode() not in seen.head
    assert (seen.target, seen.get("cookie"), seen.get("x-note")) == ("/v1/x?b=1", "a=1", "see")


def test_key_in_the_path_is_rejected(tenant: TenantInUse, upstream: Upstream) -> None:
    response = sent(tenant, f"/v1/bot{tenant.key}/send", x_api_key=tenant.key)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_request")
    assert not upstream.received


MESSAGE = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}


def test_anthropic_sdk_with_its_own_token_forwards_it(tenant: TenantInUse, upstream: Upstream) -> None:
    own = {"X-Gateway-Key": tenant.key}
    with anthropic.Anthropic(
        base_url=tenant.gateway.proxy + "/own", auth_token=FOREIGN, default_headers=own, max_retries=0
    ) as client:
        client.post("/v1/messages", body=MESSAGE, cast_to=object)
    (seen,) = upstream.received
    assert seen.target == "/v1/messages"
    assert seen.all("authorization") == [f"Bearer {FOREIGN}"]
    assert tenant.key.encode() not in seen.head


def test_openai_sdk_with_its_own_key_forwards_it(tenant: TenantInUse, upstream: Upstream) -> None:
    own = {"X-Gateway-Key": tenant.key}
    with openai.OpenAI(
        base_url=tenant.gateway.proxy + "/own/v1", api_key="sk-own", default_headers=own, max_retries=0
    ) as client:
        client.post("/chat/completions", body=MESSAGE, cast_to=object)
    assert upstream.received[0].all("authorization") == ["Bearer sk-own"]


def test_own_credentials_in_all_places_pass_untouched(tenant: TenantInUse, upstream: Upstream) -> None:
    places = {"Authorization": "Bearer a", "x_api_key": "b", "api_key": "c", "x_goog_api_key": "AIza"}
    assert sent(tenant, "/own/x?key=AIza%20&b", X_Gateway_Key=tenant.key, **places).status_code == 200
    (seen,) = upstream.received
    found = [seen.get(name.replace("_", "-")) for name in places]
    assert (found, seen.target) == (list(places.values()), "/x?key=AIza%20&b")


def test_gateway_key_outside_its_header_does_not_open_a_client_rule(
    tenant: TenantInUse, upstream: Upstream
) -> None:
    response = sent(tenant, "/own/x", Authorization=f"Bearer {tenant.key}")
    assert (response.status_code, response.json()["error"]["code"]) == (401, "missing_api_key")
    assert "X-Gateway-Key" in response.json()["error"]["message"]
    assert not upstream.received


def test_public_client_rule_needs_no_gateway_key_and_forwards_none(
    tenant: TenantInUse, upstream: Upstream
) -> None:
    head = {"Host": tenant.host}
    assert sent(tenant, "/open/x", **head, Authorization="Bearer sk-own").status_code == 200
    assert sent(tenant, "/open/x", **head, Authorization=f"Bearer {tenant.key}").status_code == 200
    assert [seen.get("authorization") for seen in upstream.received] == ["Bearer sk-own", None]


def test_own_credential_is_in_no_log_line(tenant: TenantInUse, upstream: Upstream) -> None:
    sent(
        tenant,
        "/own/error?key=AIzaSecretOfTheirs",
        X_Gateway_Key=tenant.key,
        Authorization="Bearer sk-secret-1",
    )
    log = tenant.gateway.log("proxy")
    assert "AIzaSecretOfTheirs" not in log
    assert "sk-secret-1" not in log


def test_rule_with_a_credential_of_its_own_cannot_be_a_client_rule(tenant: TenantInUse) -> None:
    body = {
        "path": "/both",
        "target": "https://a.example",
        "credential": "client",
        "headers": {"X-Api-Key": "k"},
    }
    response = tenant.gateway.call("POST", f"/tenants/{tenant.id}/rules", json=body)
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == ["/headers/X-Api-Key"]
