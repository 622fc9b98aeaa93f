"""Rejected clients are told different waits, and each of them is admitted when it comes back then."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.limits.retry_queues import RetryQueues, Turn
from shared.limits.values import CONCURRENT_RETRY_MS, NEVER, Decision, Limit, Quota, decide
from shared.testing.memory_limiter import Counters
from tests.limits.limits_by_name import at_a_time, left, window

START = 1_750_000_000_000_000
#: The clock of a process began at another time than that of Redis.
OFFSET = 987_654_321
LATE = 50_000


def limit(number: int, window_ms: int, *, cost: int = 1, key: str = "a") -> Limit:
    return Limit(key, Quota(number, window_ms), "rule", "global", "w", cost)


@dataclass
class World:
    """One counter for several workers, each with the waits that it told."""

    limits: list[Limit]
    workers: int = 1
    counters: Counters = field(default_factory=Counters)
    now: int = START

    def __post_init__(self) -> None:
        self.told = [RetryQueues(lambda n=n: Turn(n, self.workers)) for n in range(self.workers)]

    def ask(self, worker: int = 0) -> Decision:
        decision = self.counters.acquire(self.limits, self.now)
        told, clock = self.told[worker], self.now - OFFSET
        if decision.violated is not None:
            return told.spread(decision, clock)
        told.charge(self.limits, clock)
        return decision


def waits(world: World, clients: int) -> list[int]:
    return [world.ask().retry_after_ms for _ in range(clients)]


def test_clients_that_were_rejected_together_are_told_the_next_free_places() -> None:
    world = World([limit(3, 10_000)])
    assert waits(world, 3) == [0, 0, 0]
    found = waits(world, 7)
    first, second, third = (10_156, 20_468, 30_781)
    assert [round(wait, -2) for wait in found] == [
        round(one, -2) for one in 3 * [first] + 3 * [second] + [third]
    ]


def test_places_that_are_free_one_by_one_are_told_one_by_one() -> None:
    world = World([limit(4, 8_000)])
    for _ in range(4):
        assert world.ask().allowed
        world.now += 1_000_000
    found = waits(world, 4)
    assert sorted(found) == found
    assert [later - earlier for earlier, later in pairwise(found)] == [1_000] * 3


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Limit], list[int], list[int], list[int]]:
    """Limits of one request, pauses between earlier requests, pauses between rejected ones, and delays."""
    window_ms = draw(st.sampled_from([500, 1_000, 10_000, 7_000]))
    limits = [limit(draw(st.integers(1, 6)), window_ms, cost=draw(st.integers(1, 2)))]
    if draw(st.booleans()):
        limits.append(limit(draw(st.integers(1, 6)), window_ms, cost=limits[0].cost, key="b"))
    pauses = st.lists(st.integers(0, window_ms * 300), max_size=8)
    delays = draw(st.lists(st.integers(0, LATE), min_size=12, max_size=12))
    return (
        limits,
        draw(pauses),
        draw(st.lists(st.integers(0, window_ms * 20), min_size=1, max_size=12)),
        delays,
    )


@given(histories())
@example(([limit(1, 500)], [0], [0] * 12, [0, LATE] * 6))
@example(([limit(2, 1_000, cost=2), limit(1, 1_000, cost=2, key="b")], [], [0], [0] * 12))
def test_client_that_comes_when_it_was_told_is_admitted(
    history: tuple[list[Limit], list[int], list[int], list[int]],
) -> None:
    """No wait is told twice too often: all come back at most 50 ms late, and all are admitted."""
    limits, pauses, more, delays = history
    world = World(limits)
    for pause in pauses:
        world.now += pause
        world.counters.acquire(limits, world.now)
    told: list[tuple[int, int]] = []
    horizon = 8 * limits[0].quota.window_ms
    for number, pause in enumerate(more):
        world.now += pause
        if any(at <= world.now for at, _ in told):
            break
        decision = world.ask()
        if decision.allowed:
            continue
        if decision.retry_after_ms == NEVER:
            return
        if decision.retry_after_ms > horizon // 2:
            break  # beyond the horizon places are told again
        told.append((world.now + decision.retry_after_ms * 1000 + delays[number % 12], number))
    for at, _ in sorted(told):
        world.now = max(world.now, at)
        assert world.ask().allowed, told


@given(histories())
def test_wait_is_never_shorter_than_the_limit_says_and_never_far_beyond(
    history: tuple[list[Limit], list[int], list[int], list[int]],
) -> None:
    limits, pauses, more, _ = history
    world, plain = World(limits), Counters()
    for pause in (*pauses, *more, *[0] * 200):
        world.now += pause
        decision, first = world.ask(), plain.acquire(limits, world.now)
        assert (decision.allowed, decision.violated) == (first.allowed, first.violated)
        if first.retry_after_ms in (0, NEVER):
            assert decision.retry_after_ms == first.retry_after_ms
            continue
        assert first.retry_after_ms <= decision.retry_after_ms
        assert decision.retry_after_ms <= first.retry_after_ms + 8 * limits[0].quota.window_ms
        assert decision.retry_after_ms == max(
            state.retry_after_ms for state in decision.states if not state.has_room
        )


def retry(
    ask: Callable[[int], Decision], clients: int, attempts: int, set_clock: Callable[[int], None], start: int
) -> int:
    """How many of so many SDK clients succeed that all begin at once and wait as they are told."""
    order: Iterator[int] = count()
    queue = [(start + 211 * client, next(order), client, attempts) for client in range(clients)]
    passed = 0
    while queue:
        at, _, client, left_over = heapq.heappop(queue)
        set_clock(at)
        decision = ask(client)
        if decision.allowed:
            passed += 1
        elif left_over > 1:
            wait = decision.retry_after_ms * 1000 + 1_973 * (client % 5)  # the network
            heapq.heappush(queue, (at + wait, next(order), client, left_over - 1))
    return passed


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize(
    ("number", "window_ms"),
    [(1, 500), (1, 1_000), (3, 1_000), (2, 5_000), (3, 10_000), (1, 5_000), (5, 60_000)],
)
def test_twelve_sdk_clients_with_five_retries_all_pass(number: int, window_ms: int, workers: int) -> None:
    for seed in range(10):
        world = World([limit(number, window_ms)], workers)

        def set_clock(at: int, world: World = world) -> None:
            world.now = at

        def ask(client: int, world: World = world) -> Decision:
            return world.ask(client % workers)

        assert retry(ask, 12, 6, set_clock, START + 7_919 * seed) == 12


def test_the_same_wait_for_all_lets_half_of_them_fail() -> None:
    """The reason for the spread."""
    counters, now = Counters(), [START]

    def set_clock(at: int) -> None:
        now[0] = at

    assert retry(lambda _: counters.acquire([limit(1, 500)], now[0]), 12, 6, set_clock, START) == 6


def test_client_that_does_not_wait_lengthens_the_waits_of_others_to_a_bound_only() -> None:
    world = World([limit(2, 1_000)])
    assert max(waits(world, 5_000)) <= 9_100
    slow = World([limit(2, 20_000)])
    assert max(waits(slow, 5_000)) <= 60_000
    longer = World([limit(2, 90_000)])
    assert max(waits(longer, 50)) <= 91_500


def test_place_of_a_client_that_does_not_come_back_is_told_again() -> None:
    world = World([limit(1, 1_000)])
    first = waits(world, 3)[1:]
    world.now += 2_100_000  # past the first place, whose client never came
    assert world.ask().allowed
    again = world.ask().retry_after_ms
    assert first[0] < first[1]
    assert again < 2_200


def test_decision_without_charges_stays_as_it_is() -> None:
    told, never = RetryQueues(), decide([left(window("a", 0), 0, NEVER)])
    assert told.spread(never, 0) is never
    unknown = decide([left(window("a"), 0, 900), left(at_a_time("s"), 0, 0)])
    spread = told.spread(unknown, 0)
    assert spread == unknown._replace(retry_after_ms=max(900, CONCURRENT_RETRY_MS))
    assert not told.queues


def test_repeated_rejection_continues_the_queue_that_is_known() -> None:
    """The memory of rejections has no charges."""
    world = World([limit(1, 1_000)])
    first = waits(world, 2)[1]
    repeated = decide([left(world.limits[0], 0, first)])
    assert world.told[0].spread(repeated, world.now - OFFSET).retry_after_ms > first


def test_changed_window_begins_a_new_queue() -> None:
    world = World([limit(1, 1_000)])
    waits(world, 4)
    world.limits = [limit(1, 2_000)]
    world.counters.clear()
    assert waits(world, 2)[1] <= 2_100


def test_queues_are_bounded_and_idle_ones_go_first() -> None:
    told, counters = RetryQueues(max_queues=3), Counters()

    def reject(key: str, now: int) -> None:
        for _ in range(2):
            decision = counters.acquire([limit(1, 1_000, key=key)], now)
        told.spread(decision, now)

    for number in range(10):
        reject(f"a{number}", START)
    assert list(told.queues) == ["a7", "a8", "a9"]
    reject("b", START + 9_000_000)
    assert list(told.queues) == ["b"]


def test_process_that_decides_alone_leaves_out_no_places() -> None:
    """Without Redis each process counts a share of the limit, and tells all places of it."""
    queues, counters, limits = RetryQueues(lambda: Turn(0, 8)), Counters(), [limit(1, 1_000)]
    assert counters.acquire(limits, START).allowed
    alone = counters.acquire(limits, START)._replace(degraded=True)
    found = [queues.spread(alone, START).retry_after_ms for _ in range(4)]
    assert max(later - earlier for earlier, later in pairwise(found)) < 1_100


def test_worker_that_joins_gets_places_of_its_own_from_then_on() -> None:
    turn, counters, limits = [Turn()], Counters(), [limit(1, 1_000)]
    queues = RetryQueues(lambda: turn[0])

    def ask() -> int:
        return queues.spread(counters.acquire(limits, START), START).retry_after_ms

    alone = [ask() for _ in range(4)][1:]
    turn[0] = Turn(0, 2)
    steps = [later - earlier for earlier, later in pairwise([*alone, ask(), ask()])]
    assert steps[2:] == pytest.approx([2 * step for step in steps[:2]], abs=2)
