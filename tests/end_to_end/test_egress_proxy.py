"""A gateway whose calls leave through an HTTP proxy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.connect_proxy import tunneling
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream, responding, sized


@pytest.fixture(scope="module")
def proxy() -> Iterator[Upstream]:
    with Upstream(tunneling()) as made:
        yield made


@pytest.fixture(scope="module")
def tenant(proxy: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TenantInUse]:
    settings = {"GATEWAY__SECURITY__EGRESS_PROXY__URL": f"http://user:s3cret@127.0.0.1:{proxy.port}"}
    with RunningGateway(tmp_path_factory.mktemp("egress") / "data", settings) as gateway:
        yield gateway.create_tenant()
        assert "s3cret" not in gateway.log("proxy") + gateway.log("admin")


@pytest.mark.slow
def test_upstreams_and_validators_are_called_through_the_egress_proxy(
    tenant: TenantInUse, proxy: Upstream
) -> None:
    with Upstream() as upstream, Upstream(responding(sized(b'{"allowed": true}'))) as validator:
        entry = {
            "name": "external_validator",
            "settings": {
                "endpoint": f"{validator.url}/check",
                "fields": ["model"],
                "conditions": [{"field": "allowed", "operator": "eq", "value": False, "message": "No."}],
            },
        }
        tenant.create_rule("/v1", upstream.url, plugin_chain=[entry])
        response = tenant.request("POST", "/v1/chat", json={"model": "m"})
        assert response.status_code == 200, response.text
        asked = [(request.method, request.target) for request in proxy.received]
        assert asked == [
            ("CONNECT", f"127.0.0.1:{validator.port}"),
            ("CONNECT", f"127.0.0.1:{upstream.port}"),
        ]
        assert {request.get("proxy-authorization") for request in proxy.received} == {
            "Basic dXNlcjpzM2NyZXQ="
        }
        assert upstream.received[0].get("proxy-authorization") is None


@pytest.mark.slow
def test_names_are_left_to_a_proxy_that_resolves_and_the_start_says_so(tmp_path: Path) -> None:
    with Upstream(tunneling({"models.example.org": "127.0.0.1"})) as proxy, Upstream() as upstream:
        settings = {
            "GATEWAY__SECURITY__EGRESS_PROXY__URL": f"http://127.0.0.1:{proxy.port}",
            "GATEWAY__SECURITY__EGRESS_PROXY__RESOLVE": "proxy",
        }
        with RunningGateway(tmp_path / "data", settings) as gateway:
            tenant = gateway.create_tenant()
            tenant.create_rule("/v1", f"http://models.example.org:{upstream.port}")
            assert tenant.request("GET", "/v1/x").status_code == 200
            assert [request.target for request in proxy.received] == [f"models.example.org:{upstream.port}"]
            assert "It must reject private addresses." in gateway.log("proxy")
