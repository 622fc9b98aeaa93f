"""What workers show to each other across processes."""

import multiprocessing
import socket

from mitm_engine.processes.scoreboard import Scoreboard, WorkerContext


def test_the_row_of_a_worker_is_visible_to_the_others() -> None:
    board = Scoreboard(3)
    with socket.socket() as listener:
        process = multiprocessing.get_context("spawn").Process(
            target=show, args=(WorkerContext(1, listener, board),)
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
