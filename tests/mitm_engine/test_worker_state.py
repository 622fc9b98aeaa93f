"""The state that connections of a worker share: background work, one sweep for all deadlines, and errors."""

import asyncio
import json
from collections.abc import Callable

import pytest

from mitm_engine.deadlines import INTERVAL, NEVER, sweep
from mitm_engine.engine import make_master
from mitm_engine.metrics import Metrics
from mitm_engine.options import Options, Policy, Timeouts
from mitm_engine.wire_error import WireError, plain_response
from mitm_engine.worker_state import WorkerState
from shared.core.errors import ERRORS
from tests.support.wait import until_true


def worker(hook: float = 60.0) -> WorkerState:
    return WorkerState(make_master(), Options(timeouts=Timeouts(hook=hook)), Policy())


async def test_background_work_that_does_not_wait_is_done_at_once() -> None:
    done: list[int] = []

    async def work() -> None:
        done.append(1)

    worker().run_aside(work())
    assert done == [1]


async def test_background_work_that_waits_is_awaited_at_the_end() -> None:
    done: list[int] = []
    go = asyncio.Event()

    async def work() -> None:
        await go.wait()
        done.append(1)

    one = worker()
    for _ in range(3):
        one.run_aside(work())
    assert done == []
    asyncio.get_running_loop().call_soon(go.set)
    await one.settled()
    assert done == [1, 1, 1]


async def test_background_work_that_hangs_is_cancelled_at_the_hook_timeout() -> None:
    ended: list[int] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    one = worker(hook=0.05)
    one.run_aside(hang())
    await until_true(lambda: ended == [1])
    await one.settled()


class Waiter:
    """Notes that it was late."""

    def __init__(self, deadline: float, then: Callable[[], None] = lambda: None) -> None:
        self.deadline, self.then, self.expired = deadline, then, 0

    def expire(self, now: float) -> None:
        self.deadline = NEVER
        self.expired += 1
        self.then()


async def test_deadline_expires_when_reached_and_only_once() -> None:
    now, rounds = asyncio.get_running_loop().time(), []
    late, later, never = Waiter(now), Waiter(now + 60), Waiter(NEVER)
    metrics = Metrics()
    sweeping = asyncio.ensure_future(sweep([late, later, never], rounds.append, metrics))
    await until_true(lambda: len(rounds) >= 2)
    sweeping.cancel()
    assert (late.expired, later.expired, never.expired) == (1, 0, 0)
    assert 0 <= metrics.loop_lag <= metrics.worst_lag < 10 * INTERVAL


async def test_a_deadline_that_raises_does_not_stop_the_others() -> None:
    now, rounds = asyncio.get_running_loop().time(), []
    broken, other = Waiter(now, lambda: [][0]), Waiter(now)
    sweeping = asyncio.ensure_future(sweep([broken, other], rounds.append, Metrics()))
    await until_true(lambda: len(rounds) >= 2)
    assert other.expired == 1
    assert not sweeping.done()
    sweeping.cancel()


@pytest.mark.parametrize("code", ERRORS)
def test_wire_error_has_the_status_and_the_text_of_its_code(code: str) -> None:
    rejection = WireError(code).rejection()
    assert (rejection.status, rejection.message) == ERRORS[code]
    assert str(WireError(code)) == f"{code}: {rejection.message}"


def test_detail_about_an_upstream_is_for_logs_and_never_goes_to_the_client() -> None:
    error = WireError("upstream_unreachable", "10.0.0.1 refused")
    response = plain_response(error, None)
    assert b"10.0.0.1" not in (response.raw_content or b"")
    assert json.loads(response.raw_content or b"")["error"]["code"] == "upstream_unreachable"
    assert str(error) == "upstream_unreachable: 10.0.0.1 refused"


def test_detail_about_a_request_tells_its_client_what_to_change() -> None:
    assert WireError("bad_request", "A bad name.").rejection().message == "A bad name."


def test_headers_of_an_error_go_out_with_its_response() -> None:
    assert plain_response(WireError("overloaded"), None).headers["retry-after"] == "1"
    response = plain_response(WireError("method_not_allowed", headers={"Allow": "GET"}), None)
    assert (response.status_code, response.headers["allow"]) == (405, "GET")


def test_an_unknown_code_is_an_error() -> None:
    with pytest.raises(KeyError):
        WireError("no_such_code")
