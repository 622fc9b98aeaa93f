"""Any history of requests: a limiter decides as a plain list of events would, and keeps its promises."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.core.limits import NEVER, Decision, Limit
from tests.stores.limiter_world import World, limit, world

# The server's own clock expires keys, the test's clock turns windows: windows must outlast an example.
WINDOWS_MS = (7_000, 10_000, 61_000)


class Event(NamedTuple):
    """A charge: when, and in which bucket it was counted."""

    time: int
    bucket: int
    cost: int


class EventList:
    """The independent model: every charge is kept, every decision counts anew."""

    def __init__(self) -> None:
        self.events: dict[str, list[Event]] = {}

    def bucket(self, wanted: Limit, now: int) -> int:
        newest = max((event.bucket for event in self.events.get(wanted.key, [])), default=0)
        return max(now // width_us(wanted), newest)

    def used(self, wanted: Limit, now: int) -> int:
        oldest = self.bucket(wanted, now) - 64
        return sum(event.cost for event in self.events.get(wanted.key, []) if event.bucket >= oldest)

    def acquire(self, limits: Sequence[Limit], now: int) -> list[Limit]:
        """The violated limits; charges all when there is none."""
        violated = [wanted for wanted in limits if self.used(wanted, now) + wanted.cost > wanted.quota.limit]
        if not violated:
            for wanted in limits:
                event = Event(now, self.bucket(wanted, now), wanted.cost)
                self.events.setdefault(wanted.key, []).append(event)
        return violated


def width_us(wanted: Limit) -> int:
    return -(-wanted.quota.window_ms * 1000 // 64)


steps = st.tuples(
    # Standing still, a little, whole and nearly whole buckets, whole windows, and a clock set back.
    st.sampled_from([0, 0, 1, 777, 100_000, 109_374, 109_375, 109_376, 1_000_003, 6_999_999, 7_000_000])
    | st.integers(0, 20_000_000)
    | st.integers(-3_000_000, 0),
    st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True),
    st.sampled_from([1, 1, 1, 2, 5]),
)
numbers = st.lists(st.integers(0, 6), min_size=4, max_size=4)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module", params=["memory", "redis"])
def here(request: pytest.FixtureRequest, runner: asyncio.Runner, valkey_socket: str) -> Iterator[World]:
    here = world(request.param, runner, valkey_socket)
    yield here
    here.close()


def chosen(places: Sequence[int], numbers: Sequence[int], cost: int) -> list[Limit]:
    return [
        limit(f"dimension{place}", numbers[place], WINDOWS_MS[place % len(WINDOWS_MS)], cost=cost)
        for place in places
    ]


def check_history(here: World, numbers: Sequence[int], history: Sequence[tuple[int, list[int], int]]) -> None:
    here.forget()
    model = EventList()
    for forward, places, cost in history:
        here.hands.now_us += forward
        limits = chosen(places, numbers, cost)
        before = here.stored(*limits)
        violated = model.acquire(limits, here.hands.now_us)
        decision = here.acquire(*limits)
        assert (decision.allowed, decision.violated) == (not violated, next(iter(violated), None))
        if violated:
            assert here.stored(*limits) == before
            check_wait(here, decision, limits)
        for state in decision.states:
            used = model.used(state.limit, here.hands.now_us)
            assert state.remaining == max(state.limit.quota.limit - used, 0)
            check_ring(here, state.limit)


def check_wait(here: World, decision: Decision, limits: Sequence[Limit]) -> None:
    """At the time named there is room; a millisecond earlier there is none."""
    if any(wanted.cost > wanted.quota.limit for wanted in limits):
        assert decision.retry_after_ms == NEVER
        return
    now = here.hands.now_us
    here.hands.forward(decision.retry_after_ms - 1)
    assert not here.peek(*limits).allowed
    here.hands.forward(1)
    assert here.peek(*limits).allowed
    here.hands.now_us = now


def check_ring(here: World, wanted: Limit) -> None:
    """The total is the sum of the ring, and the marks stand on buckets that hold something."""
    stored = here.store.hgetall(wanted.key) if here.store else {}
    if stored:
        ring = {int(slot): int(charged) for slot, charged in stored.items() if slot not in (b"t", b"b", b"o")}
        assert int(stored[b"t"]) == sum(ring.values())
        assert ring[int(stored[b"b"]) % 65] > 0
        assert ring[int(stored[b"o"]) % 65] > 0
        assert all(charged > 0 for charged in ring.values())


any_history = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings(any_history, max_examples=50)
@given(numbers, st.lists(steps, min_size=5, max_size=30))
def test_decisions_equal_those_of_an_event_list(
    here: World, numbers: list[int], history: list[tuple[int, list[int], int]]
) -> None:
    check_history(here, numbers, history)


@pytest.mark.slow
@settings(any_history, max_examples=1_000)
@given(numbers, st.lists(steps, min_size=5, max_size=60))
def test_decisions_equal_those_of_an_event_list_at_length(
    here: World, numbers: list[int], history: list[tuple[int, list[int], int]]
) -> None:
    check_history(here, numbers, history)


@settings(any_history, max_examples=50)
@given(
    st.integers(1, 8),
    st.sampled_from([7_000, 7_001, 9_999]),
    st.lists(st.integers(0, 300_000) | st.integers(0, 8_000_000), min_size=10, max_size=80),
)
def test_the_two_bounds_against_exact_logs(
    here: World, number: int, window_ms: int, pauses: list[int]
) -> None:
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
