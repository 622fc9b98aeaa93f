"""Calls that compute: few at a time, one of an owner, and owners take queue."""

from collections.abc import Iterator
from threading import Event

import pytest

from shared.core.errors import PoolFull
from shared.pipeline.fair_queue import FairQueue
from shared.pipeline.pool import PluginPool

LIMIT = 5.0  # seconds; what hangs must fail


@pytest.fixture
def one() -> Iterator[FairQueue]:
    """With one thread, so that the order shows."""
    queue = FairQueue(threads=1, waiting=4)
    yield queue
    queue.close()


def test_owners_take_turns_however_much_one_of_them_has(one: FairQueue) -> None:
    free, order = Event(), list[str]()
    first = one.submit("busy", free.wait)
    waiting = [one.submit("busy", order.append, f"busy {number}") for number in range(3)]
    waiting += [one.submit(owner, order.append, owner) for owner in ("a", "b")]
    free.set()
    for future in (first, *waiting):
        future.result(LIMIT)
    assert order == ["a", "b", "busy 0", "busy 1", "busy 2"]


def test_an_owner_has_one_thread_and_leaves_the_others_to_others() -> None:
    queue, free = FairQueue(threads=2, waiting=3), Event()
    try:
        stuck = queue.submit("slow", free.wait)
        behind = queue.submit("slow", lambda: "slow")
        assert queue.submit("quick", lambda: "quick").result(LIMIT) == "quick"
        assert not behind.done()
        free.set()
        assert stuck.result(LIMIT)
        assert behind.result(LIMIT) == "slow"
    finally:
        queue.close()


def test_a_full_queue_refuses_its_owner_alone(one: FairQueue) -> None:
    free, start_call = Event(), Event()
    running = one.submit("busy", lambda: (start_call.set(), free.wait()))
    assert start_call.wait(LIMIT)
    for _ in range(4):
        one.submit("busy", int)
    with pytest.raises(PoolFull):
        one.submit("busy", int)
    other = one.submit("other", int)
    free.set()
    running.result(LIMIT)
    assert other.result(LIMIT) == 0


def test_a_call_that_was_given_up_is_not_made(one: FairQueue) -> None:
    free, made = Event(), list[int]()
    one.submit("a", free.wait)
    given_up = one.submit("b", made.append, 1)
    assert given_up.cancel()
    free.set()
    one.submit("b", made.append, 2).result(LIMIT)
    assert made == [2]


def test_what_a_call_raises_is_its_own_affair(one: FairQueue) -> None:
    def leave() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        one.submit("a", leave).result(LIMIT)
    assert one.submit("a", int).result(LIMIT) == 0


def test_a_pool_that_is_closed_takes_no_calls_and_gives_up_those_that_wait() -> None:
    pool, free, start_call = PluginPool(threads=2, waiting=0), Event(), Event()
    running = pool.compute("a", lambda: (start_call.set(), free.wait()))
    assert start_call.wait(LIMIT)
    waiting = pool.compute("a", int)
    pool.shutdown(wait=False)
    free.set()
    running.result(LIMIT)
    assert waiting.cancelled()
    with pytest.raises(RuntimeError):
        pool.compute("a", int)
