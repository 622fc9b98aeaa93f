"""Heartbeats for tests."""

from typing import Any

from shared.workers.heartbeat import Heartbeat, Plane

NOW = 1_800_000_000.0


def beat(**members: Any) -> Heartbeat:
    """The heartbeat of a worker of the proxy that runs change 7."""
    known: dict[str, Any] = {
        "id": "one",
        "plane": Plane.PROXY,
        "machine": "proxy-1",
        "pid": 4711,
        "version": "1.0",
        "started": NOW - 60,
        "revision": 7,
        "current": NOW - 1,
    }
    return Heartbeat(**{**known, **members})
