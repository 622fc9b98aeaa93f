"""When a worker is held for dead, and when the next one begins, by a clock that the test turns."""

import signal
from typing import Any

import pytest

from mitm_engine.processes.scoreboard import Scoreboard, WorkerRow
from mitm_engine.processes.slot import Patience, WorkerSlot

PATIENCE = Patience(silence=5, start=120, young=5, pause=0.1, longest_pause=0.5)


class Process:
    """Stands for a worker; notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def begin(self, number: int) -> None:
        self.told.append(number)

    def send(self, number: signal.Signals) -> None:
        self.told.append(number)

    def bury(self) -> None:
        self.told.append("buried")


@pytest.fixture
def row() -> WorkerRow:
    return Scoreboard(1).rows()[0]


@pytest.fixture
def place(row: WorkerRow) -> WorkerSlot:
    return WorkerSlot(3, row, PATIENCE)


def seat(place: WorkerSlot) -> Process:
    process: Any = Process()
    place.seat(process)
    assert process.told.pop() == 3
    return process  # type: ignore[no-any-return]


def test_a_worker_may_import_for_long_before_its_heart_beats(place: WorkerSlot) -> None:
    seat(place)
    assert place.look(119, 119) is None
    assert not place.is_ready
    assert place.look(121, 2) == "did not serve after 120 s"


def test_a_heart_that_beats_keeps_it_alive(place: WorkerSlot, row: WorkerRow) -> None:
    seat(place)
    for now in range(1, 100):
        row.heartbeat = now
        assert place.look(now, 1) is None
    assert place.look(104, 5) is None
    assert place.look(105, 1) == "gave no sign of life for 5 s"


def test_pauses_grow_while_workers_die_young_up_to_a_bound(place: WorkerSlot, row: WorkerRow) -> None:
    pauses = []
    for now in range(5):
        seat(place)
        row.heartbeat = 1.0 + now
        place.look(now, 0)
        pauses.append(place.vacate(now))
        assert place.due == now + pauses[-1]
    assert pauses == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_one_that_never_served_died_young_however_old_it_was(place: WorkerSlot) -> None:
    seat(place)
    place.look(100, 100)
    assert place.vacate(100) == 0.1


def test_one_that_served_for_a_while_is_replaced_at_once_and_forgives_the_earlier_ones(
    place: WorkerSlot, row: WorkerRow
) -> None:
    for now, lived, pause in ((0, 1, 0.1), (10, 1, 0.2), (20, 6, 0.0), (30, 1, 0.1)):
        process = seat(place)
        row.heartbeat = now + 1
        place.look(now, 0)
        assert place.vacate(now + lived) == pause
        assert process.told == ["buried"]
    assert row.restarts == 4


def test_the_next_one_is_not_ready_because_the_last_one_was(place: WorkerSlot, row: WorkerRow) -> None:
    seat(place)
    row.heartbeat = 1.0
    place.look(1, 0)
    place.vacate(2)
    seat(place)
    assert place.look(10, 8) is None
    assert not place.is_ready


def test_a_reload_reaches_a_worker_that_starts_once_it_listens(place: WorkerSlot, row: WorkerRow) -> None:
    process = seat(place)
    place.reload()
    assert process.told == []
    row.heartbeat = 1.0
    place.look(1, 0)
    row.heartbeat = 2.0
    place.look(2, 0)
    assert process.told == [signal.SIGHUP]
    place.reload()
    assert process.told == [signal.SIGHUP, signal.SIGHUP]


def test_an_empty_seat_takes_signals_and_does_nothing(place: WorkerSlot) -> None:
    place.send(signal.SIGTERM)
    place.reload()
    assert place.worker is None
