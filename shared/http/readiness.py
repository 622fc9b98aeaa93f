"""The probes ``/__/health`` and ``/__/ready`` of both programs: their paths, and the words of responses.

Only the words below are sent: they disclose neither addresses nor error texts.
"""

from collections.abc import Mapping
from typing import NamedTuple

#: The state of one part.
OK, UNAVAILABLE, STORE_LOST, DRAINING = "ok", "unavailable", "store lost", "draining"
#: The state of a process that serves although a part has trouble.
DEGRADED = "degraded"
#: The paths of the two probes.
HEALTH, READY = "/__/health", "/__/ready"


class Probed(NamedTuple):
    """The state of each part, and whether the process can serve anything."""

    parts: Mapping[str, str]
    serves: bool


def readiness(parts: Mapping[str, str], *, serves: bool) -> tuple[int, dict[str, object]]:
    """The status and the document of a readiness probe, from the state of each part.

    The status is 503 only when the process drains or can serve nothing. Other trouble must not make a load
    balancer remove the machine: all machines have the same store.
    """
    if DRAINING in parts.values():
        state = DRAINING
    elif not serves:
        state = UNAVAILABLE
    else:
        state = OK if set(parts.values()) <= {OK} else DEGRADED
    return (200 if state in (OK, DEGRADED) else 503), {"status": state, "parts": dict(parts)}
