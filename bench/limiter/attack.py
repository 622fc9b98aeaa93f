"""The attack on the boundary: wait for the end of a window, then take all that one can get."""

import asyncio
import time
from collections.abc import Sequence

from bench.limiter.rivals import Entrant, Rival

LIMIT, SECONDS = 100, 2
# How long before the boundary the attack begins: for each of these another client.
LEADS = (0.02, 0.05, 0.1, 0.3)
_TRIES = 5


class Degraded(Exception):
    """Redis did not answer in time, so what was decided says nothing about the algorithm."""


async def worst_windows(entrants: Sequence[Entrant], socket: str) -> dict[str, int]:
    """The most that each entrant admitted in two seconds, over all attackers."""
    found = {}
    for entrant in entrants:
        found[entrant.name] = await _worst(entrant, socket, _TRIES)
    return found


async def _worst(entrant: Entrant, socket: str, tries: int) -> int:
    try:
        async with entrant.open(socket, LIMIT, SECONDS, ("attacked",)) as rival:
            attacks = (_attack(rival, f"attacker{place}", lead) for place, lead in enumerate(LEADS))
            return max(await asyncio.gather(*attacks))
    except Degraded:
        if tries == 1:
            raise
    return await _worst(entrant, socket, tries - 1)


async def _attack(rival: Rival, identity: str, lead: float) -> int:
    """One request opens a window; from `lead` before its end on, one after the other for two more."""
    admitted = []
    await rival(identity)
    started = time.perf_counter()
    await asyncio.sleep(SECONDS - lead)
    while (asked := time.perf_counter()) < started + 2 * SECONDS + 0.5:
        if await rival(identity):
            admitted.append((asked, time.perf_counter()))
        else:
            await asyncio.sleep(0.001)
    return worst_window(admitted)


def worst_window(admitted: Sequence[tuple[float, float]]) -> int:
    """The most that was certainly admitted in two seconds, of requests known by when they began and ended."""
    ends = [end for _, end in admitted]
    return max(sum(end - SECONDS < begun and ended <= end for begun, ended in admitted) for end in ends)
