"""A worker in one heartbeat, its keys in Redis, and the state that follows from it.

wrk:{live}        zset  the ids of all workers by the time of their last heartbeat, in milliseconds
wrk:{live}:beats  hash  id of a worker -> its last heartbeat, as JSON

Each heartbeat removes those of workers that ended, so both keys stay as small as the fleet, and expire when
the last worker has ended. Nothing here is needed to serve.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

import orjson

from shared.core.empty import EMPTY
from shared.redis_client.script import Script

KEYS: Final = ("wrk:{live}", "wrk:{live}:beats")
#: The time from one heartbeat to the next: the longest one, and that after which `Heartbeat.news` are told.
EVERY_SECONDS: Final = 5.0
NEWS_SECONDS: Final = 2.0
#: The time for which a heartbeat counts.
LASTS_SECONDS: Final = 3 * EVERY_SECONDS
#: How long a worker may lack the newest change, as its heartbeats show it.
BEHIND_SECONDS: Final = 5.0 + EVERY_SECONDS

#: The scripts that write and read heartbeats.
TELL, READ = (Script.of(Path(__file__).parent / "lua" / f"{name}.lua") for name in ("tell", "read"))
#: The commands that remove a worker from the two keys.
FORGET: Final = "ZREM", "HDEL"

# Heartbeats of ended workers that one call removes.
_MAX_REMOVED: Final = 100
# The types of members in JSON.
_TYPES: Final = {
    str: ("id", "machine", "version"),
    int | float | None: ("pid", "started", "revision", "current", "in_flight", "connections", "loop_lag"),
    bool: ("draining",),
    Mapping: ("trouble",),
}


class Plane(StrEnum):
    """The program of a worker."""

    PROXY = "proxy"
    ADMIN = "admin"


class WorkerState(StrEnum):
    """The most urgent news of a worker. The most urgent state is first."""

    BEHIND = "behind"
    DEGRADED = "degraded"
    DRAINING = "draining"
    OK = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The heartbeat of one worker.

    Attributes:
        id: a random name, which a new worker does not take over.
        plane: its program.
        machine: the name of its host.
        pid: its process.
        version: the version of the gateway.
        started: when it started, in seconds since the Unix epoch.
        revision: the number of the newest change that it runs; None before the first look.
        current: when it last had all changes, in seconds since the Unix epoch; None before the first look.
        in_flight: open requests; None: not counted by this engine.
        connections: open connections of clients; None: not counted by this engine.
        loop_lag: how late its event loop ran last, in seconds; None: not measured, or without a loop.
        draining: whether it is about to end.
        trouble: its parts that are not ok, with their state.
    """

    id: str
    plane: Plane
    machine: str
    pid: int
    version: str
    started: float
    revision: int | None
    current: float | None
    in_flight: int | None = None
    connections: int | None = None
    loop_lag: float | None = None
    draining: bool = False
    trouble: Mapping[str, str] = EMPTY

    @property
    def arguments(self) -> tuple[str | int, ...]:
        """The arguments of `TELL`."""
        return self.id, orjson.dumps(self, default=dict).decode(), round(LASTS_SECONDS * 1000), _MAX_REMOVED

    @property
    def news(self) -> tuple[object, ...]:
        """The members that are told soon after they change."""
        return self.revision, self.draining, self.trouble

    @classmethod
    def parse(cls, told: bytes) -> Self:
        """The heartbeat that was stored. Raises ValueError, KeyError or TypeError on another form."""
        members = orjson.loads(told)
        found = cls(**{**members, "plane": Plane(members["plane"])})
        for kind, names in _TYPES.items():
            if any(not isinstance(getattr(found, name), kind) for name in names):
                raise TypeError(f"A member of {', '.join(names)} has another type.")
        return found

    def behind(self, revision: int) -> int:
        """How many changes of the store, whose newest is `revision`, the worker does not run."""
        return max(0, revision - (self.revision or 0))

    def state(self, revision: int, now: float) -> WorkerState:
        """The state of the worker, by the newest change of the store."""
        if self.draining:
            return WorkerState.DRAINING
        late = self.current is None or now - self.current > BEHIND_SECONDS
        if late and self.behind(revision):
            return WorkerState.BEHIND
        return WorkerState.DEGRADED if self.trouble else WorkerState.OK
