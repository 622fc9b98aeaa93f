"""Blocking work in threads of its own: so much at a time, and the rest in turn."""

import threading
from concurrent.futures import CancelledError

import pytest

from shared.core.errors import OutsideError
from shared.net.resolve import LookupPool


class Hanging:
    """Work that ends once `go` is set, and counts how much of it runs at once."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)
        self.at_once = self.most = 0

    def __call__(self) -> list[str]:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.begun.release()
        self.go.wait(5)
        self.at_once -= 1
        return ["found"]


def test_work_above_the_number_of_threads_queues_and_is_done_in_turn() -> None:
    look_ups, work = LookupPool(2), Hanging()
    found = [look_ups.submit(work) for _ in range(6)]
    for _ in range(2):
        assert work.begun.acquire(timeout=5)
    assert [future.running() for future in found] == [True, True, False, False, False, False]
    work.go.set()
    assert [future.result(5) for future in found] == [["found"]] * 6
    assert work.most <= 2


def test_cancelled_work_is_not_begun() -> None:
    look_ups, work, begun = LookupPool(1), Hanging(), []
    first = look_ups.submit(work)
    given_up = look_ups.submit(lambda: begun.append("given up") or [])
    last = look_ups.submit(lambda: begun.append("last") or [])
    assert given_up.cancel()
    work.go.set()
    first.result(5)
    last.result(5)
    assert begun == ["last"]
    with pytest.raises(CancelledError):
        given_up.result(0)


@pytest.mark.parametrize("error", [OutsideError("no such name"), RuntimeError("unforeseen")])
def test_an_error_reaches_the_caller_and_frees_the_thread(error: Exception) -> None:
    def fail() -> list[str]:
        raise error

    look_ups = LookupPool(1)
    for _ in range(2):
        assert look_ups.submit(fail).exception(5) is error
