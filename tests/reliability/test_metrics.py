"""Metrics outlive the workers that counted: counters never go back, gauges of the dead vanish."""

import os
import signal
from pathlib import Path

import pytest

from tests.reliability.processes import await_standby, workers
from tests.support.gateway import RunningGateway
from tests.support.upstream import Upstream
from tests.support.wait import until

pytestmark = pytest.mark.slow
KILLS = 6


def test_counters_never_go_back_while_workers_are_killed(tmp_path: Path) -> None:
    settings = {"GATEWAY__SERVER__WORKERS": "2"}
    with RunningGateway(tmp_path / "data", settings) as gateway, Upstream() as upstream:
        tenant = gateway.create_tenant()
        tenant.create_rule("/v1", upstream.url)
        count = f'gateway_request_duration_seconds_count{{rule="/v1",tenant="{tenant.subdomain}"}}'
        last: dict[str, float] = {}

        def look() -> dict[str, float]:
            nonlocal last
            found = gateway.metrics()
            back = {
                name: (value, found.get(name))
                for name, value in last.items()
                if "_total" in name or "_count" in name or "_bucket" in name
                if found.get(name, -1) < value
            }
            assert back == {}
            last = found
            return found

        before = 0.0
        for killed in range(1, KILLS + 1):
            for _ in range(20):
                tenant.request("GET", "/v1/models")
            for _ in until(10):
                if look().get(count, 0) > before:
                    break
            before = last[count]
            await_standby(gateway)
            os.kill(workers(gateway)[0].pid, signal.SIGKILL)
            for _ in until(20):
                if look()["gateway_worker_restarts_total"] == killed and len(workers(gateway)) == 2:
                    break
        for _ in until(10):
            if look().get("gateway_connections") == 0:
                break
        assert last[count] >= KILLS
        folder = next((tmp_path / "data" / "run" / "metrics").iterdir())
        # One per slot, and that of the supervisor, however many workers there were.
        assert len(list(folder.glob("counter_*.db"))) == 3
