"""The attack on the boundary: wait for the end of a window, then take all that one can get."""

import asyncio
import time
from collections.abc import Sequence

from bench.limiter.rivals import Entrant, Rival

LIMIT, SECONDS = 100, 2
# How long before the boundary the attack begins: for each of these another client.
LEADS = (0.02, 0.05, 0.1, 0.3)


async def worst_windows(entrants: Sequence[Entrant], socket: str) -> dict[str, int]:
    """The most that each entrant admitted in two seconds, over all attackers."""
    found = {}
    for entrant in entrants:
        async with entrant.open(socket, LIMIT, SECONDS, ("attacked",)) as rival:
            attacks = (_attack(rival, f"attacker{place}", lead) for place, lead in enumerate(LEADS))
            found[entrant.name] = max(await asyncio.gather(*attacks))
    return found


async def _attack(rival: Rival, identity: str, lead: float) -> int:
    """One request opens a window; from `lead` before its end on, one after the other for two more."""
    admitted = []
    started = time.perf_counter()
    await rival(identity)
    await asyncio.sleep(SECONDS - lead)
    while time.perf_counter() < started + 2 * SECONDS + 0.5:
        if await rival(identity):
            admitted.append(time.perf_counter())
        else:
            await asyncio.sleep(0.001)
    return max(sum(last - SECONDS < time <= last for time in admitted) for last in admitted)
