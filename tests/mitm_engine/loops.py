"""Test functions that are coroutines, run on uvloop or on both event loops."""

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

_RUNNERS: dict[str, Callable[..., None]] = {"asyncio": asyncio.run, "uvloop": uvloop.run}
_LIMIT = 30.0  # seconds; a test that hangs must fail

Scenario = Callable[..., Coroutine[Any, Any, None]]


def on_uvloop(test: Scenario) -> Callable[..., None]:
    """The test, run on the loop that the worker uses."""

    @functools.wraps(test)
    def run(**given: object) -> None:
        _run(uvloop.run, test, given)

    return run


def on_both_loops(test: Scenario) -> Callable[..., None]:
    """The test, run on uvloop, and on asyncio's own loop, which no worker uses, among the slow ones."""

    @functools.wraps(test)
    def run(loop_name: str, **given: object) -> None:
        _run(_RUNNERS[loop_name], test, given)

    signature = inspect.signature(test)
    name = inspect.Parameter("loop_name", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), name])  # type: ignore[attr-defined]
    return pytest.mark.parametrize("loop_name", [pytest.param("asyncio", marks=pytest.mark.slow), "uvloop"])(
        run
    )


def _run(runner: Callable[..., None], test: Scenario, given: dict[str, object]) -> None:
    async def scenario() -> None:
        troubles: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
        await asyncio.wait_for(test(**given), _LIMIT)
        assert not troubles, troubles

    runner(scenario())
