"""Tests that are coroutines: each runs on uvloop, and among the slow ones on asyncio's own loop, too.

`tests/conftest.py` takes the two hooks from here.
"""

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from tests.support.cases import slow

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
_MAX_SECONDS = 30.0  # a test that hangs must fail

Scenario = Callable[..., Coroutine[Any, Any, None]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if inspect.iscoroutinefunction(metafunc.function) and "loop" not in metafunc.fixturenames:
        metafunc.fixturenames.append("loop")
        metafunc.parametrize("loop", [*slow("asyncio"), "uvloop"])


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.function):
        return None
    arguments = inspect.signature(pyfuncitem.function).parameters
    given = {name: value for name, value in pyfuncitem.funcargs.items() if name in arguments}
    _run(str(pyfuncitem.callspec.params["loop"]), functools.partial(pyfuncitem.obj, **given))
    return True


def on_uvloop(test: Scenario) -> Callable[..., None]:
    """The coroutine function as a function, for tests that hypothesis calls many times."""
    return lambda **given: _run("uvloop", functools.partial(test, **given))


def _run(loop: str, test: Scenario) -> None:
    async def scenario() -> None:
        troubles: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
        await asyncio.wait_for(test(), _MAX_SECONDS)
        assert not troubles, troubles

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(scenario())
