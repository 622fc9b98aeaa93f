"""Everything that a plugin can do wrong, for each way in which a plugin is run."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from shared.core.errors import PoolFull
from shared.model.messages import Exchange
from shared.pipeline.plugin import CONTINUE, Continue, Plugin
from tests.pipeline.world import Acting, ActingAsync, ActingInPlace, ActingInTask


class Unspeakable(Exception):
    """An error that cannot even be shown."""

    def __str__(self) -> str:
        raise AttributeError("detail")


@dataclass(frozen=True)
class Fault:
    """`plugin` makes the plugin at fault; `pool` the threads that it meets; `timeout` is its entry's."""

    name: str
    plugin: Callable[[], Plugin]
    pool: Callable[[], Executor] = lambda: ThreadPoolExecutor(2)
    timeout: float = 5.0


def _raiser(error: BaseException) -> Callable[[Exchange], Any]:
    def fail(_: Exchange) -> Any:
        raise error

    return fail


def _deep(exchange: Exchange) -> Any:
    return _deep(exchange)


def _returner(value: Any) -> Callable[[Exchange], Any]:
    return lambda _: value


#: The behavior of a call, whichever way it is run.
ACTS: dict[str, Callable[[Exchange], Any]] = {
    "raises": _raiser(ValueError("broken")),
    "raises what cannot be shown": _raiser(Unspeakable()),
    "exits": _raiser(SystemExit(3)),
    "is interrupted": _raiser(KeyboardInterrupt()),
    "raises StopIteration": _raiser(StopIteration()),
    "raises GeneratorExit": _raiser(GeneratorExit()),
    "raises CancelledError": _raiser(asyncio.CancelledError()),
    "recurses for ever": _deep,
    "returns nothing": _returner(None),
    "returns text": _returner("continue"),
    "returns a class of verdicts": _returner(Continue),
}


#: Acts that a plugin without a task of its own promises not to do.
_ENDING = ("exits", "is interrupted", "raises GeneratorExit")


def _asynchronous(act: Callable[[Exchange], Any], kind: type[ActingAsync] = ActingAsync) -> Plugin:
    async def call(exchange: Exchange) -> Any:
        return act(exchange)

    return kind(call, "faulty")


async def _hang(_: Exchange) -> Any:
    await asyncio.get_running_loop().create_future()


async def _hang_on(exchange: Exchange) -> Any:
    """Does not obey when it is cancelled. (The end of the loop cancels it once more.)"""
    with contextlib.suppress(asyncio.CancelledError):
        await _hang(exchange)
    await _hang(exchange)


async def _obey_late(exchange: Exchange) -> Any:
    """Has a verdict, but only after its timeout."""
    with contextlib.suppress(asyncio.CancelledError):
        await _hang(exchange)
    return CONTINUE


async def _cancel_itself(_: Exchange) -> Any:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def _cancel_itself_and_wait(exchange: Exchange) -> Any:
    await _cancel_itself(exchange)
    await _hang(exchange)


class _Pool(Executor):
    """Does with each call what the test says."""

    def __init__(self, take: Callable[[Future[Any]], Any]) -> None:
        self._take = take

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._take(future)
        return future


def _full(_: Future[Any]) -> None:
    raise PoolFull("All plugin threads are busy and their queue is full.")


def _closed() -> Executor:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    return pool


def _threaded() -> Plugin:
    return Acting(called="faulty")


FAULTS = [
    *(Fault(f"{name}, in a thread", lambda act=act: Acting(act, "faulty")) for name, act in ACTS.items()),
    *(Fault(f"{name}, in place", lambda act=act: ActingInPlace(act, "faulty")) for name, act in ACTS.items()),
    *(Fault(f"{name}, as a task", lambda act=act: _asynchronous(act)) for name, act in ACTS.items()),
    Fault("hangs, as a task", lambda: ActingAsync(_hang, "faulty"), timeout=0.001),
    Fault("hangs and does not obey, as a task", lambda: ActingAsync(_hang_on, "faulty"), timeout=0.001),
    *(
        Fault(f"{name}, in the task of the exchange", lambda act=act: _asynchronous(act, ActingInTask))
        for name, act in ACTS.items()
        if name not in _ENDING
    ),
    Fault("hangs, in the task of the exchange", lambda: ActingInTask(_hang, "faulty"), timeout=0.001),
    Fault(
        "obeys late, in the task of the exchange", lambda: ActingInTask(_obey_late, "faulty"), timeout=0.001
    ),
    Fault("cancels its task", lambda: ActingAsync(_cancel_itself, "faulty")),
    Fault("cancels its task and goes on", lambda: ActingAsync(_cancel_itself_and_wait, "faulty")),
    Fault("never gets a thread", _threaded, lambda: _Pool(lambda _: None), timeout=0.001),
    Fault("meets a full pool", _threaded, lambda: _Pool(_full)),
    Fault("meets a closed pool", _threaded, _closed),
    Fault("meets a pool that closes", _threaded, lambda: _Pool(Future.cancel)),
    Fault(
        "meets a pool whose threads died",
        _threaded,
        lambda: _Pool(lambda future: future.set_exception(BrokenExecutor("dead"))),
    ),
]
