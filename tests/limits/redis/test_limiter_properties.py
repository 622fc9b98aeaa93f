"""Any history of requests: a limiter decides as a plain list of events would, and keeps its promises."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from tests.limits.redis.limiter_machine import machine
from tests.limits.redis.limiter_model import width_us
from tests.limits.redis.limiter_world import KINDS, World, limit, requested_world
from tests.support.cases import slow

any_history = settings(suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module", params=[*KINDS, *slow("cluster")])
def here(request: pytest.FixtureRequest) -> Iterator[World]:
    with requested_world(request) as here:
        yield here


@pytest.mark.parametrize(("examples", "steps"), [(20, 30), *slow((1_000, 60))])
def test_decisions_equal_those_of_an_event_list(here: World, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine(here), settings=settings(any_history, max_examples=examples, stateful_step_count=steps)
    )


@any_history
@given(
    st.integers(1, 8),
    st.sampled_from([7_000, 7_001, 9_999]),
    st.lists(st.integers(0, 300_000) | st.integers(0, 8_000_000), min_size=10, max_size=80),
)
def test_both_bounds_hold_for_exact_logs(here: World, number: int, window_ms: int, pauses: list[int]) -> None:
    """Never above the limit in a window; never refused what a window of 65/64 would admit."""
    here.forget()
    wanted = limit(number=number, window_ms=window_ms)
    log: list[int] = []
    for pause in pauses:
        here.hands.now_us += pause
        now = here.hands.now_us
        if here.acquire(wanted).allowed:
            log.append(now)
            assert sum(time >= now - window_ms * 1000 for time in log) <= number
        else:
            assert sum(time > now - 65 * width_us(wanted) for time in log) >= number
