"""A long piece of a judged stream, and everybody else."""

import asyncio
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mitm_addons.event_streams import EventStream, StreamRejected, in_turns, stopped
from mitm_addons.flows import SentBody
from mitm_addons.stock.adapter import StockEventStream
from shared.bodies.event_splitter import EventSplitter, event_splitter
from shared.core.errors import make_rejection
from shared.http.media_type import MediaType
from shared.model.event import Event

SHORT = b":\n\n" * 20_000


class Judged:
    """Lets all events pass but those that say no."""

    held = 0

    def __init__(self, run: Any, splitter: EventSplitter | None) -> None:
        self.run, self.splitter = run, splitter
        self.most = 0

    def feed(self, events: Sequence[Event], *, is_last: bool = False) -> Sequence[Event]:
        self.most = max(self.most, len(events))
        passed = [event for event in events if event.data != "no"]
        if len(passed) < len(events):
            self.run.rejection = make_rejection("content_rejected", "No.")
        return passed


def stream(*, stock: bool = False) -> tuple[EventStream, Judged, Any]:
    run, splitter = SimpleNamespace(rejection=None), event_splitter(MediaType("text/event-stream"), 1_000)
    state = SimpleNamespace(sent=SentBody())
    judged, anything = Judged(run, splitter), cast(Any, object())
    parts = cast(Any, state), cast(Any, run), cast(Any, judged)
    made = StockEventStream(anything, lambda flow: None, *parts) if stock else EventStream(*parts)
    return made, judged, state


async def sent(made: EventStream, piece: bytes) -> bytes:
    out = made(piece)
    assert inspect.isawaitable(out)
    return b"".join(await out)


@contextmanager
def turns() -> Iterator[list[int]]:
    """Counts the turns of another task on the loop."""
    counted, loop = [0], asyncio.get_running_loop()

    def turn() -> None:
        counted[0] += 1
        handle[0] = loop.call_soon(turn)

    handle = [loop.call_soon(turn)]
    yield counted
    handle[0].cancel()


def test_event_stream_with_many_short_events_lets_other_tasks_run() -> None:
    async def judge() -> int:
        with turns() as counted:
            assert await sent(made, SHORT) == SHORT
        return counted[0]

    made, judged, _ = stream()
    assert asyncio.run(judge()) >= 10
    assert judged.most < 2000


def test_events_before_a_rejected_one_are_sent_for_a_long_piece() -> None:
    made, judged, state = stream()
    with pytest.raises(StreamRejected):
        asyncio.run(sent(made, SHORT + b"data: no\n\n" + SHORT))
    assert judged.run.rejection
    assert state.sent.pending.startswith(SHORT[:-2000])
    assert made(SHORT) == []


def test_an_engine_that_cannot_wait_gets_all_at_once() -> None:
    made, _, _ = stream(stock=True)
    assert made(SHORT) == [SHORT]


async def test_other_tasks_run_while_a_long_piece_passes_in_turns() -> None:
    pieces, turns = list[bytes](), 0

    async def slow(piece: bytes) -> list[bytes]:
        pieces.append(piece)
        return [piece]

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task, state = asyncio.ensure_future(others()), cast(Any, SimpleNamespace(sent=SentBody()))
    for pass_on in (lambda piece: piece, slow):
        passing = in_turns(pass_on, state)
        assert b"".join(await cast(Any, passing(SHORT))) == SHORT
    task.cancel()
    assert b"".join(pieces) == SHORT
    assert turns > len(pieces) > 10
    assert in_turns(lambda piece: piece, state)(b"short") == b"short"


async def test_what_passed_of_a_piece_before_its_stream_was_ended_is_sent() -> None:
    state, passed = cast(Any, SimpleNamespace(sent=SentBody(), run=None)), list[bytes]()

    def pass_on(piece: bytes) -> bytes:
        passed.append(piece)
        if len(passed) == 3:
            raise stopped(state, make_rejection("quota_exceeded", "No."), piece[:3])
        return piece

    with pytest.raises(StreamRejected):
        await cast(Any, in_turns(pass_on, state)(SHORT))
    assert state.sent.pending == SHORT[: len(passed[0]) * 2] + passed[2][:3]
