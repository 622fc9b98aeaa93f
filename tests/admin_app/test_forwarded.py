"""The admin API behind a proxy of the operator: its pages, its links, its clients."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from admin_app.auth.failed_logins import MAX_FAILURES
from shared.documents import examples
from tests.admin_app.world import TOKEN, Api, World, app_of, error_of, make_world

NGINX = {"Host": "gateway.example", "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Prefix": "/admin-api"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path, admin__token=TOKEN, trusted_proxies=["127.0.0.1/32"])


@pytest.mark.parametrize("url", ["/docs", "/docs/start.js", "/openapi.json", "/livez", "/version", "/health"])
@pytest.mark.parametrize("key", [None, TOKEN, "nonsense"])
def test_public_page_behind_a_proxy_is_served(api: Api, url: str, key: str | None) -> None:
    headers = {**NGINX, **({"Authorization": f"Bearer {key}"} if key else {})}
    assert api.client.get(url, headers=headers, buffered=True).status_code == 200


def test_public_page_behind_a_proxy_is_served_without_a_token_too(tmp_path: Path) -> None:
    api = Api(app_of(make_world(tmp_path)))
    assert api.get("/docs", headers=NGINX).status_code == 200
    assert error_of(api.get("/tenants", headers=NGINX)) == (401, "missing_api_key")


def test_page_below_a_prefix_links_to_what_is_below_it(api: Api) -> None:
    page = api.get("/docs", key=None, headers=NGINX).text
    assert 'src="docs/start.js"' in page
    assert 'href="/' not in page
    assert 'src="/' not in page
    assert '"openapi.json"' in api.get("/docs/start.js", key=None).text
    slash = api.get("/docs/", key=None)
    assert (slash.status_code, slash.headers["Location"]) == (308, "../docs")


def test_prefix_of_a_trusted_proxy_is_in_the_document_and_in_locations(api: Api) -> None:
    document = api.get("/openapi.json", headers=NGINX).get_json()
    assert document["servers"] == [{"url": "/admin-api"}]
    made = api.post("/tenants", examples.TENANT, headers=NGINX)
    assert made.headers["Location"] == f"/admin-api/api/v1/tenants/{made.get_json()['id']}"


@pytest.mark.parametrize(
    ("headers", "peer"),
    [
        ({"X-Forwarded-Prefix": "/evil"}, "10.0.0.9"),
        ({"X-Forwarded-Prefix": "/evil"}, ""),
        ({}, "127.0.0.1"),
        *(
            ({"X-Forwarded-Prefix": prefix}, "127.0.0.1")
            for prefix in ("evil", "//evil.example", "/a//b", "/a?b", "https://evil.example", "/a, /b", "/")
        ),
    ],
)
def test_prefix_of_others_or_of_another_form_is_ignored(
    api: Api, headers: Mapping[str, str], peer: str
) -> None:
    document = api.get("/openapi.json", headers=headers, environ_base={"REMOTE_ADDR": peer}).get_json()
    assert document["servers"] == [{"url": "/"}]


def test_client_behind_a_proxy_is_locked_out_alone(api: Api) -> None:
    for _ in range(MAX_FAILURES):
        assert api.get("/tenants", key="guess", headers=NGINX).status_code == 401
    assert api.get("/tenants", headers=NGINX).status_code == 429
    assert api.get("/tenants", headers={**NGINX, "X-Forwarded-For": "203.0.113.10"}).status_code == 200
