"""Requests are observed after the turn of the event loop in which they end."""

import asyncio
from typing import Any

import pytest

from mitm_addons.observe.turn import MAX_KEPT, TurnEnd
from mitm_engine.metrics import Metrics
from tests.mitm_addons.begun import begun_flow

BUSY = Metrics(in_flight=1)


async def test_requests_of_one_turn_are_observed_together_after_it() -> None:
    seen: list[tuple[str, Any]] = []
    turn = TurnEnd(
        [lambda one: seen.append(("log", one)), lambda one: seen.append(("count", one))], lambda: BUSY
    )
    first, second, third = [begun_flow() for _ in range(3)]
    for flow in (first, second):
        turn.post_response(flow)
    assert seen == []
    await asyncio.sleep(0)
    assert seen == [("log", first), ("log", second), ("count", first), ("count", second)]
    turn.post_response(third)
    await asyncio.sleep(0)
    assert seen[4:] == [("log", third), ("count", third)]


@pytest.mark.parametrize(("engine", "is_at_once"), [(Metrics(), True), (BUSY, False), (None, False)])
async def test_request_that_ends_while_no_other_is_open_is_observed_at_once(
    engine: Metrics | None, is_at_once: bool
) -> None:
    seen: list[Any] = []
    turn = TurnEnd([seen.append], lambda: engine)
    turn.post_response(begun_flow())
    assert len(seen) == is_at_once
    turn.flush()
    assert len(seen) == 1
    await asyncio.sleep(0)
    assert len(seen) == 1


async def test_error_of_one_observation_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Any] = []
    first, second = begun_flow(), begun_flow()

    def fail_first(flow: Any) -> None:
        if flow is first:
            raise RuntimeError
        seen.append(flow)

    turn = TurnEnd([fail_first, seen.append], lambda: BUSY)
    turn.post_response(first)
    turn.post_response(second)
    turn.flush()
    assert seen == [second, first, second]
    assert [one.message for one in caplog.records] == ["An addon failed in a final hook."]


async def test_requests_above_the_bound_are_not_kept_until_the_turn_ends() -> None:
    seen: list[Any] = []
    turn = TurnEnd([seen.append], lambda: BUSY)
    for _ in range(MAX_KEPT + 1):
        turn.post_response(begun_flow())
    assert len(seen) == MAX_KEPT
    turn.flush()
    assert len(seen) == MAX_KEPT + 1
