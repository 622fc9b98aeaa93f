"""The state that follows from a heartbeat."""

from typing import Any

import pytest

from shared.workers.heartbeat import BEHIND_SECONDS, WorkerState
from tests.workers.heartbeats import NOW, beat

LATE = NOW - BEHIND_SECONDS - 0.1


@pytest.mark.parametrize(
    ("members", "behind", "state"),
    [
        ({}, 0, WorkerState.OK),
        ({"revision": 5}, 2, WorkerState.OK),  # it will look for changes in a moment
        ({"revision": 5, "current": LATE}, 2, WorkerState.BEHIND),
        ({"current": LATE}, 0, WorkerState.OK),  # nothing was changed since
        ({"revision": None, "current": None}, 7, WorkerState.BEHIND),
        ({"revision": 9}, 0, WorkerState.OK),  # the store was read a moment before
        ({"trouble": {"limits": "unavailable"}}, 0, WorkerState.DEGRADED),
        ({"trouble": {"store": "unavailable"}, "revision": 5, "current": LATE}, 2, WorkerState.BEHIND),
        ({"draining": True, "revision": 5, "current": LATE}, 2, WorkerState.DRAINING),
    ],
)
def test_state_of_a_worker_says_first_what_matters_most(
    members: dict[str, Any], behind: int, state: WorkerState
) -> None:
    told = beat(**members)
    assert (told.behind(7), told.state(7, NOW)) == (behind, state)
