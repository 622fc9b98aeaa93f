"""The events of a streamed response on their way through its judges, whose faults are caught here."""

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor

from shared.bodies.event_splitter import EventSplitter
from shared.core.errors import PoolFull
from shared.model.config import Stage
from shared.model.event import Event
from shared.pipeline.calls import CallFailed, call_async_safely, call_safely, submit_call, with_timeout
from shared.pipeline.plan import Step
from shared.pipeline.plugin import EventJudge, Reject, Verdict

#: The most bytes of events that are judged in place; more go to a thread, whatever their judge declares.
IN_PLACE_BYTES = 16_384


class ActiveJudge:
    """A judge of one stream. `given` are the events that it has not returned, `held` counts their bytes."""

    __slots__ = ("given", "held", "is_async", "judge", "step")

    def __init__(self, step: Step, judge: EventJudge) -> None:
        self.step = step
        self.judge = judge
        self.is_async = inspect.iscoroutinefunction(type(judge).feed)
        self.held = 0
        self.given: deque[Event] = deque()

    def give(self, events: Sequence[Event]) -> None:
        self.given += events
        for event in events:
            self.held += len(event.raw)

    def invalid_reason(self, output: "JudgeOutput", *, is_last: bool) -> str | None:
        """Why the output is not the fed events in order; None if it is."""
        if not all([type(event) is Event or isinstance(event, Event) for event in output.events]):
            return "it returned values other than events"
        over = is_last and output.reject is None
        if len(output.events) > len(self.given) or (over and len(output.events) < len(self.given)):
            return "it did not return each event once"
        if "body" not in self.step.plugin.changes and any(
            [one is not other for one, other in zip(output.events, self.given, strict=False)]
        ):
            return "it changed the body, which it does not declare"
        return None

    def take(self, count: int) -> list[Event]:
        """Remove the next `count` events from those that are held, and return them."""
        if count == len(self.given):
            return self.take_all()
        taken = [self.given.popleft() for _ in range(count)]
        self.held -= sum([len(event.raw) for event in taken])
        return taken

    def take_all(self) -> list[Event]:
        taken, self.given, self.held = list(self.given), deque(), 0
        return taken


def is_judge(outcome: object) -> bool:
    """Whether a plugin returned a judge of events."""
    kind = type(outcome)
    return callable(getattr(kind, "feed", None)) and callable(getattr(kind, "end", None))


class JudgeOutput:
    """The output of a judge for some events: those to send, and the `Reject` that ended the stream."""

    __slots__ = ("events", "reject")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.reject: Reject | None = None

    def add(self, result: object) -> bool:
        """Add a result of the judge; False if it rejects. Raises TypeError for a result of another type."""
        if type(result) is list:  # the usual case
            self.events += result
            return True
        if isinstance(result, Reject):
            self.reject = result
            return False
        if not isinstance(result, list | tuple):
            raise TypeError(f"it returned {type(result).__name__}, not a list of events or a Reject")
        self.events += result
        return True


class Stream:
    """The events of one response. `held` is the most bytes that its judges held back at a time.

    `splitter` makes events of its bytes. `owner` is the tenant of the response. `judge` and `reject` are
    those of `Run`. Without `may_wait` nothing is awaited, so every step must judge in place.
    """

    def __init__(
        self,
        splitter: EventSplitter,
        judges: Sequence[ActiveJudge],
        pool: Executor,
        owner: str,
        judge: Callable[[Step, Stage, object], Verdict],
        reject: Callable[[Step, Reject], None],
        *,
        may_wait: bool,
    ) -> None:
        self.splitter = splitter
        self.held = 0
        self._active_judges = list(judges)
        self._pool = pool
        self._owner = owner
        self._judge = judge
        self._reject = reject
        self._may_wait = may_wait
        self._always_awaits = any(one.is_async or one.step.in_thread for one in judges)

    def feed(self, events: list[Event], *, is_last: bool = False) -> list[Event] | Awaitable[list[Event]]:
        """The events that may be sent now. None may once the run has a rejection."""
        if self._may_wait and (self._always_awaits or _is_long(events)):
            return self._later(events, is_last=is_last)
        for one in tuple(self._active_judges):
            outcome = call_safely(_batch, one.judge, events, is_last)
            if one.given or type(outcome) is not JudgeOutput or outcome.reject or outcome.events != events:
                one.give(events)
                events = self._settled(one, outcome, is_last=is_last)
            # Else it holds nothing, and has returned what it got, as is usual.
        self._measure()
        return events

    async def _later(self, events: list[Event], *, is_last: bool) -> list[Event]:
        for one in tuple(self._active_judges):
            one.give(events)
            outcome = await self._outcome(one, events, is_last=is_last)
            events = self._settled(one, outcome, is_last=is_last)
        self._measure()
        return events

    async def _outcome(self, one: ActiveJudge, events: Sequence[Event], *, is_last: bool) -> object:
        if one.is_async:
            return await _one_by_one(one, events, is_last=is_last)
        if not one.step.in_thread and not _is_long(events):
            return call_safely(_batch, one.judge, events, is_last)
        try:
            call = call_safely, _batch, one.judge, events, is_last
            threaded = submit_call(self._pool, one.step, self._owner, *call)
        except (PoolFull, RuntimeError) as error:
            return CallFailed(error)
        return await with_timeout(asyncio.wrap_future(threaded), one.step.timeout)

    def _settled(self, one: ActiveJudge, outcome: object, *, is_last: bool) -> list[Event]:
        """The events for the next judge. A judge that fails with `on_error: open` is left out."""
        output = outcome if type(outcome) is JudgeOutput else JudgeOutput()
        fault = outcome.why if type(outcome) is CallFailed else one.invalid_reason(output, is_last=is_last)
        if fault is None:
            one.take(len(output.events))
            if output.reject is None:
                return output.events
        verdict = self._judge(one.step, Stage.PRE_RESPONSE, CallFailed(fault) if fault else output.reject)
        events = [] if fault else output.events
        if isinstance(verdict, Reject):
            self._reject(one.step, verdict)
            return events
        self._active_judges.remove(one)
        return [*events, *one.take_all()]

    def _measure(self) -> None:
        held = 0
        for one in self._active_judges:
            held += one.held
        if held > self.held:
            self.held = held


def _is_long(events: Sequence[Event]) -> bool:
    size = 0
    for event in events:
        size += len(event.raw)
    return size > IN_PLACE_BYTES


def _batch(judge: EventJudge, events: Sequence[Event], is_last: bool) -> JudgeOutput:
    output = JudgeOutput()
    for event in events:
        if not output.add(judge.feed(event)):
            return output
    if is_last:
        output.add(judge.end())
    return output


async def _one_by_one(one: ActiveJudge, events: Sequence[Event], *, is_last: bool) -> object:
    """As `_batch`, with an asynchronous judge. Each call has the timeout of the entry."""
    output = JudgeOutput()
    calls: list[tuple[Callable[..., Awaitable[object]], tuple[Event, ...]]]
    calls = [(one.judge.feed, (event,)) for event in events]
    if is_last:
        calls.append((one.judge.end, ()))
    for call, arguments in calls:
        result = await with_timeout(call_async_safely(call, *arguments), one.step.timeout)
        if isinstance(result, CallFailed):
            return result
        more = call_safely(output.add, result)
        if isinstance(more, CallFailed):
            return more
        if not more:
            break
    return output
