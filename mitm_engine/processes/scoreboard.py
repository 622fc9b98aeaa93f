"""The memory in which workers show their state, and what a worker gets from its supervisor."""

import ctypes
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray, RawValue


class WorkerRow(ctypes.Structure):
    """The state of one worker, for the other workers and the supervisor. A new worker has zeros.

    Attributes:
        connections: open client connections.
        heartbeat: the last time, by the event loop's monotonic clock, that the worker was alive; 0 at first.
        restarts: how often the worker of this slot was replaced.
        accepts: whether it accepts new connections.
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

    def reset(self) -> None:
        """Clear the state of a worker that ended."""
        self.connections, self.heartbeat, self.accepts = 0, 0.0, False


class Scoreboard:
    """One row per worker slot, in memory that all processes share. Only its worker writes to a row.

    Words of 8 bytes need no lock: a reader sees the old or the new value.
    """

    def __init__(self, slots: int) -> None:
        self._memory = RawArray(WorkerRow, slots)
        self._is_replaced = RawValue(ctypes.c_bool)
        self._has_predecessor = RawValue(ctypes.c_bool)

    @property
    def has_predecessor(self) -> bool:
        """Whether the workers of a supervisor that is to be replaced accept, too."""
        return bool(self._has_predecessor.value)

    @has_predecessor.setter
    def has_predecessor(self, value: bool) -> None:
        self._has_predecessor.value = value

    @property
    def is_replaced(self) -> bool:
        """Whether the workers of another supervisor serve now. Set before the workers have to end."""
        return bool(self._is_replaced.value)

    @is_replaced.setter
    def is_replaced(self, value: bool) -> None:
        self._is_replaced.value = value

    def rows(self) -> list[WorkerRow]:
        """Return all rows, in the order of the slots."""
        return list(self._memory)


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """The values that a worker gets from its supervisor. `number` is that of its slot, from 0.

    It can be passed to a process that multiprocessing spawns, and to no other.
    """

    number: int
    sockets: Sequence[socket.socket]
    scoreboard: Scoreboard
