"""What a run did, written down for those who may look."""

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

from shared.core.errors import NotCalled
from shared.model.config import Stage
from shared.model.messages import Exchange, Response
from shared.pipeline import Run, Trace, make_plan, server_timing
from shared.pipeline.plugin import CONTINUE, Reject, ResolvedEntry, Verdict
from tests.pipeline.stagehand import Stagehand, quiet, run_loop
from tests.pipeline.world import ActingInPlace, FollowingUp, entry, exchange

NO = Reject(403, "no", "No.")


def acting(act: Any, name: str) -> ActingInPlace:
    return ActingInPlace(act, called=name)


def traced(*chain: ResolvedEntry, hand: Stagehand | None = None) -> Run:
    """The exchange when all is over, on a clock that goes on by a second with each look."""
    ticks: Iterator[int] = count()
    trace = Trace(lambda: float(next(ticks)))
    run = Run(make_plan(chain, buffer_streams=False), exchange(), hand or Stagehand(), trace=trace)

    async def hooks() -> None:
        await run.request_head()
        await run.request_body(b"{}")
        await run.response_head(Response(200, body=b""))
        run.response_headers()
        await run.finish()

    run_loop(hooks())
    return run


def step_of(run: Run, entry: ResolvedEntry) -> Any:
    assert run.trace is not None
    for traced in run.trace.groups:
        for step in traced.group.steps:
            if step.entries == (entry,):
                return run.trace.of(step)
    return None


def test_every_call_has_its_verdict_and_its_time() -> None:
    passes, refuses = entry(acting(lambda _: CONTINUE, "a")), entry(acting(lambda _: NO, "b"))
    never = entry(acting(lambda _: CONTINUE, "c"))
    run = traced(passes, refuses, never)
    assert (step_of(run, passes).verdict, step_of(run, refuses).verdict) == (CONTINUE, NO)
    assert step_of(run, passes).seconds == 1.0
    assert step_of(run, never) is None


def test_a_fault_is_told_with_what_followed_from_it() -> None:
    def boom(_: Exchange) -> Verdict:
        raise ValueError("no")

    is_open, closed = entry(acting(boom, "a"), on_error="open"), entry(acting(boom, "b"))
    run = traced(is_open, closed)
    assert (step_of(run, is_open).fault, step_of(run, is_open).verdict) == ("ValueError: no", CONTINUE)
    assert isinstance(step_of(run, closed).verdict, Reject)


def test_follow_ups_are_no_calls_of_a_stage() -> None:
    one = entry(FollowingUp(heads=lambda _: {"X-A": "1"}))
    assert step_of(traced(one), one).verdict == CONTINUE


def test_a_call_that_a_dry_run_does_not_make_lets_the_exchange_pass() -> None:
    def ask(_: Exchange) -> Verdict:
        raise NotCalled("POST https://validator.example")

    one = entry(acting(ask, "asks"))
    run = traced(one)
    assert (run.rejection, run.faults) == (None, [])
    assert step_of(run, one).not_called == "POST https://validator.example"


def test_without_a_trace_such_a_call_is_a_fault() -> None:
    def ask(_: Exchange) -> Verdict:
        raise NotCalled("POST https://validator.example")

    run = Run(make_plan([entry(acting(ask, "asks"))], buffer_streams=False), exchange(), Stagehand())
    run_loop(run.request_body(b"{}"))
    assert run.faults == ["asks"]


def test_one_that_is_cancelled_has_its_time_and_no_verdict() -> None:
    hand = Stagehand()
    slow = entry(hand.plugin("as a task", "slow"), parallel=True)
    refuses = entry(acting(lambda _: NO, "no"), parallel=True)

    async def scenario() -> Run:
        run = Run(
            make_plan([refuses, slow], buffer_streams=False), exchange(), hand, trace=Trace(lambda: 1.0)
        )
        await run.request_body(b"{}")
        await quiet()
        return run

    run = run_loop(scenario())
    assert (step_of(run, slow).verdict, step_of(run, slow).seconds) == (None, 0.0)


def test_the_timing_has_one_entry_a_group() -> None:
    run = traced(
        entry(acting(lambda _: CONTINUE, "a"), parallel=True),
        entry(acting(lambda _: CONTINUE, "b"), parallel=True),
        entry(acting(lambda _: CONTINUE, "c"), priority=200),
        entry(acting(lambda _: CONTINUE, "d"), Stage.POST_REQUEST),
    )
    assert run.trace is not None
    value = re.sub(r"dur=\d+\.\d{3}", "dur=…", server_timing(run.trace))
    assert value == (
        'pre_request-1;dur=…;desc="a, b", pre_request-2;dur=…;desc="c", post_request-1;dur=…;desc="d"'
    )
