"""R22: whatever an upstream does, the client gets an error soon."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.reliability.figures import figure
from tests.reliability.steadiness import steady
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.ports import black_hole
from tests.support.upstream import Upstream, hang

CONNECT, FIRST_BYTE = 1.0, 1.5  # seconds
SETTINGS = {
    "GATEWAY__LIMITS__TIMEOUTS__CONNECT": f"{CONNECT}s",
    "GATEWAY__LIMITS__TIMEOUTS__FIRST_BYTE": f"{FIRST_BYTE}s",
}
SWEEP = 0.5  # seconds; how late a deadline may be noticed, and what a busy machine adds


@pytest.fixture
def tenant(gateway: RunningGateway) -> Iterator[TenantInUse]:
    made = gateway.create_tenant()
    made.create_rule("/warm", "http://127.0.0.1:1")
    with steady(made, "/warm/x"):
        yield made


def timed(tenant: TenantInUse, path: str, method: str = "GET") -> tuple[int, str, float]:
    """Status, code and seconds of one call."""
    start = time.perf_counter()
    response = tenant.request(method, path)
    return response.status_code, response.json()["error"]["code"], time.perf_counter() - start


def test_a_failed_connection_is_502_within_100_ms(tenant: TenantInUse) -> None:
    tenant.create_rule("/v1", "http://127.0.0.1:1")
    seen = [timed(tenant, "/v1/x") for _ in range(20)]
    assert {(status, code) for status, code, _ in seen} == {(502, "upstream_unreachable")}
    typical = statistics.median(seconds for *_, seconds in seen)
    figure("R22", f"failed connection: 502 in {typical * 1000:.1f} ms (promise 100)")
    assert typical < 0.1


@contextlib.contextmanager
def silent() -> Iterator[str]:
    with Upstream(hang) as upstream:
        yield upstream.url


@pytest.mark.parametrize(("upstream", "timeout"), [(black_hole, CONNECT), (silent, FIRST_BYTE)])
def test_an_upstream_that_does_not_respond_is_504_at_the_timeout(
    tenant: TenantInUse, upstream: Callable[[], AbstractContextManager[str]], timeout: float
) -> None:
    with upstream() as url:
        tenant.create_rule("/v1", url)
        status, code, seconds = timed(tenant, "/v1/x")
    figure("R22", f"{upstream.__name__}: {status} in {seconds:.2f} s (timeout {timeout})")
    assert (status, code) == (504, "upstream_timeout")
    assert timeout <= seconds < timeout + SWEEP
