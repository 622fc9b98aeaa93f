"""Errors are problem documents, and no input makes the API fail."""

import gzip
import io
import logging
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import DEFAULT, Mock

import pytest

from admin_app.auth.access import Access, requires
from admin_app.http.bodies import MAX_BODY_BYTES
from shared.core.errors import Conflict, NotDurable, NotReplicated, StoreDown, StoreLost, StoreUnsure
from shared.model.config import Snapshot
from tests.admin_app.world import TOKEN, Api, Tenant, World, new_app

JSON = {"content_type": "application/json"}
NOT_STRICT = [
    *(b"", b"{", b"nope", b"[" * 200_000, b"[" * 200_000 + b"]" * 200_000),
    *(b'{"a":' * 300 + b"1" + b"}" * 300, b'{"name": ' + b"1" * 5_000 + b"}", b'{"name": NaN}'),
    *(b'{"name": 1e999}', b'{"name": "\xff"}', b'{"name": "\\ud800"}', b'{"\\ud800": 1}'),
    *(b'{"name": "a", "name": "b"}', b"\xef\xbb\xbf{}", "{}".encode("utf-16")),
    gzip.compress(b"{}", mtime=0),
]


def assert_problem(response: Any, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.get_json()
    assert list(body) == ["type", "title", "status", "detail", "code", "request_id", "errors", "error"]
    assert (body["status"], body["code"], body["error"]) == (status, code, body["detail"])
    assert body["type"] == "about:blank"
    assert body["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("status", "code", "body"),
    [
        *((400, "invalid_json", body) for body in NOT_STRICT),
        *(
            (422, "validation_failed", body)
            for body in (b"[]", b"5", b'"x"', b"null", b'{"name": {"a": []}}')
        ),
        (422, "validation_failed", b'{"name": 9223372036854775808}'),
        (413, "body_too_large", b'{"name": "' + b"x" * MAX_BODY_BYTES + b'"}'),
    ],
    ids=range(23),
)
def test_body_of_another_form_is_rejected(api: Api, status: int, code: str, body: bytes) -> None:
    assert_problem(api.post("/tenants", data=body, **JSON), status, code)


def test_encoded_body_is_415(api: Api) -> None:
    sent = {"data": gzip.compress(b"{}", mtime=0), "headers": {"Content-Encoding": "gzip"}}
    assert_problem(api.post("/tenants", **sent, **JSON), 415, "unsupported_content_type")


@pytest.mark.parametrize(
    "content_type",
    [
        *(None, "", "text/plain", "text/json", "application/jsonp", "application/json-patch+json"),
        *("application/x-www-form-urlencoded", "multipart/form-data; boundary=x"),
        "application/json; charset=utf-16",
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_other_content_type_is_415(api: Api, tenant: Tenant, method: str, content_type: str | None) -> None:
    url = "/tenants" if method == "POST" else tenant.url
    sent = b'{"name": "x", "subdomain": "x"}'
    response = api.call(method, url, data=sent, content_type=content_type)
    assert_problem(response, 415, "unsupported_content_type")


def test_rotating_needs_it_too_since_a_page_could_post_without_a_body(api: Api, tenant: Tenant) -> None:
    key = api.first_key(tenant)
    response = api.call("POST", f"{tenant.url}/api-keys/{key}/rotate")
    assert_problem(response, 415, "unsupported_content_type")


def test_a_charset_of_utf_8_is_fine(api: Api) -> None:
    sent = '{"name": "Ä", "subdomain": "a"}'.encode()
    assert api.post("/tenants", data=sent, content_type="application/json; charset=UTF-8").status_code == 201


def test_a_chunked_body_over_the_limit_is_413(api: Api) -> None:
    # Its beginning alone would be a body, so it must not be cut off.
    stream = io.BytesIO(b'{"name": "x", "subdomain": "x"}' + b" " * MAX_BODY_BYTES)
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    response = api.post("/tenants", input_stream=stream, environ_overrides=chunked, **JSON)
    assert_problem(response, 413, "body_too_large")


def test_unknown_addresses_and_methods(api: Api) -> None:
    assert_problem(api.get("/nothing"), 404, "not_found")
    response = api.call("PUT", "/tenants", {})
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize(
    "url", ["/tenants/", "/api/v1//tenants", "/tenants/%2e%2e", "/tenants/%00", "/tenants/é"]
)
def test_odd_addresses_are_no_redirects(api: Api, url: str) -> None:
    assert api.get(url).status_code in (200, 404)


@pytest.mark.parametrize("sent", ["abc-123", "a" * 128])
def test_a_sane_request_id_comes_back(api: Api, sent: str) -> None:
    assert api.get("/tenants", headers={"X-Request-ID": sent}).headers["X-Request-ID"] == sent


@pytest.mark.parametrize("sent", ["", "a b", "a" * 129, "<script>", "é"])
def test_request_id_of_another_form_is_replaced(api: Api, sent: str) -> None:
    ours = api.get("/tenants", headers={"X-Request-ID": sent}).headers["X-Request-ID"]
    assert ours != sent
    assert len(ours) == 32


@pytest.mark.parametrize("url", ["/tenants", "/docs", "/nothing", "/openapi.json"])
def test_every_response_has_the_headers_that_protect_it(api: Api, url: str) -> None:
    headers = api.get(url).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Cache-Control"] == "private, no-cache"


def test_store_down_is_503(api: Api, tenant: Tenant, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    down = Mock(side_effect=StoreDown("redis at 10.0.0.5 does not answer"))
    for name in ("read", "write", "find_key", "list"):
        monkeypatch.setattr(world.store, name, down)
    for response in (
        api.get("/tenants"),
        api.get(tenant.url),
        api.get(tenant.url, key=tenant.key),
        api.post("/tenants", {"name": "x", "subdomain": "x"}),
    ):
        assert_problem(response, 503, "store_down")
        assert response.headers["Retry-After"] == "1"
        assert "10.0.0.5" not in response.text


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (StoreDown("OOM", "It is out of memory."), "store_down", "It is out of memory."),
        (StoreLost("It is empty."), "store_lost", "It is empty."),
        (StoreUnsure("No reply.", "Saved or not."), "store_unsure", "Saved or not."),
        (NotDurable("No disk.", "In effect, not on disk."), "not_durable", "In effect, not on disk."),
        (NotReplicated("No replica.", "In effect there."), "not_replicated", "In effect there."),
    ],
)
def test_trouble_of_the_store_is_told_by_its_cause(
    api: Api,
    tenant: Tenant,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    error: StoreDown,
    code: str,
    detail: str,
) -> None:
    monkeypatch.setattr(world.store, "write", Mock(side_effect=error))
    response = api.patch(tenant.url, {"name": "New"})
    assert_problem(response, 503, code)
    assert response.get_json()["detail"] == detail


def test_our_own_fault_is_500_without_its_reason(world: World, caplog: pytest.LogCaptureFixture) -> None:
    app = new_app(world)

    @requires(Access.PUBLIC)
    def broken() -> str:
        raise KeyError("a secret place")

    app.add_url_rule("/broken", "broken", broken)
    with caplog.at_level(logging.ERROR):
        response = Api(app, TOKEN).client.get("/broken")
    assert_problem(response, 500, "internal_error")
    assert "secret" not in response.text
    assert response.headers["X-Request-ID"] in caplog.text
    assert "a secret place" in caplog.text


class TestConcurrentChanges:
    @pytest.fixture
    def rivals(self, world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
        """Let somebody else write before each of our next writes, that many times."""

        def begin(times: int) -> None:
            conflicts = [Conflict("Somebody else was faster.")] * times
            contended = Mock(wraps=world.store.write, side_effect=[*conflicts, *[DEFAULT] * 9])
            monkeypatch.setattr(time, "sleep", Mock())
            monkeypatch.setattr(world.store, "write", contended)

        return begin

    def test_a_change_is_tried_again(self, api: Api, tenant: Tenant, rivals: Callable[[int], None]) -> None:
        rivals(5)
        assert api.patch(tenant.url, {"name": "New"}).get_json()["name"] == "New"

    def test_write_that_stays_contended_is_rejected_with_409(
        self, api: Api, tenant: Tenant, rivals: Callable[[int], None]
    ) -> None:
        rivals(1000)
        assert_problem(api.patch(tenant.url, {"name": "New"}), 409, "conflict")
        assert_problem(api.delete(tenant.url), 409, "conflict")

    def test_concurrent_changes_lose_no_update(self, api: Api, tenant: Tenant, world: World) -> None:
        read = world.store.read

        def read_then_rival(tenant_id: str) -> Snapshot | None:
            found = read(tenant_id)
            if found is not None and not found.tenant.plugin_chain and len(found.keys) == 1:
                world.store.read = read  # type: ignore[method-assign]
                api.created_key(tenant, name="rival")
            return found

        world.store.read = read_then_rival  # type: ignore[method-assign]
        assert api.patch(tenant.url, {"name": "New"}).status_code == 200
        names = [key["name"] for key in api.get(f"{tenant.url}/api-keys").get_json()["api_keys"]]
        assert sorted(names) == ["first key", "rival"]
        assert api.get(tenant.url).get_json()["name"] == "New"


@pytest.mark.parametrize(
    ("sent", "trace"), [(f"00-{'a1' * 16}-{'b2' * 8}-01", "a1" * 16), (f"00-{'0' * 32}-{'b2' * 8}-01", None)]
)
def test_problem_names_the_trace_of_its_caller_if_that_is_valid(
    api: Api, sent: str, trace: str | None
) -> None:
    body = api.get("/tenants/nobody", headers={"traceparent": sent}).get_json()
    assert (body["code"], body.get("trace_id")) == ("not_found", trace)
