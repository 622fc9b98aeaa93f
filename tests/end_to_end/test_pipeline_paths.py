"""Plugins on every way that an exchange can go, and on every way in which a plugin can fail."""

from pathlib import Path

import pytest

from tests.end_to_end.test_pipeline import STAGES, lines, recorder
from tests.support.cases import pairwise
from tests.support.client import RawClient
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.ports import free_port
from tests.support.upstream import Upstream
from tests.support.wait import until

FAULTS = ["raises", "exits", "recurses", "returns junk", "takes too long"]


@pytest.fixture(scope="module")
def owner(gateway: RunningGateway) -> TenantInUse:
    return gateway.create_tenant()


def whole_chain(file: Path, **settings: object) -> list[dict[str, object]]:
    return [recorder(file, stage, settings=settings) for stage in STAGES]


@pytest.mark.parametrize("path", ["silent", "garbage", "unreachable"])
def test_pipeline_of_a_failing_upstream_still_ends_with_post_response(
    owner: TenantInUse, upstream: Upstream, tmp_path: Path, path: str
) -> None:
    target = f"http://127.0.0.1:{free_port()}" if path == "unreachable" else upstream.url
    owner.create_rule(f"{tmp_path}", target, plugin_chain=whole_chain(tmp_path / "r"))
    response = owner.request("POST", f"{tmp_path}/{path}")
    assert (response.status_code, response.headers["x-gateway-error-source"]) == (502, "gateway")
    assert lines(tmp_path / "r", 2) == ["pre_request", "post_response"]


@pytest.mark.parametrize(
    ("settings", "status", "text", "stages"),
    [
        ({"reject": "pre_request"}, 422, None, ["pre_request", "post_response"]),
        ({"responses": "from a cache"}, 200, "from a cache", STAGES),
    ],
    ids=["a rejection runs post_response only", "a response of its own runs all later stages"],
)
def test_plugin_that_responds_itself_decides_which_stages_follow(
    owner: TenantInUse,
    upstream: Upstream,
    tmp_path: Path,
    settings: dict[str, str],
    status: int,
    text: str | None,
    stages: list[str],
) -> None:
    owner.create_rule(f"{tmp_path}", upstream.url, plugin_chain=whole_chain(tmp_path / "r", **settings))
    response = owner.request("GET", f"{tmp_path}/x")
    assert (response.status_code, response.headers["x-recorder"]) == (status, "was here")
    assert text in (None, response.text)
    assert lines(tmp_path / "r", len(stages)) == stages
    assert not upstream.received


@pytest.mark.parametrize("path", ["endless", "cut", "half"])
def test_a_broken_response_and_a_client_that_leaves_end_in_post_response_once(
    owner: TenantInUse, upstream: Upstream, tmp_path: Path, path: str
) -> None:
    owner.create_rule(f"{tmp_path}", upstream.url, plugin_chain=whole_chain(tmp_path / "r"))
    fields = f"Host: {owner.host}\r\nx-api-key: {owner.key}\r\nConnection: close"
    with RawClient(owner.gateway.proxy_port) as client:
        client.send(f"GET {tmp_path}/{path} HTTP/1.1\r\n{fields}\r\n\r\n".encode())
        assert client.peek(1)
        if path != "endless":
            client.rest()
    assert lines(tmp_path / "r", 4) == STAGES
    owner.request("GET", f"{tmp_path}/x")
    assert lines(tmp_path / "r", 8) == [*STAGES, *STAGES]  # nothing came late


@pytest.mark.parametrize(("how", "stage", "on_error"), pairwise(FAULTS, STAGES, ["closed", "open"]))
def test_pipeline_fault_at_each_stage_has_the_configured_outcome(
    owner: TenantInUse, upstream: Upstream, tmp_path: Path, how: str, stage: str, on_error: str
) -> None:
    settings = {"fault": stage, "how": how}
    invalid_reason = recorder(tmp_path / "r", stage, on_error=on_error, timeout="200ms", settings=settings)
    owner.create_rule(f"{tmp_path}", upstream.url, plugin_chain=[invalid_reason])
    closed = on_error == "closed" and stage != "post_response"
    for path in ("x", "events", "error"):
        upstream.received.clear()
        response = owner.request("POST", f"{tmp_path}/{path}", data=b"{}")
        if closed:
            assert (response.status_code, response.json()["error"]["code"]) == (503, "plugin_failure")
            assert response.headers["x-gateway-error-source"] == "plugin:recorder"
            assert response.headers["retry-after"] == "1"
        else:
            assert response.status_code == (500 if path == "error" else 200)
        hits = 0 if closed and stage == "pre_request" else 1
        for _ in until(0.5 if hits else 0.0):
            if upstream.received:
                break
        assert len(upstream.received) == hits
