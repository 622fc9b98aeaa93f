"""The line of the log about one call, as an operator reads it."""

import contextlib
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from shared.log_lines import KINDS
from tests.support.certificates import Authority
from tests.support.gateway import ROOT, RunningGateway, TenantInUse
from tests.support.ports import free_port
from tests.support.upstream import Upstream
from tests.support.wait import until

SECRET = "sk-proj-abcdefghijklmnopqrstuvwx"


@pytest.fixture(scope="module")
def owner(gateway: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    tenant = gateway.create_tenant()
    tenant.create_rule("/v1", everlasting_upstream.url, methods=["GET", "POST"])
    tenant.create_rule("/judged", everlasting_upstream.url, plugin_chain=[{"name": "content_validator"}])
    return tenant


@pytest.fixture(scope="module")
def untrusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """An upstream with a certificate of an authority that nobody knows."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    with Upstream(tls=authority.server_context("127.0.0.1")) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def line(owner: TenantInUse) -> Callable[..., dict[str, Any]]:
    """Calls, and returns the line of the call."""
    numbers = iter(range(1000))

    def call(method: str, path: str, **more: Any) -> dict[str, Any]:
        request_id = f"{owner.id}-line-{next(numbers)}"
        headers = {"X-Request-ID": request_id, **more.pop("headers", {})}
        with contextlib.suppress(requests.exceptions.ChunkedEncodingError):  # of a stream that breaks off
            owner.request(method, path, headers=headers, **more)
        return owner.gateway.access_line(request_id)

    return call


def test_line_of_a_call_says_what_was_called_and_how_long_it_took(
    line: Callable[..., dict[str, Any]], owner: TenantInUse, everlasting_upstream: Upstream
) -> None:
    found = line(
        "POST", "/v1/chat?key=no", json={"model": "gpt-4o", "messages": []}, headers={"User-Agent": "Test/1"}
    )
    assert found["host"] == owner.host
    assert found["user_agent"] == "Test/1"
    assert found["model_asked"] == "gpt-4o"
    assert found["upstream"] == f"127.0.0.1:{everlasting_upstream.port}"
    assert (found["status"], found["upstream_status"], found["attempts"]) == (200, 200, 1)
    assert (found["stream"], found["cause"], found["detail"]) == (False, None, None)
    assert 0 < found["upstream_ms"] <= found["milliseconds"]
    assert 0 < found["ttft_ms"] <= found["milliseconds"]
    assert found["config_version"] >= 1
    assert found["path"] == "/v1/chat"


def test_admin_key_gets_the_version_that_its_line_has(owner: TenantInUse) -> None:
    paths = {"/v1/x": 200, "/none": 404}
    if owner.gateway.engine == "express":  # mitmproxy's core makes this response, and knows no tenant
        paths["/v1/silent"] = 502
    for number, (path, status) in enumerate(paths.items()):
        request_id = f"{owner.id}-version-{number}"
        response = owner.request("GET", path, headers={"X-Request-ID": request_id})
        assert response.status_code == status
        found = owner.gateway.access_line(request_id)["config_version"]
        assert response.headers["X-Gateway-Config-Version"] == str(found), path


def test_line_of_a_stream_has_the_time_of_its_first_byte(line: Callable[..., dict[str, Any]]) -> None:
    found = line("GET", "/v1/stream")
    assert found["stream"]
    # The four events come 100 ms apart. Both times count from the request on.
    assert found["ttft_ms"] < found["milliseconds"] - 100


def test_line_of_a_response_that_was_judged_whole_has_no_first_byte(
    line: Callable[..., dict[str, Any]],
) -> None:
    found = line("POST", "/judged/error", json={"model": 1})
    assert (found["status"], found["upstream_status"], found["source"]) == (500, 500, "upstream")
    assert found["model_asked"] is None


def test_texts_of_a_client_are_masked_and_cut(line: Callable[..., dict[str, Any]]) -> None:
    long = f"{SECRET} {'x' * 2000}"
    found = line("POST", f"/v1/{SECRET}", json={"model": long}, headers={"User-Agent": long})
    for name in ("user_agent", "model_asked", "path"):
        assert "abcdefghijkl" not in found[name]
        assert len(found[name]) <= 1024


@pytest.mark.parametrize(
    ("target", "path", "code", "cause"),
    [
        ("http://no-such-host.invalid", "/x", "upstream_unreachable", "dns"),
        ("http://127.0.0.1:{free}", "/x", "upstream_unreachable", "refused"),
        ("http://127.0.0.1:{port}", "/silent", "upstream_protocol_error", "reset"),
        ("http://127.0.0.1:{port}", "/garbage", "upstream_protocol_error", "protocol"),
        ("https://127.0.0.1:{untrusted}", "/x", "upstream_tls", "tls"),
    ],
    ids=["dns", "refused", "reset", "protocol", "tls"],
)
def test_line_of_a_502_names_its_cause_and_the_upstream(
    owner: TenantInUse,
    line: Callable[..., dict[str, Any]],
    everlasting_upstream: Upstream,
    untrusted: Upstream,
    target: str,
    path: str,
    code: str,
    cause: str,
) -> None:
    ports = {"port": everlasting_upstream.port, "untrusted": untrusted.port, "free": free_port()}
    url = target.format(**ports)
    owner.create_rule(f"/{cause}", url)
    found = line("POST", f"/{cause}{path}", data=b"x")
    assert (found["status"], found["code"], found["cause"]) == (502, code, cause)
    assert found["upstream"] == url.partition("//")[2]
    assert found["attempts"] == (0 if cause == "dns" else 1)
    assert found["upstream_status"] is None
    assert found["detail"]
    assert found["upstream_ms"] > 0
    assert (found["tenant"], found["key"] is None) == (owner.id, False)


def test_line_of_a_broken_stream_names_the_cause(line: Callable[..., dict[str, Any]]) -> None:
    found = line("GET", "/v1/cut")
    assert (found["status"], found["upstream_status"], found["cause"]) == (200, 200, "reset")


@pytest.mark.parametrize(
    ("method", "path", "status", "headers"),
    [
        ("GET", "/nowhere", 404, {}),
        ("DELETE", "/v1/x", 405, {}),
        ("POST", "/v1/x", 413, {"Content-Length": "99999999999"}),
        ("GET", "/v1/%2f", 400, {}),
    ],
)
def test_line_of_a_rejection_names_the_tenant_and_the_key(
    owner: TenantInUse,
    line: Callable[..., dict[str, Any]],
    method: str,
    path: str,
    status: int,
    headers: dict[str, str],
) -> None:
    known = line("GET", "/v1/x")
    found = line(method, path, headers=headers)
    assert found["status"] == status
    assert (found["tenant"], found["key"]) == (owner.id, known["key"])
    assert found["key"] is not None
    assert found["rule"] == (known["rule"] if path == "/v1/x" and method == "POST" else found["rule"])
    assert (found["upstream"], found["attempts"]) == (None, 0)


def test_line_of_a_revoked_key_names_it(owner: TenantInUse, line: Callable[..., dict[str, Any]]) -> None:
    made = owner.gateway.call("POST", f"/tenants/{owner.id}/api-keys", json={"name": "short"}).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    owner.gateway.call("DELETE", f"/tenants/{owner.id}/api-keys/{made['id']}")
    for _ in until(3.0):
        found = line("GET", "/v1/x", headers=headers)
        if found["code"] == "api_key_revoked":
            break
    assert (found["status"], found["key"]) == (401, made["id"])
    unknown = line("GET", "/v1/x", headers={"Authorization": "Bearer nothing"})
    assert (unknown["status"], unknown["tenant"], unknown["key"]) == (401, owner.id, None)


def test_lines_of_both_programs_have_the_declared_fields_only(
    gateway: RunningGateway, line: Callable[..., dict[str, Any]]
) -> None:
    line("POST", "/v1/x", json={})
    assert gateway.undeclared_lines() == []
    seen = {line["logger"] for name in ("admin", "proxy") for line in gateway.log_lines(name)}
    assert {kind.logger for kind in KINDS if kind.logger} <= seen


def test_log_of_each_program_begins_with_what_started(gateway: RunningGateway) -> None:
    [admin], [proxy] = [
        [line for line in gateway.log_lines(name) if line["logger"] == "gateway.start"]
        for name in ("admin", "proxy")
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert admin["version"] == proxy["version"] == project["version"]
    assert (admin["program"], admin["addresses"]) == ("admin", [f"127.0.0.1:{gateway.admin_port}"])
    assert (proxy["program"], proxy["addresses"]) == ("proxy", [f"127.0.0.1:{gateway.proxy_port}"])
    assert (proxy["engine"], proxy["workers"], proxy["tls"]) == (gateway.engine, 1, False)
    store = f"embedded, {gateway.folder}/valkey.sock, 0 tenants"
    assert (admin["store"], proxy["store"]) == (store, store)
    for name in ("admin", "proxy"):
        messages = [line.get("message") for line in gateway.log_lines(name)]
        assert messages.count(f"The store is {store}.") == 1
