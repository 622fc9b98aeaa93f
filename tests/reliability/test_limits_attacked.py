"""R21: whatever clients do, a limit of the proxy is never exceeded in any window."""

import asyncio
import time

import pytest
import uvloop

from bench.limiter import worst_window
from tests.reliability.callers import Caller
from tests.reliability.figures import figure
from tests.reliability.steadiness import assert_clean
from tests.support.gateway import RunningGateway
from tests.support.load_upstream import LoadUpstream

pytestmark = pytest.mark.usefixtures("undisturbed")

SETTINGS = {"GATEWAY__SERVER__WORKERS": "2"}
LIMIT, SECONDS = 200, 2  # `worst_window` counts in windows of two seconds
CLIENTS, WINDOWS = 200, 5
LEADS = (0.02, 0.1, 0.3)  # how long before the boundary an attack begins, in seconds
Admitted = list[tuple[float, float]]


@pytest.fixture
def caller(gateway: RunningGateway, upstream: LoadUpstream) -> Caller:
    limiter = {"name": "rate_limiter", "settings": {"limit": LIMIT, "window": f"{SECONDS}s"}}
    return Caller.of(upstream.tenant(gateway, limiter))


async def greedy(caller: Caller, until: float, admitted: Admitted, local: list[bytes]) -> None:
    """One client: asks as fast as it can, and notes when what was admitted began and ended."""
    line = await caller.open()
    request = caller.request("/v1/ok")
    while (begun := time.monotonic()) < until:
        response = await line.ask(request)
        assert response.status in (200, 429)
        if b"x-gateway-ratelimit-mode" in response.head:
            local.append(response.head)
        if response.status == 200:
            admitted.append((begun, time.monotonic()))
    line.close()


def test_200_clients_of_two_workers_never_get_more_than_the_limit(
    gateway: RunningGateway, caller: Caller
) -> None:
    async def storm() -> tuple[Admitted, list[bytes]]:
        admitted: Admitted = []
        local: list[bytes] = []
        end = time.monotonic() + WINDOWS * SECONDS
        await asyncio.gather(*(greedy(caller, end, admitted, local) for _ in range(CLIENTS)))
        return admitted, local

    admitted, local = uvloop.run(storm())
    share = len(admitted) / (LIMIT * WINDOWS)
    figure(
        "R21",
        f"{CLIENTS} clients, 2 workers: worst window {worst_window(admitted)} of {LIMIT}, admitted {share:.1%} "
        f"of {WINDOWS} windows; {len(local)} responses counted without Redis",
    )
    # Each worker that counts alone may admit one more (R2).
    assert worst_window(admitted) <= LIMIT + (2 if local else 0)
    assert share >= 0.9
    assert_clean(gateway)


@pytest.mark.parametrize("lead", LEADS)
def test_an_attack_on_the_boundary_gets_no_more_than_the_limit(caller: Caller, lead: float) -> None:
    async def attack() -> Admitted:
        admitted: Admitted = []
        line = await caller.open()
        await line.ask(caller.request("/v1/ok"))
        opened = time.monotonic()
        line.close()
        await asyncio.sleep(SECONDS - lead)
        end = opened + 2 * SECONDS + 0.5
        await asyncio.gather(*(greedy(caller, end, admitted, []) for _ in range(16)))
        return admitted

    worst = worst_window(uvloop.run(attack()))
    figure("R21", f"attack on the boundary {lead * 1e3:.0f} ms before it: {worst} admitted of {LIMIT}")
    assert worst <= LIMIT
