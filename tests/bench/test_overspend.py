"""The ways to keep a budget that the benchmark compares do what it says of them, each one alone."""

import asyncio
from itertools import islice
from typing import Any

import pytest
from redis import Redis

from bench.overspend import (
    BUDGET_UNITS,
    COSTS,
    ESTIMATE,
    OURS,
    SECONDS,
    WAYS,
    Keeper,
    Spending,
    Way,
    calls_of,
    spend,
    spending_table,
    spending_targets,
)
from tests.support.valkey_server import Server

MOST = BUDGET_UNITS // ESTIMATE
FIXED, MOVING, CHECKING = WAYS[1:]


@pytest.fixture
def store(running: Server) -> Any:
    with Redis(unix_socket_path=running.socket) as client:
        client.flushall()
    return running.socket


async def admitted(way: Way, store: str, cost: int) -> tuple[int, int]:
    """The calls that are admitted before any of them is settled, and what is counted in the end."""
    async with way.open(store) as keeper:
        calls = [str(number) for number in range(MOST + 20) if await keeper.admit(str(number))]
        for call in calls:
            await keeper.settle(call, cost)
    return len(calls), await way.counted(store)


@pytest.mark.parametrize("way", [OURS, MOVING], ids=lambda way: way.name)
def test_way_that_reserves_admits_as_many_as_its_estimate_allows(store: str, way: Way) -> None:
    assert asyncio.run(admitted(way, store, ESTIMATE)) == (MOST, BUDGET_UNITS)


def test_budget_gives_back_what_calls_did_not_need(store: str) -> None:
    assert asyncio.run(admitted(OURS, store, 20)) == (MOST, MOST * 20)
    assert asyncio.run(admitted(MOVING, store, 20)) == (MOST, BUDGET_UNITS)


def test_fixed_window_counts_what_it_rejects(store: str) -> None:
    assert asyncio.run(admitted(FIXED, store, ESTIMATE)) == (MOST, (MOST + 20) * ESTIMATE)


def test_check_before_the_increment_admits_all_that_are_in_flight(store: str) -> None:
    assert asyncio.run(admitted(CHECKING, store, ESTIMATE)) == (MOST + 20, (MOST + 20) * ESTIMATE)


def test_calls_of_a_client_are_the_same_for_each_way() -> None:
    calls = list(islice(calls_of(3), 200))
    assert calls == list(islice(calls_of(3), 200))
    assert len({call.id for call in calls}) == 200
    assert {True, False} == {call.cost > ESTIMATE for call in calls}
    assert all(COSTS[0] <= call.cost <= COSTS[1] for call in calls)
    assert all(SECONDS[0] <= call.seconds <= SECONDS[1] for call in calls)


def test_client_repeats_a_rejected_call_and_tells_what_it_spent() -> None:
    settled: list[tuple[str, int]] = []
    asked: list[str] = []

    async def admit(call: str) -> bool:
        asked.append(call)
        return len(asked) != 2

    async def settle(call: str, cost: int) -> None:
        settled.append((call, cost))

    costs = asyncio.run(spend(Keeper(admit, settle), 1, lambda: len(asked) == 3))
    assert asked == ["1-0", "1-1", "1-1"]
    assert settled == [(call.id, call.cost) for call in islice(calls_of(1), 2)]
    assert costs == [cost for _, cost in settled]


def test_table_shows_usd_over_the_rounds() -> None:
    one = Spending("a way")
    one.add([5_000, 4_000], 9_000)
    one.add([11_000], 12_000)
    assert one.cells == ["a way", "2", "1.00 (0.90..1.10)", "1.05"]
    assert "a way" in spending_table([one])


@pytest.mark.parametrize(
    ("costs", "counted", "met"),
    [
        ([10_000, 1_000], 11_000, [True, True]),
        ([10_000, 1_001], 11_001, [False, True]),
        ([10_000], 9_999, [True, False]),
    ],
    ids=["with debt", "beyond its debt", "not counted"],
)
def test_budget_meets_its_targets_up_to_the_debt_of_calls_in_flight(
    costs: list[int], counted: int, met: list[bool]
) -> None:
    one = Spending("ours")
    one.add(costs, counted)
    assert [target.is_met for target in spending_targets(one)] == met
