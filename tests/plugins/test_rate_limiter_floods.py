"""Floods of what clients choose: how many counters they make in a real store, and how many requests pass."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from shared.limits.redis.limiter import open_redis_limiter
from shared.pipeline.plugin import Continue
from tests.limits.redis.limiter_world import address
from tests.plugins.gate import Gate
from tests.support.valkey_server import valkey

MOST = 10_000  # values of one limit that have a counter of their own, as the specification has it
FLOOD = 10_300
ROOMY = {"limit": 1_000_000, "window": "10m"}


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with valkey(tmp_path_factory.mktemp("flood")) as socket:
        yield socket


def flooded(socket: str, limits: Any, name: str) -> tuple[int, int]:
    """How many requests passed of a flood in which each sends another value, and how many keys it made."""

    async def flood() -> int:
        limiter = open_redis_limiter(address(socket), deadline=20)
        gate = Gate(limiter, [("rule", {"limits": limits})])
        verdicts = []
        for number in range(FLOOD):
            request = {"headers": {"X-Team": str(number)}, "path": f"/{number}"}
            verdicts.append(await gate.plugin.pre_request(gate.exchange(**request)))
        await limiter.close()
        return sum(isinstance(verdict, Continue) for verdict in verdicts)

    with redis.Redis(**address(socket)) as store:
        store.flushdb()
        passed = asyncio.run(flood())
        keys = store.dbsize()
    print(f"\n{name}: {FLOOD} values, {passed} requests passed, {keys} counters")
    return passed, keys


@pytest.mark.slow
@pytest.mark.parametrize("limits", [{"per_header": {"X-Team": ROOMY}}, {"per_path": ROOMY}])
def test_a_flood_of_values_makes_ten_thousand_counters_and_a_shared_one(socket: str, limits: Any) -> None:
    assert flooded(socket, limits, next(iter(limits))) == (FLOOD, MOST + 1)


@pytest.mark.slow
def test_beside_a_limit_of_all_a_flood_of_headers_makes_no_more_counters_than_it_admits(socket: str) -> None:
    limits = {"global": {"limit": 50, "window": "10m"}, "per_header": {"X-Team": ROOMY}, "per_path": ROOMY}
    assert flooded(socket, limits, "beside global") == (50, 1 + 2 * 50)
