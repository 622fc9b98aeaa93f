"""The plugins' threads: bounded, and so is their queue."""

from threading import Event

import pytest

from shared.core.errors import PoolFull
from shared.pipeline.pool import PluginPool


def test_a_call_beyond_threads_and_queue_is_refused_at_once() -> None:
    pool, free = PluginPool(threads=1, waiting=1), Event()
    try:
        running, waiting = pool.submit(free.wait), pool.submit(lambda: "waited")
        with pytest.raises(PoolFull):
            pool.submit(lambda: None)
        free.set()
        assert running.result(5)
        assert waiting.result(5) == "waited"
        assert pool.submit(lambda: "again").result(5) == "again"
    finally:
        pool.shutdown()


def test_a_cancelled_call_gives_its_place_back() -> None:
    pool, free = PluginPool(threads=1, waiting=1), Event()
    try:
        running, waiting = pool.submit(free.wait), pool.submit(lambda: None)
        assert waiting.cancel()
        pool.submit(lambda: None)
        free.set()
        running.result(5)
    finally:
        pool.shutdown()


def test_a_pool_that_is_closed_says_so_and_keeps_no_place() -> None:
    pool = PluginPool(threads=1, waiting=0)
    pool.shutdown()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            pool.submit(lambda: None)
