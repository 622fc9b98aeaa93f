"""Limits and what is used of them survive a restart of both programs."""

from pathlib import Path

import pytest

from tests.support.gateway import RunningGateway
from tests.support.upstream import Upstream


@pytest.mark.slow
def test_a_restart_of_both_programs_in_the_middle_forgets_no_limit_and_no_usage(
    upstream: Upstream, tmp_path: Path
) -> None:
    with RunningGateway(tmp_path / "data") as gateway:
        at_both = {
            "gateway": {"limits": {"global": {"limit": 5, "window": "1h"}}},
            "rule": {"limits": {"global": {"limit": 3, "window": "1h"}, "streams": {"limit": 2}}},
        }
        tenant = gateway.create_tenant(plugin_chain=[{"name": "rate_limiter", "settings": at_both}])
        tenant.create_rule("/v1", upstream.url)
        tenant.create_rule("/v2", upstream.url)
        assert [tenant.request("GET", "/v1/x").status_code for _ in range(2)] == [200] * 2
        gateway.stop()
        gateway.start()
        assert [tenant.request("GET", "/v1/x").status_code for _ in range(2)] == [200, 429]
        rows = gateway.call("GET", f"/tenants/{tenant.id}/rate-limits").json()["limits"]
        assert [row["used"] for row in rows if row["window"]] == [3, 3, 0]
        assert [tenant.request("GET", "/v2/x").status_code for _ in range(3)] == [200, 200, 429]
