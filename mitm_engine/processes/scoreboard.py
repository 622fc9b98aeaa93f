"""A worker's seat: its number, the socket that all workers share, and the board on which they are seen."""

import ctypes
import socket
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray


class WorkerRow(ctypes.Structure):
    """What one worker shows to the others and to its supervisor. Zeros stand for a worker that starts.

    `connections` are its open client connections. `heartbeat` is the time of its last sign of life, in
    seconds of the event loop's clock (the system's monotonic one), 0 until it serves. `accepts` is false
    while it takes no new connections. `restarts` counts how often the seat was filled anew.
    """

    _fields_ = (
        ("connections", ctypes.c_int64),
        ("heartbeat", ctypes.c_double),
        ("restarts", ctypes.c_int64),
        ("accepts", ctypes.c_bool),
    )
    connections: int
    heartbeat: float
    restarts: int
    accepts: bool

    def vacate(self) -> None:
        """Nobody sits here: what the last worker showed is void."""
        self.connections, self.heartbeat, self.accepts = 0, 0.0, False


class Scoreboard:
    """One row a seat, in memory that all processes share. Each row is written by its own worker.

    Plain words of 8 bytes need no lock: a reader sees the old or the new value.
    """

    def __init__(self, seats: int) -> None:
        self._memory = RawArray(WorkerRow, seats)

    def rows(self) -> list[WorkerRow]:
        """All rows, in the order of the seats' numbers."""
        return list(self._memory)


@dataclass(frozen=True, slots=True)
class WorkerSeat:
    """What a worker needs to serve beside the others. `number` counts from 0.

    Can be handed to a process that multiprocessing spawns, and to no other.
    """

    number: int
    socket: socket.socket
    board: Scoreboard
