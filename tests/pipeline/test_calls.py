"""In which threads a plugin's call runs."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from shared.pipeline.calls import submit_call
from shared.pipeline.pool import PluginPool


class Place(PluginPool):
    """A pool that says who computed."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, waiting=1)

    def compute(self, owner: str, call: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result((owner, call(*arguments)))
        return done


@pytest.mark.parametrize(
    ("pool", "computes", "expected"),
    [
        (Place, True, ("tenant_1", "abc")),
        (Place, False, "abc"),
        (ThreadPoolExecutor, True, "abc"),  # it has no such place
    ],
)
def test_a_computing_call_waits(
    pool: type[Place] | type[ThreadPoolExecutor], computes: bool, expected: object
) -> None:
    step: Any = SimpleNamespace(plugin=SimpleNamespace(computes=computes))
    with pool(1) as threads:
        assert submit_call(threads, step, "tenant_1", "".join, ["a", "bc"]).result(5) == expected
