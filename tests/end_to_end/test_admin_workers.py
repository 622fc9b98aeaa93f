"""The workers of the admin API share failed logins, sessions, repeated calls, jobs and metrics."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from admin_app.auth.failed_logins import MAX_FAILURES
from tests.support.gateway import RunningGateway
from tests.support.wait import until

pytestmark = pytest.mark.slow

WORKERS, TOKEN = 3, "a-token-for-tests-of-workers"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """Only the admin API, on a store of its own."""
    settings = {"GATEWAY__SERVER__ADMIN_WORKERS": str(WORKERS), "GATEWAY_ADMIN_TOKEN": TOKEN}
    running = RunningGateway(tmp_path_factory.mktemp("workers") / "data", settings)
    try:
        running.start_admin()
        yield running
    finally:
        running.stop()


def listed(gateway: RunningGateway) -> list[Any]:
    """The workers of the admin API, when all are there."""
    for _ in until(15):
        found: list[Any] = gateway.call("GET", "/status").json()["workers"]["listed"]
        if len(found) == WORKERS:
            return found
    raise AssertionError(found)


def test_all_workers_serve_one_is_replaced_and_each_job_has_one_leader(gateway: RunningGateway) -> None:
    before = listed(gateway)
    assert {one["plane"] for one in before} == {"admin"}
    os.kill(before[0]["pid"], signal.SIGKILL)
    for _ in until(30):
        status = gateway.call("GET", "/status").json()
        pids = {one["pid"] for one in status["workers"]["listed"]}
        leaders = {one["leader"] for one in status["jobs"]}
        if before[0]["pid"] not in pids and len(pids) == WORKERS and leaders <= {*_ids(status)}:
            return
    raise AssertionError(status)


def _ids(status: Any) -> Iterator[str]:
    return (one["id"] for one in status["workers"]["listed"])


def test_session_holds_on_every_worker(gateway: RunningGateway) -> None:
    own = {"Origin": gateway.admin}
    logged_in = requests.post(f"{gateway.admin}/ui/session", json={"key": TOKEN}, headers=own, timeout=10)
    assert logged_in.status_code == 204
    found = [
        requests.get(f"{gateway.admin}/api/v1/me", cookies=logged_in.cookies, timeout=10).status_code
        for _ in range(8 * WORKERS)
    ]
    assert set(found) == {200}


def test_repeated_call_makes_one_tenant_whichever_worker_gets_it(gateway: RunningGateway) -> None:
    body = {"name": "Once", "subdomain": "once"}

    def create(_: int) -> tuple[int, str | None]:
        response = gateway.call("POST", "/tenants", headers={"Idempotency-Key": "same"}, json=body)
        return response.status_code, response.json().get("id")

    with ThreadPoolExecutor(12) as pool:
        results = set(pool.map(create, range(24)))
    made = {identity for status, identity in results if status == 201}
    assert len(made) == 1
    assert {status for status, _ in results} <= {201, 409}


def test_concurrent_changes_of_a_tenant_over_all_workers_lose_none(gateway: RunningGateway) -> None:
    tenant = gateway.create_tenant(subdomain="raced")

    def create(number: int) -> int:
        rule = {"path": f"/v{number}", "target": "http://127.0.0.1:9"}
        return gateway.call("POST", f"/tenants/{tenant.id}/rules", json=rule).status_code

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(create, range(24))) == {201}
    assert len(gateway.call("GET", f"/tenants/{tenant.id}/rules").json()["rules"]) == 24


def test_of_two_plans_that_are_applied_at_once_one_is_written_and_one_rejected(
    gateway: RunningGateway,
) -> None:
    gateway.create_tenant(subdomain="planned")

    def planned(name: str) -> str:
        document = {"_format_version": "1", "tenants": {"planned": {"name": name}}}
        made = gateway.call("POST", "/plan", json={"document": document})
        assert made.status_code == 200, made.text
        return str(made.json()["plan_id"])

    def apply(plan: str) -> tuple[int, str | None]:
        barrier.wait(10)
        response = gateway.call("POST", f"/plan/{plan}/apply", json={})
        return response.status_code, response.json().get("code")

    with ThreadPoolExecutor(2) as pool:
        for number in range(20):
            names = [f"Name {number} of {writer}" for writer in "ab"]
            plans = [planned(name) for name in names]
            barrier = threading.Barrier(2)
            results = [*pool.map(apply, plans)]
            assert sorted(results, key=str) == [(200, None), (409, "conflict")]
            winner = names[results.index((200, None))]
            [tenant] = [
                one
                for one in gateway.call("GET", "/tenants").json()["tenants"]
                if one["subdomain"] == "planned"
            ]
            assert tenant["name"] == winner


def test_metrics_count_the_requests_of_all_workers(gateway: RunningGateway) -> None:
    def count() -> float:
        samples = gateway.metrics(admin=True)
        return sum(value for name, value in samples.items() if "admin_requests" in name)

    before = count()
    for _ in range(30):
        requests.get(f"{gateway.admin}/livez", timeout=10)
    for _ in until(10):
        if count() >= before + 30:
            return
    raise AssertionError(count() - before)


def test_failed_logins_are_counted_over_all_workers(gateway: RunningGateway) -> None:
    tenant = gateway.create_tenant(subdomain="kept")
    with ThreadPoolExecutor(12) as pool:
        found = Counter(pool.map(lambda _: gateway.call("GET", "/tenants", "guess").status_code, range(60)))
    assert found == {401: MAX_FAILURES, 429: 60 - MAX_FAILURES}
    assert gateway.call("GET", "/tenants").status_code == 429
    assert gateway.call("GET", f"/tenants/{tenant.id}", tenant.key).status_code == 200
