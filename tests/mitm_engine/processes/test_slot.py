"""When a worker counts as dead, when the next one begins, and what workers show to each other."""

import multiprocessing
import signal
import socket
from typing import Any

import pytest

from mitm_engine.processes.scoreboard import Scoreboard, WorkerContext, WorkerRow
from mitm_engine.processes.slot import Patience, WorkerSlot

PATIENCE = Patience(silence=5, start=120, young=5, pause=0.1, longest_pause=0.5)


class Process:
    """Stands for a worker; notes its calls."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def begin(self, number: int) -> None:
        self.calls.append(number)

    def send(self, number: signal.Signals) -> None:
        self.calls.append(number)

    def kill(self) -> None:
        self.calls.append("killed")


@pytest.fixture
def row() -> WorkerRow:
    return Scoreboard(1).rows()[0]


@pytest.fixture
def slot(row: WorkerRow) -> WorkerSlot:
    return WorkerSlot(3, row, PATIENCE)


def started(slot: WorkerSlot) -> Process:
    process: Any = Process()
    slot.begin(process)
    assert process.calls.pop() == 3
    return process  # type: ignore[no-any-return]


def test_a_worker_may_import_for_long_before_its_heart_beats(slot: WorkerSlot) -> None:
    started(slot)
    assert slot.check(119, 119) is None
    assert not slot.is_ready
    assert slot.check(121, 2) == "did not start within 120 s"


def test_a_heart_that_beats_keeps_it_alive(slot: WorkerSlot, row: WorkerRow) -> None:
    started(slot)
    for now in range(1, 100):
        row.heartbeat = now
        assert slot.check(now, 1) is None
    assert slot.check(104, 5) is None
    assert slot.check(105, 1) == "sent no heartbeat for 5 s"


def test_pauses_grow_while_workers_die_young_up_to_a_bound(slot: WorkerSlot, row: WorkerRow) -> None:
    pauses = []
    for now in range(5):
        started(slot)
        row.heartbeat = 1.0 + now
        slot.check(now, 0)
        pauses.append(slot.end(now))
        assert not slot.may_begin(now + pauses[-1] - 0.01, others_serve=True)
        assert slot.may_begin(now + pauses[-1], others_serve=True)
    assert pauses == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_a_worker_that_never_served_died_young_at_any_age(slot: WorkerSlot) -> None:
    started(slot)
    slot.check(100, 100)
    assert slot.end(100) == 0.1


def test_slot_whose_worker_served_for_a_while_is_refilled_at_once_and_forgets_earlier_failures(
    slot: WorkerSlot, row: WorkerRow
) -> None:
    for now, lived, pause in ((0, 1, 0.1), (10, 0, 0.2), (20, 6, 0.0), (30, 1, 0.1)):
        process = started(slot)
        row.heartbeat = now + 1
        slot.check(now, 0)
        assert slot.end(now + lived) == pause
        assert process.calls == ["killed"]
    assert row.restarts == 4


def test_a_pause_decays_by_the_time_that_a_worker_served(slot: WorkerSlot, row: WorkerRow) -> None:
    pauses = []
    for now, served in ((0, 0), (10, 0), (20, 2.5), (30, 4), (40, 4.99)):
        started(slot)
        row.heartbeat = now + 1.0
        slot.check(now, 0)
        pauses.append(round(slot.end(now + served), 6))
    assert pauses == [0.1, 0.2, 0.2, 0.1, 0.1]


def test_a_long_pause_is_cut_short_when_no_other_worker_serves(row: WorkerRow) -> None:
    slot = WorkerSlot(3, row, Patience(pause=4))
    started(slot)
    slot.end(10)
    assert not slot.may_begin(13.9, others_serve=True)
    assert not slot.may_begin(10.05, others_serve=False)
    assert slot.may_begin(10.1, others_serve=False)


def test_slot_with_a_worker_takes_no_other_one(slot: WorkerSlot) -> None:
    started(slot)
    assert not slot.may_begin(1000, others_serve=False)


def test_the_next_one_is_not_ready_because_the_last_one_was(slot: WorkerSlot, row: WorkerRow) -> None:
    started(slot)
    row.heartbeat = 1.0
    slot.check(1, 0)
    slot.end(2)
    started(slot)
    assert slot.check(10, 8) is None
    assert not slot.is_ready


def test_a_reload_reaches_a_worker_that_starts_once_it_listens(slot: WorkerSlot, row: WorkerRow) -> None:
    process = started(slot)
    slot.reload()
    assert process.calls == []
    row.heartbeat = 1.0
    slot.check(1, 0)
    row.heartbeat = 2.0
    slot.check(2, 0)
    assert process.calls == [signal.SIGHUP]
    slot.reload()
    assert process.calls == [signal.SIGHUP, signal.SIGHUP]


def test_an_empty_slot_takes_signals_and_does_nothing(slot: WorkerSlot) -> None:
    slot.send(signal.SIGTERM)
    slot.reload()
    assert slot.worker is None


def test_the_row_of_a_worker_is_visible_to_the_others() -> None:
    board = Scoreboard(3)
    with socket.socket() as listener:
        process = multiprocessing.get_context("spawn").Process(
            target=show, args=(WorkerContext(1, [listener], board),)
        )
        process.start()
        process.join()
    assert process.exitcode == 0
    shown = [(row.connections, row.heartbeat, row.accepts, row.restarts) for row in board.rows()]
    assert shown == [(0, 0.0, False, 0), (7, 1.5, True, 0), (0, 0.0, False, 0)]


def show(context: WorkerContext) -> None:
    row = context.scoreboard.rows()[context.number]
    row.connections, row.heartbeat, row.accepts = 7, 1.5, True


def test_a_seat_that_became_free_tells_nothing_of_the_last_worker() -> None:
    row = Scoreboard(1).rows()[0]
    row.connections, row.heartbeat, row.accepts, row.restarts = 7, 1.5, True, 2
    row.reset()
    assert (row.connections, row.heartbeat, row.accepts, row.restarts) == (0, 0.0, False, 2)
