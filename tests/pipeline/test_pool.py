"""The plugins' threads: bounded, shared fairly among owners, and used by the calls that block."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from shared.core.errors import PoolFull
from shared.pipeline.calls import submit_call
from shared.pipeline.fair_queue import FairQueue
from shared.pipeline.pool import PluginPool


def test_a_call_beyond_threads_and_queue_is_rejected_at_once() -> None:
    free = Event()
    with PluginPool(threads=1, waiting=1) as pool:
        running, waiting = pool.submit(free.wait), pool.submit(lambda: "waited")
        with pytest.raises(PoolFull):
            pool.submit(lambda: None)
        free.set()
        assert running.result(5)
        assert waiting.result(5) == "waited"
        assert pool.submit(lambda: "again").result(5) == "again"


def test_a_cancelled_call_gives_its_place_back() -> None:
    free = Event()
    with PluginPool(threads=1, waiting=1) as pool:
        running, waiting = pool.submit(free.wait), pool.submit(lambda: None)
        assert waiting.cancel()
        pool.submit(lambda: None)
        free.set()
        running.result(5)


LIMIT = 5.0  # seconds; what hangs must fail


@pytest.fixture
def one() -> Iterator[FairQueue]:
    """With one thread, so that the order shows."""
    queue = FairQueue(threads=1, waiting=4)
    yield queue
    queue.close()


def test_queue_serves_its_owners_in_turn(one: FairQueue) -> None:
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


def test_a_full_queue_rejects_its_owner_alone(one: FairQueue) -> None:
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


def test_worker_survives_a_call_that_raises_system_exit(one: FairQueue) -> None:
    def leave() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        one.submit("a", leave).result(LIMIT)
    assert one.submit("a", int).result(LIMIT) == 0


def test_closed_pool_rejects_calls_and_cancels_queued_ones() -> None:
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
    for _ in range(3):  # once more than it has slots
        with pytest.raises(RuntimeError):
            pool.submit(int)


class Place(PluginPool):
    """A pool that says who computed."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, waiting=1)

    def compute(self, owner: str, call: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result((owner, call(*arguments)))
        return done


@pytest.mark.parametrize(
    ("pool", "computes", "expected"),
    [
        (Place, True, ("tenant_1", "abc")),
        (Place, False, "abc"),
        (ThreadPoolExecutor, True, "abc"),  # it has no such place
    ],
)
def test_a_computing_call_waits(
    pool: type[Place] | type[ThreadPoolExecutor], computes: bool, expected: object
) -> None:
    step: Any = SimpleNamespace(plugin=SimpleNamespace(computes=computes))
    with pool(1) as threads:
        assert submit_call(threads, step, "tenant_1", "".join, ["a", "bc"]).result(5) == expected
