"""Plugin chains on real traffic."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream
from tests.support.wait import until

STAGES = ["pre_request", "post_request", "pre_response", "post_response"]


def recorder(file: Path, stage: str = "pre_request", **more: Any) -> dict[str, Any]:
    settings = {"file": str(file), **more.pop("settings", {})}
    return {"name": "recorder", "stage": stage, "settings": settings, **more}


def lines(file: Path, count: int) -> list[str]:
    """The recorded events; `post_response` comes a moment after the response."""
    for _ in until(2.0):
        if file.exists() and len(file.read_text().split()) >= count:
            break
    return file.read_text().split() if file.exists() else []


@pytest.fixture
def owner(gateway: RunningGateway) -> TenantInUse:
    return gateway.create_tenant()


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "x"), ("GET", "stream"), ("GET", "error"), ("HEAD", "x"), ("POST", "cookies")],
    ids=["plain", "streamed", "error", "no body", "many headers"],
)
@pytest.mark.parametrize("streams", ["pass", "buffer"])
def test_pipeline_runs_all_four_stages_in_order_for_every_kind_of_response(
    owner: TenantInUse, upstream: Upstream, tmp_path: Path, method: str, path: str, streams: str
) -> None:
    file = tmp_path / "record"
    owner.create_rule(
        "/v1", upstream.url, streams=streams, plugin_chain=[recorder(file, stage) for stage in STAGES]
    )
    response = owner.request(method, f"/v1/{path}")
    assert response.status_code == {"error": 500, "cookies": 201}.get(path, 200)
    assert lines(file, 4) == STAGES
    assert response.headers["x-recorder"] == "was here"


@pytest.mark.parametrize("parallel", [True, False])
def test_two_validators_of_200_ms_take_200_ms_together_and_400_one_after_the_other(
    owner: TenantInUse, upstream: Upstream, tmp_path: Path, parallel: bool
) -> None:
    entry = recorder(tmp_path / "record", parallel=parallel, settings={"wait": 0.2})
    owner.create_rule("/v1", upstream.url, plugin_chain=[entry, entry])
    start = time.perf_counter()
    assert owner.request("GET", "/v1/x").status_code == 200
    taken = time.perf_counter() - start
    assert 0.2 <= taken < 0.36 if parallel else taken >= 0.4


@pytest.mark.parametrize("stage", ["post_request", "pre_response"])
@pytest.mark.parametrize("path", ["x", "stream"])
def test_a_response_that_is_rejected_is_not_seen(
    owner: TenantInUse, upstream: Upstream, tmp_path: Path, stage: str, path: str
) -> None:
    owner.create_rule(
        "/v1", upstream.url, plugin_chain=[recorder(tmp_path / "r", stage, settings={"reject": stage})]
    )
    response = owner.request("GET", f"/v1/{path}")
    assert response.status_code == 422
    assert response.json()["error"]["message"] == "The recorder rejects."
    assert "data:" not in response.text


def test_required_plugins_run_first_and_those_of_a_rule_by_priority(
    gateway: RunningGateway, upstream: Upstream, tmp_path: Path
) -> None:
    file = tmp_path / "record"
    required = recorder(file, priority=900, settings={"label": "required-"})
    tenant = gateway.create_tenant(required_plugins={"recorder": required}, enabled_plugins=["recorder"])
    chain = [recorder(file, priority=p, settings={"label": f"{p}-"}) for p in (300, 0, 200)]
    tenant.create_rule("/v1", upstream.url, plugin_chain=chain)
    tenant.request("GET", "/v1/x")
    assert lines(file, 4) == [f"{label}-pre_request" for label in ("required", 0, 200, 300)]


def test_the_seeds_required_header_is_demanded(gateway: RunningGateway, upstream: Upstream) -> None:
    required = {"security_validator": {"settings": {"required_headers": ["X-Request-ID"]}}}
    tenant = gateway.create_tenant(required_plugins=required, enabled_plugins=["rate_limiter"])
    tenant.create_rule("/v1", upstream.url)
    rejected = tenant.request("GET", "/v1/x")
    assert (rejected.status_code, rejected.json()["error"]["code"]) == (400, "missing_required_header")
    assert tenant.request("GET", "/v1/x", headers={"X-Request-ID": "req-123"}).status_code == 200
