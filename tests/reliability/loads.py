"""Loads: many callers at once, and what came of their requests.

Also a program, for loads that must not share a process with what is measured:
``python -m tests.reliability.loads PORT HOST KEY AUTHORITY PATH RATE SECONDS``.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

import uvloop

from tests.reliability.callers import Broken, Caller, Line

LIFE = 50  # requests of a line
ALONE = b"\r\nx-gateway-ratelimit-mode:"  # in a response whose limits were counted without Redis
Going = Callable[[], bool]


@dataclass
class Tally:
    """The outcome of requests: responses by status, failures with their time and reason, and seconds.

    `begun` has the times at which the good responses were asked for, `alone` those at which limits were
    counted without Redis.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    failed: list[tuple[float, str]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    rejected: list[float] = field(default_factory=list)
    begun: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """Requests without a response of 200."""
        return len(self.failed) + self.statuses.total() - self.statuses[200]

    def quantile(self, share: float = 0.99) -> float:
        """Milliseconds within which that share of the good responses came."""
        return quantile(self.seconds, share)

    def calm(self, since: float, until: float, seconds: float = 2.0) -> float:
        """Milliseconds at p99 of good responses, in the best part of that length between two times.

        The best, because what else runs on the machine makes the others worse.
        """
        parts: dict[int, list[float]] = {}
        for begun, took in zip(self.begun, self.seconds, strict=True):
            if since <= begun < until:
                parts.setdefault(int((begun - since) / seconds), []).append(took)
        whole = int((until - since) / seconds)
        return min(quantile(parts[number], 0.99) for number in range(whole) if number in parts)

    def add(self, other: "Tally") -> None:
        """Count what another one has, too."""
        self.statuses.update(other.statuses)
        for name in ("failed", "seconds", "rejected", "begun", "alone"):
            getattr(self, name).extend(getattr(other, name))

    async def ask(self, line: Line, request: bytes) -> None:
        """Ask and count."""
        begun = time.monotonic()
        try:
            response = await line.ask(request)
        except Broken as error:
            self.failed.append((begun, str(error)))
            line.close()
            return
        self.statuses[response.status] += 1
        if response.status == 200:
            self.begun.append(begun)
        if ALONE in response.head:
            self.alone.append(begun)
        (self.seconds if response.status == 200 else self.rejected).append(response.seconds)


def quantile(seconds: list[float], share: float) -> float:
    """Milliseconds within which that share of `seconds` lies."""
    return sorted(seconds)[int(share * (len(seconds) - 1))] * 1000


def for_seconds(seconds: float) -> Going:
    """True until so many seconds from now are over."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


async def closed_loop(
    caller: Caller, path: str, connections: int, going: Going, tally: Tally | None = None
) -> Tally:
    """So many callers, each asking again as soon as it has its response, while `going`.

    Each takes a new line now and then, so that workers which come later get their share.
    """
    tally, request = tally or Tally(), caller.request(path)

    async def call() -> None:
        line: Line | None = None
        while going():
            if line is None or line.is_over or line.asked >= LIFE:
                if line is not None:
                    line.close()
                line = await connected(caller, tally)
            if line is not None:
                await tally.ask(line, request)
        if line is not None:
            line.close()

    await asyncio.gather(*(call() for _ in range(connections)))
    return tally


async def connected(caller: Caller, tally: Tally) -> Line | None:
    """A new line; None, and a failure counted, when there is none to be had."""
    begun = time.monotonic()
    try:
        return await caller.open()
    except OSError as error:
        tally.failed.append((begun, repr(error)))
        await asyncio.sleep(0.01)
        return None


async def open_loop(caller: Caller, path: str, rate: float, going: Going, connections: int = 0) -> Tally:
    """`rate` requests a second from many callers, whatever becomes of the ones before.

    A line that the other side has closed is not used again.
    """
    tally, request = Tally(), caller.request(path)
    free = [line for _ in range(connections or 8) if (line := await connected(caller, tally))]
    running: set[asyncio.Task[None]] = set()

    async def call() -> None:
        while free and free[-1].is_over:
            free.pop().close()
        line = free.pop() if free else await connected(caller, tally)
        if line is not None:
            await tally.ask(line, request)
            if line.is_over:
                line.close()
            else:
                free.append(line)

    due = time.monotonic()
    while going():
        due += 1 / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        task = asyncio.ensure_future(call())
        running.add(task)
        task.add_done_callback(running.discard)
    if running:
        await asyncio.wait(running)
    for line in free:
        line.close()
    return tally


class Load(Thread):
    """A load in a thread, until the end of the block. `tally` has its outcome then.

    `send` sends its requests: a loop of this module, such as `open_loop`.
    """

    def __init__(self, send: Callable[[Going], Coroutine[Any, Any, Tally]]) -> None:
        super().__init__()
        self._send = send
        self._over = Event()
        self.tally = Tally()

    def run(self) -> None:
        self.tally = uvloop.run(self._send(lambda: not self._over.is_set()))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


def loading(caller: Caller, path: str, rate: float) -> Load:
    """An open loop in a thread."""
    return Load(lambda going: open_loop(caller, path, rate, going, connections=16))


def _start(caller: Caller, path: str, rate: float, seconds: float) -> "subprocess.Popen[bytes]":
    given = (caller.port, caller.host, caller.key, caller.authority or "", path, rate, seconds)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.reliability.loads", *map(str, given)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


@contextlib.contextmanager
def beside(caller: Caller, path: str, rate: float) -> Iterator[None]:
    """An open loop in another process until the end of the block."""
    process = _start(caller, path, rate, 600)
    try:
        assert process.stdout
        process.stdout.readline()  # it has begun
        yield
    finally:
        process.communicate(timeout=60)


def p99(caller: Caller, path: str, rate: float = 100, rounds: int = 5, seconds: float = 4) -> float:
    """Milliseconds at p99, as another process sees it in the best of some rounds. Every response must be good.

    The best, because what else runs on the machine makes the others worse.
    """
    return min(_one_round(caller, path, rate, seconds) for _ in range(rounds))


def _one_round(caller: Caller, path: str, rate: float, seconds: float) -> float:
    out, _ = _start(caller, path, rate, seconds).communicate(timeout=seconds + 60)
    seen = json.loads(out.splitlines()[-1])
    assert seen["errors"] == 0, seen
    milliseconds: float = seen["p99"]
    return milliseconds


async def _main(port: str, host: str, key: str, authority: str, path: str, rate: str, seconds: str) -> None:
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    caller = Caller.trusting(int(port), host, key, Path(authority) if authority else None)
    print("begun", flush=True)
    in_time = for_seconds(float(seconds))
    until_told = float(seconds) >= 600
    tally = await open_loop(
        caller, path, float(rate), lambda: in_time() and not (until_told and ended.done()), connections=16
    )
    print(json.dumps({"p99": tally.quantile() if tally.seconds else 0, "errors": tally.errors}))


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:]))
