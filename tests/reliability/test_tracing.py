"""A collector of spans that stops costs requests nothing, and its spans are dropped in bounds."""

import signal
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest
import requests

from bench.machine import cpu_seconds
from tests.support.commands import ROOT
from tests.support.gateway import RunningGateway
from tests.support.upstream import Upstream
from tests.support.wait import until

pytestmark = pytest.mark.slow
ROUNDS, REQUESTS = 10, 300


def test_collector_that_stops_takes_no_time_of_requests(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.collector"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as collector:
        assert collector.stdout is not None
        settings = {"GATEWAY__OTEL__ENDPOINT": collector.stdout.readline().strip()}
        try:
            with RunningGateway(tmp_path / "data", settings) as gateway, Upstream() as upstream:
                tenant = gateway.create_tenant()
                tenant.create_rule("/v1", upstream.url)
                session, proxy = requests.Session(), gateway.processes["proxy"].pid
                headers = {"Host": tenant.host, "Authorization": f"Bearer {tenant.key}"}

                def dropped() -> float:
                    return gateway.metrics().get('gateway_dropped_total{kind="trace"}', 0)

                def cost() -> float:
                    before = cpu_seconds(proxy)
                    for _ in range(REQUESTS):
                        response = session.get(f"{gateway.proxy}/v1/x", headers=headers, timeout=15)
                        assert response.status_code == 200
                    return cpu_seconds(proxy) - before

                cost()
                runs: dict[signal.Signals, list[float]] = {signal.SIGCONT: [], signal.SIGSTOP: []}
                for _ in range(ROUNDS):
                    for state, found in runs.items():
                        collector.send_signal(state)
                        found.append(cost())
                print({state.name: median(found) / REQUESTS * 1e6 for state, found in runs.items()})
                assert median(runs[signal.SIGSTOP]) < median(runs[signal.SIGCONT]) * 1.05
                for _ in until(30):
                    if dropped():
                        break
                assert 0 < dropped() <= 2 * ROUNDS * REQUESTS
                assert "Spans are dropped" in gateway.log("proxy")
        finally:
            collector.kill()
