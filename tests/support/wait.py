"""Polling with a deadline."""

import asyncio
import time
from collections.abc import Callable, Iterator


def until(seconds: float) -> Iterator[float]:
    """Yield the seconds gone so far, every 10 ms, until `seconds` are over."""
    start = time.monotonic()
    while (gone := time.monotonic() - start) < seconds:
        yield gone
        time.sleep(0.01)


def await_true(holds: Callable[[], bool], seconds: float = 20.0) -> float:
    """The seconds until `holds()`. Raises AssertionError if it does not within `seconds`."""
    for gone in until(seconds):
        if holds():
            return gone
    raise AssertionError(f"It does not hold within {seconds} s.")


async def until_true(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return as soon as `holds()`. Raises TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.002)
