"""Checks for changes that workers share: one checks and tells the others, which need not do it then.

So an idle fleet asks Redis about once per `every` seconds, however many workers it has. A worker that is told
nothing, by a lost connection for example, checks itself. So does each one from time to time, whatever it is
told: one worker must not be able to keep a change from all others.
"""

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, NamedTuple, NoReturn, Self

import orjson

from shared.config_store.identity import StoreState

# Parts of `every`: how long a worker waits for the next check of another one, at least and more at random, so
# that not all take over at once; the longest time until a check after a change, which all have to read; and
# the time between two checks of its own.
_PATIENCE: Final = (1.1, 0.3)
_SOON: Final = 0.25
_OWN: Final = (8.0, 4.0)

# No id of a tenant begins so.
_SIGN: Final = "="


class ToldCheck(NamedTuple):
    """The result of a check, as a worker tells it on the channel of the changes.

    Attributes:
        teller: a random name of the worker.
        number: of the newest change.
        store: a hash of the state of the store, without its changes.
    """

    teller: str
    number: int
    store: str

    @property
    def message(self) -> str:
        return f"{_SIGN}{self.teller} {self.number} {self.store}"

    @classmethod
    def parse(cls, message: str) -> Self | None:
        """The check in a message; None when it is about something else. Raises ValueError on another form."""
        if not message.startswith(_SIGN):
            return None
        teller, number, store = message.removeprefix(_SIGN).split(" ")
        return cls(teller, int(number), store)


def sign_of(state: StoreState | None) -> str:
    """`ToldCheck.store` of a store in that state."""
    told = None if state is None else replace(state, revision=0).to_json()
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


class Checks:
    """The times at which a worker checks. `jitter` returns numbers from 0 to 1."""

    def __init__(
        self,
        every: float,
        check: Callable[[], Awaitable[int | None]],
        tell: Callable[[int], Awaitable[None]],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`check` returns the number of the newest change, which others are told; None when it has failed."""
        self._every = every
        self._check = check
        self._tell = tell
        self._jitter = jitter
        self._next = self._own = 0.0  # by the clock of the event loop

    async def keep(self) -> NoReturn:
        """Check, and again `every` seconds after each end, or later when others have checked."""
        while True:
            number = await self._check()
            if number is not None:
                await self._tell(number)
            now = asyncio.get_running_loop().time()
            self._next, self._own = now + self._every, now + self._some(*_OWN)
            await self._wait()

    def told(self) -> None:
        """Check later: another worker has just done so, and has seen nothing new."""
        self._next = min(self._own, asyncio.get_running_loop().time() + self._some(*_PATIENCE))

    async def soon(self) -> None:
        """Check, as all workers have reason to at the same time."""
        await asyncio.sleep(self._some(0, _SOON))
        await self._check()

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        while (left := self._next - loop.time()) > 0:
            await asyncio.sleep(left)

    def _some(self, least: float, more: float) -> float:
        return self._every * (least + more * self._jitter())
