"""Streamed answers on their way through the judges of their events."""

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest

from shared.core.errors import PoolFull
from shared.model.config import Stage
from shared.model.event import Event
from shared.model.messages import Headers, Response
from shared.pipeline.plugin import CONTINUE, Patch, Plugin, Reject
from shared.pipeline.run import Run
from shared.pipeline.stream import IN_PLACE_BYTES, JudgeOutput
from tests.pipeline.faults import ACTS
from tests.pipeline.stagehand import Stagehand, run_loop, run_of
from tests.pipeline.world import (
    Acting,
    ActiveJudge,
    AsyncJudge,
    Holding,
    Judge,
    JudgingAsync,
    JudgingInThread,
    entry,
    event,
)

REJECT = Reject(422, "content_rejected", "No.")
STREAMED = Response(200, Headers([("Content-Type", "text/event-stream")]))
EVENTS = [event(text) for text in "abcd"]
LONGEST = 2 * IN_PLACE_BYTES
LARGE = Event(b"x" * (IN_PLACE_BYTES + 1), "x")
KINDS = [ActiveJudge, JudgingInThread, JudgingAsync]
JUDGES = {ActiveJudge: Judge, JudgingInThread: Judge, JudgingAsync: AsyncJudge}


def texts(events: Sequence[Event]) -> str:
    return "".join(one.data or "-" for one in events)


async def opened(run: Run, *, may_wait: bool = True) -> Any:
    stream = await run.response_head(STREAMED, longest_event=LONGEST, may_wait=may_wait)
    assert stream is not None
    return stream


def play(
    *plugins: Plugin, events: Sequence[Event] = EVENTS, may_wait: bool = True, **more: Any
) -> tuple[Run, list[str], int]:
    """Feed the events one by one, as long as nobody refused: the run, what went out, the most that was held."""
    chain = [entry(plugin, Stage.PRE_RESPONSE, **more) for plugin in plugins]

    async def main(pool: Executor) -> tuple[Run, list[str], int]:
        with pool:
            run = run_of(*chain, pool=pool)
            stream = await opened(run, may_wait=may_wait)
            sent = []
            for piece in [*[[one] for one in events], None]:
                if run.rejection is None:
                    out = stream.feed(piece or [], is_last=piece is None)
                    sent.append(texts(await out if inspect.isawaitable(out) else out))
            return run, sent, stream.held

    return run_loop(main(ThreadPoolExecutor(1)))


def passing() -> Judge:
    return Judge(lambda one: [one])


@pytest.mark.parametrize(
    ("last", "status"), [(list, None), (lambda: REJECT, 422)], ids=["passes", "rejected"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_events_that_no_judge_holds_are_sent_even_before_a_rejected_end(
    kind: type[ActiveJudge], last: Callable[[], Any], status: int | None
) -> None:
    made = JUDGES[kind](lambda one: [one], last)
    run, sent, held = play(kind(lambda _: made))
    assert (sent, held) == (["a", "b", "c", "d", ""], 0)
    assert (run.rejection and run.rejection.status) == status


@pytest.mark.parametrize("kind", KINDS)
def test_held_events_are_counted_and_sent_in_order(kind: type[ActiveJudge]) -> None:
    one, other = Holding(1), Holding(2)
    run, sent, held = play(ActiveJudge(lambda _: one), kind(lambda _: other))
    assert (run.rejection, sent) == (None, ["", "", "", "a", "bcd"])
    assert held == 3 * len(EVENTS[0].raw)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reject_ends_the_stream_and_what_is_held_back_is_never_sent(kind: type[ActiveJudge]) -> None:
    made = JUDGES[kind](lambda one: REJECT if one.data == "c" else [one])
    run, sent, _ = play(ActiveJudge(lambda _: Holding(1)), kind(lambda _: made))
    assert sent == ["", "a", "b", ""]
    assert run.rejection is not None
    assert (run.rejection.code, run.rejection.source) == ("content_rejected", f"plugin:{kind.name}")


@pytest.mark.parametrize("kind", KINDS)
async def test_events_before_a_reject_in_the_same_chunk_are_sent(kind: type[ActiveJudge]) -> None:
    made = JUDGES[kind](lambda one: REJECT if one.data == "c" else [one])
    with ThreadPoolExecutor(1) as pool:
        stream = await opened(run_of(entry(kind(lambda _: made), Stage.PRE_RESPONSE), pool=pool))
        out = stream.feed(EVENTS)
        assert texts(await out if inspect.isawaitable(out) else out) == "ab"


class TestOpening:
    def test_a_plugin_may_have_nothing_to_judge(self) -> None:
        assert play(ActiveJudge(lambda _: CONTINUE))[1] == ["a", "b", "c", "d", ""]

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_plugin_may_reject_at_the_head(self, kind: type[ActiveJudge]) -> None:
        run, sent, _ = play(kind(lambda _: REJECT), ActiveJudge(pytest.fail))
        assert sent == []
        assert run.rejection is not None

    def test_the_head_is_patched_in_order_and_judges_see_it(self) -> None:
        seen = []
        patching = Acting(lambda _: Patch(set_headers={"X-Seen": "1"}))
        patching.reads, patching.changes = frozenset(), frozenset({"headers"})

        def starts_stream(seen_exchange: Any) -> Judge:
            seen.append(seen_exchange.response.headers.get("X-Seen"))
            return passing()

        run, _, _ = play(patching, ActiveJudge(starts_stream))
        assert seen == ["1"]
        assert run.exchange.response is not None

    def test_a_parallel_group_is_opened_at_once_and_judges_in_chain_order(self) -> None:
        order = []

        def judge(name: str) -> Callable[[Any], Judge]:
            return lambda _: Judge(lambda one: order.append(name) or [one])  # type: ignore[func-returns-value]

        play(JudgingAsync(judge("x")), ActiveJudge(judge("y")), events=EVENTS[:1], parallel=True)
        assert order == ["x", "y"]


def wrong(response: Any) -> Callable[[Event], Any]:
    return lambda _: response


FAULTS: dict[str, Callable[[Event], Any]] = {
    **ACTS,  # type: ignore[dict-item]
    "gives back what is no event": wrong(["a"]),
    "gives back another event": wrong([event("x")]),
    "gives back the same data as another event": lambda one: [event(one.data or "")],
    "gives an event back twice": lambda one: [one, one],
    "rejects with a status that is none": wrong(Reject(200, "x", "x")),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("on_error", ["closed", "open"])
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_a_judge_has_the_configured_outcome(
    kind: type[ActiveJudge], on_error: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    holds = Holding(1)
    made = JUDGES[kind](lambda one: FAULTS[fault](one) if one.data == "c" else holds.feed(one))
    with caplog.at_level(logging.ERROR):
        run, sent, _ = play(kind(lambda _: made, called="faulty"), on_error=on_error)
    assert run.faults == ["faulty"]
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"The plugin faulty failed at pre_response ({on_error}): ")
    if on_error == "open":
        assert (run.rejection, sent) == (None, ["", "a", "bc", "d", ""])
    else:
        assert sent == ["", "a", ""]
        assert run.rejection is not None
        assert (run.rejection.code, run.rejection.status) == ("plugin_failure", 503)


@pytest.mark.parametrize("kind", KINDS)
def test_a_judge_that_keeps_an_event_to_itself_fails_at_the_end(kind: type[ActiveJudge]) -> None:
    made = JUDGES[kind](lambda one: [] if one.data == "b" else [one])
    run, _, _ = play(kind(lambda _: made, called="faulty"), events=EVENTS[:2])
    assert run.faults == ["faulty"]
    run, sent, _ = play(kind(lambda _: JUDGES[kind](lambda _: [])), on_error="open")
    assert sent == ["", "", "", "", "abcd"]


def test_plugin_changes_events_only_if_it_declares_body_changes() -> None:
    changing = ActiveJudge(lambda _: Judge(lambda one: [one.with_data((one.data or "").upper())]))
    assert play(changing)[0].faults == ["judging"]
    changing.changes = frozenset({"body"})
    assert play(changing)[1] == ["A", "B", "C", "D", ""]


class _Hanging(AsyncJudge):
    async def feed(self, one: Event) -> Any:
        await asyncio.get_running_loop().create_future()


def test_a_judge_that_takes_too_long_is_at_fault() -> None:
    run, sent, _ = play(JudgingAsync(lambda _: _Hanging(lambda one: [one])), timeout=0.001)
    assert (sent, run.faults) == ([""], ["judging_async"])


class _Full(Stagehand):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        raise PoolFull("All plugin threads are busy and their queue is full.")


async def test_a_full_pool_is_a_fault() -> None:
    run = run_of(entry(ActiveJudge(lambda _: passing()), Stage.PRE_RESPONSE), pool=_Full())
    waiting = (await opened(run)).feed([LARGE])
    assert inspect.isawaitable(waiting)
    assert list(await waiting) == []
    assert run.faults == ["judging"]


def test_large_chunk_is_judged_with_and_without_a_thread() -> None:
    for may_wait in (True, False):
        assert play(ActiveJudge(lambda _: passing()), events=[LARGE], may_wait=may_wait)[1] == ["x", ""]


def test_a_small_piece_is_judged_in_place_beside_a_judge_that_waits() -> None:
    threads = []

    def note(one: Event) -> list[Event]:
        threads.append(threading.current_thread())
        return [one]

    run, sent, _ = play(
        ActiveJudge(lambda _: Judge(note)), JudgingAsync(lambda _: AsyncJudge(lambda one: [one]))
    )
    assert (run.faults, sent) == ([], ["a", "b", "c", "d", ""])
    assert set(threads) == {threading.main_thread()}


@pytest.mark.parametrize(
    ("plugin", "headers", "able"),
    [
        (ActiveJudge, {}, {"longest_event": None}),
        (ActiveJudge, {"Content-Encoding": "gzip"}, {"longest_event": LONGEST}),
        (JudgingAsync, {}, {"longest_event": LONGEST, "may_wait": False}),
    ],
)
def test_response_whose_events_cannot_be_judged_as_they_pass_is_judged_whole(
    plugin: type[ActiveJudge], headers: dict[str, str], able: dict[str, Any]
) -> None:
    run = run_of(entry(plugin(lambda _: passing()), Stage.PRE_RESPONSE))
    head = Response(200, STREAMED.headers.patched(headers))
    assert run_loop(run.response_head(head, **able)) is None
    assert run.needs_body


def test_output_of_a_judge_takes_lists_and_tuples_and_ends_with_a_reject() -> None:
    output = JudgeOutput()
    assert output.add([])
    assert output.add(())
    assert not output.add(Reject(403, "no", "No."))
    assert output.reject is not None
    with pytest.raises(TypeError, match="not a list of events"):
        JudgeOutput().add("text")
