"""Tests that are coroutines: each runs on uvloop, and among the slow ones on asyncio's own loop, too.

`tests/conftest.py` takes the two hooks from here.
"""

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine, Iterator
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
    test = functools.partial(pyfuncitem.obj, **given)
    if (runner := pyfuncitem.funcargs.get("runner")) is not None:
        runner.run(_limited(test))
    else:
        _run(str(pyfuncitem.callspec.params["loop"]), test)
    return True


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """For fixtures that act in the event loop of their test."""
    with asyncio.Runner(loop_factory=LOOPS[request.node.callspec.params["loop"]]) as runner:
        yield runner


def on_uvloop(test: Scenario) -> Callable[..., None]:
    """The coroutine function as a function, for tests that hypothesis calls many times."""
    return lambda **given: _run("uvloop", functools.partial(test, **given))


async def _limited(test: Scenario) -> None:
    troubles: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
    await asyncio.wait_for(test(), _MAX_SECONDS)
    assert not troubles, troubles


def _run(loop: str, test: Scenario) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(_limited(test))
