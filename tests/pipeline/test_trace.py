"""The trace of a run, and tools that take nothing."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, cast

import pytest

from shared.core.errors import NotCalled
from shared.limits.distinct_values import DistinctValueTracker
from shared.limits.port import Limiter
from shared.limits.values import Decision, Limit, Quota
from shared.model.config import Stage
from shared.model.messages import Exchange, Response
from shared.net.port import FetchRequest
from shared.pipeline.dry_run import ReadOnlyLimiter, ReadOnlyTracker, not_called
from shared.pipeline.plugin import CONTINUE, Reject, ResolvedEntry, Tools, Verdict
from shared.pipeline.run import Run
from shared.pipeline.trace import Trace, TraceSampler, server_timing
from shared.testing.memory_limiter import Counters
from tests.pipeline.stagehand import Stagehand, after, quiet, run_loop, run_of, whole
from tests.pipeline.world import ActingInPlace, FollowingUp, entry

NO = Reject(403, "no", "No.")


def traced(*chain: ResolvedEntry) -> Run:
    """The exchange when all is over, on a clock that goes on by a second with each look."""
    ticks: Iterator[int] = count()
    run = run_of(*chain, trace=Trace(lambda: float(next(ticks))))
    run_loop(whole(run, Response(200, body=b"")))
    return run


def step_of(run: Run, entry: ResolvedEntry) -> Any:
    assert run.trace is not None
    for traced in run.trace.groups:
        for step in traced.group.steps:
            if step.entries == (entry,):
                return run.trace.of(step)
    return None


def test_every_call_has_its_verdict_and_its_time() -> None:
    passes, rejects = entry(ActingInPlace(lambda _: CONTINUE, "a")), entry(ActingInPlace(lambda _: NO, "b"))
    never = entry(ActingInPlace(lambda _: CONTINUE, "c"))
    run = traced(passes, rejects, never)
    assert (step_of(run, passes).verdict, step_of(run, rejects).verdict) == (CONTINUE, NO)
    assert step_of(run, passes).seconds == 1.0
    assert step_of(run, never) is None


def test_fault_is_traced_with_the_verdict_that_on_error_chose() -> None:
    def boom(_: Exchange) -> Verdict:
        raise ValueError("no")

    is_open, closed = entry(ActingInPlace(boom, "a"), on_error="open"), entry(ActingInPlace(boom, "b"))
    run = traced(is_open, closed)
    assert (step_of(run, is_open).fault, step_of(run, is_open).verdict) == ("ValueError: no", CONTINUE)
    assert isinstance(step_of(run, closed).verdict, Reject)


def test_follow_ups_are_no_calls_of_a_stage() -> None:
    one = entry(FollowingUp(heads=lambda _: {"X-A": "1"}))
    assert step_of(traced(one), one).verdict == CONTINUE


def test_a_call_that_a_dry_run_does_not_make_lets_the_exchange_pass_and_is_a_fault_without_a_trace() -> None:
    def ask(_: Exchange) -> Verdict:
        raise NotCalled("POST https://validator.example")

    one = entry(ActingInPlace(ask, "asks"))
    run = traced(one)
    assert (run.rejection, run.faults) == (None, [])
    assert step_of(run, one).not_called == "POST https://validator.example"
    assert after(one).faults == ["asks"]


async def test_a_call_that_is_cancelled_has_its_time_and_no_verdict() -> None:
    hand = Stagehand()
    slow = entry(hand.plugin("as a task", "slow"), parallel=True)
    run = run_of(
        entry(ActingInPlace(lambda _: NO, "no"), parallel=True), slow, pool=hand, trace=Trace(lambda: 1.0)
    )
    await run.request_body(b"{}")
    await quiet()
    assert (step_of(run, slow).verdict, step_of(run, slow).seconds) == (None, 0.0)


def test_the_timing_has_one_entry_a_group() -> None:
    run = traced(
        entry(ActingInPlace(lambda _: CONTINUE, "a"), parallel=True),
        entry(ActingInPlace(lambda _: CONTINUE, "b"), parallel=True),
        entry(ActingInPlace(lambda _: CONTINUE, "c"), priority=200),
        entry(ActingInPlace(lambda _: CONTINUE, "d"), Stage.POST_REQUEST),
    )
    assert run.trace is not None
    value = re.sub(r"dur=\d+\.\d{3}", "dur=…", server_timing(run.trace))
    assert value == (
        'pre_request-1;dur=…;desc="a, b", pre_request-2;dur=…;desc="c", post_request-1;dur=…;desc="d"'
    )


LIMIT = Limit("rl:x", Quota(2, 60_000), "rule", "global", "1m")
NOW = 1_750_000_000_000_000


class Looking:
    """A limiter that can only be looked at, and has counted `used` requests."""

    def __init__(self, used: int) -> None:
        self.used = used

    async def peek(self, limits: Sequence[Limit]) -> Decision:
        counters = Counters()
        for _ in range(self.used):
            counters.charge(limits, NOW)
        return counters.peek(limits, NOW)


def dry(used: int, *seen: list[Decision]) -> ReadOnlyLimiter:
    return ReadOnlyLimiter(cast(Limiter, Looking(used)), *(one.append for one in seen))


def remaining(decision: Decision) -> list[int]:
    return [state.remaining for state in decision.states]


async def test_dry_limiter_decides_like_the_real_one_and_charges_nothing() -> None:
    seen: list[Decision] = []
    for limiter in (dry(1, seen), dry(1)):
        decision = await limiter.acquire([LIMIT])
        assert remaining(decision) == remaining(await dry(1).extend([LIMIT])) == [0]
        await limiter.release([LIMIT])
        await limiter.renew([LIMIT])
        await limiter.correct([LIMIT], decision, [-1])
        assert remaining(await limiter.peek([LIMIT])) == [1]
        await limiter.close()
        assert [remaining(decision) for decision in seen] == [[1]]


def test_dry_limiter_that_rejects_leaves_the_limit_uncharged() -> None:
    decision = asyncio.run(dry(2).acquire([LIMIT]))
    assert (decision.allowed, remaining(decision)) == (False, [0])


def test_values_are_those_that_others_know() -> None:
    known = DistinctValueTracker(max_values=1)
    values = ReadOnlyTracker(known)
    values.add("limit", "a", 60.0, 0.0)
    assert values.has_counter("limit", "b", 0.0)
    known.add("limit", "a", 60.0, 0.0)
    assert (values.has_counter("limit", "a", 0.0), values.has_counter("limit", "b", 0.0)) == (True, False)


def test_calls_of_tools_that_a_tenant_owns_name_their_owner() -> None:
    owners: list[str] = []

    def fetch(request: FetchRequest, *, owner: str = "") -> Any:
        owners.append(owner)

    tools = Tools(cast(Any, None), fetch, cast(Any, None)).owned_by("ten")
    tools.fetch(FetchRequest(method="GET", url="http://e", timeout=1.0, max_bytes=1))
    assert owners == ["ten"]


def test_tools_can_be_had_dry() -> None:
    tools = Tools(cast(Limiter, Looking(0)), cast(Any, None), cast(Any, None))
    assert isinstance(tools.dry().limiter, ReadOnlyLimiter)
    assert isinstance(tools.dry().distinct_values, ReadOnlyTracker)


def test_call_that_a_dry_run_does_not_make_is_named_without_its_query() -> None:
    url = "https://checks.example/ask"
    with pytest.raises(NotCalled, match=rf"^POST {url}$"):
        not_called(FetchRequest(method="POST", url=f"{url}?key=secret", timeout=1.0, max_bytes=1))


@pytest.mark.parametrize(("per_second", "expected"), [(2, [1, 1, 0, 1, 1, 0]), (0, [0] * 6)])
def test_requests_of_a_second_are_traced_up_to_the_bound(per_second: int, expected: list[int]) -> None:
    sampler = TraceSampler(per_second)
    times = (0.0, 0.4, 0.9, 5.0, 5.1, 5.9)
    assert [sampler.takes(now) for now in times] == expected


def test_results_are_those_of_all_calls() -> None:
    run = traced(*(entry(ActingInPlace(lambda _: CONTINUE, name)) for name in "ab"))
    assert run.trace is not None
    assert len([*run.trace.results]) == 2
