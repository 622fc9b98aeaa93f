"""Decisions a second, in turns: each entrant runs a little, again and again, on the same server."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import redis

from bench.limiter.rivals import LEVELS, ROOMY, Entrant, Rival

IN_FLIGHT, IDENTITIES = 64, 100


@dataclass
class Speed:
    """What one entrant did. Rates are decisions a second, one a round."""

    name: str
    rates: list[float] = field(default_factory=list)
    client_us: list[float] = field(default_factory=list)
    commands: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return median(self.rates)


async def measure(entrants: Sequence[Entrant], socket: str, rounds: int, seconds: float) -> list[Speed]:
    """All entrants, in turns."""
    speeds = [Speed(entrant.name) for entrant in entrants]
    for _ in range(rounds):
        for entrant, speed in zip(entrants, speeds, strict=True):
            await _one_round(entrant, speed, socket, seconds)
    return speeds


async def _one_round(entrant: Entrant, speed: Speed, socket: str, seconds: float) -> None:
    async with entrant.open(socket, ROOMY, 60, LEVELS) as rival:
        await asyncio.gather(*(rival(f"identity{number}") for number in range(IDENTITIES)))
        with redis.Redis(unix_socket_path=socket) as store:
            store.config_resetstat()
            used, started = time.process_time(), time.perf_counter()
            count = await _load(rival, started + seconds)
            speed.rates.append(count / (time.perf_counter() - started))
            speed.client_us.append((time.process_time() - used) / count * 1e6)
            speed.commands.append(store.info("commandstats")["cmdstat_evalsha"]["calls"] / count)


async def _load(rival: Rival, end: float) -> int:
    """How many decisions were made until `end`, so many at a time."""

    async def client(number: int) -> int:
        count = 0
        while time.perf_counter() < end:
            await rival(f"identity{(number + count) % IDENTITIES}")
            count += 1
        return count

    return sum(await asyncio.gather(*(client(number) for number in range(IN_FLIGHT))))
