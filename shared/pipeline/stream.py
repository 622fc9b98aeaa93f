"""An answer on its way through the judges of its events, and where the judges' faults end."""

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

#: Bytes of events that are judged on the loop; more of them go to a thread, whatever their judge says.
IN_PLACE_BYTES = 16_384


class ActiveJudge:
    """One judge at work: `held` are the bytes of the events that it has not given back."""

    __slots__ = ("_given", "held", "is_async", "judge", "step")

    def __init__(self, step: Step, judge: EventJudge) -> None:
        self.step = step
        self.judge = judge
        self.is_async = inspect.iscoroutinefunction(type(judge).feed)
        self.held = 0
        self._given: deque[Event] = deque()

    def give(self, events: Sequence[Event]) -> None:
        self._given += events
        self.held += sum(len(event.raw) for event in events)

    def invalid_reason(self, said: "JudgeOutput", *, is_last: bool) -> str | None:
        """Why these events cannot be what was fed, given back in order; None when they are."""
        if not all(isinstance(event, Event) for event in said.events):
            return "it gave back something else than events"
        over = is_last and said.reject is None
        if len(said.events) > len(self._given) or (over and len(said.events) < len(self._given)):
            return "it did not give back each event once"
        changed = any(one is not other for one, other in zip(said.events, self._given, strict=False))
        if changed and "body" not in self.step.plugin.changes:
            return "it changed the body, which it does not declare"
        return None

    def take(self, count: int) -> list[Event]:
        """The next events of those that were fed, which are held no longer."""
        taken = [self._given.popleft() for _ in range(count)]
        self.held -= sum(len(event.raw) for event in taken)
        return taken

    def take_all(self) -> list[Event]:
        return self.take(len(self._given))


def is_judge(outcome: object) -> bool:
    """Whether a plugin returned somebody who can judge events."""
    kind = type(outcome)
    return callable(getattr(kind, "feed", None)) and callable(getattr(kind, "end", None))


class JudgeOutput:
    """What a judge said to some events: what may go out, and how it ended the stream, if it did."""

    __slots__ = ("events", "reject")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.reject: Reject | None = None

    def add(self, response: object) -> bool:
        """Whether the judge goes on. Raises TypeError when `response` is none that it may give."""
        if isinstance(response, Reject):
            self.reject = response
            return False
        if not isinstance(response, list | tuple):
            raise TypeError(f"it returned {type(response).__name__}, not a list of events or a Reject")
        self.events += response
        return True


class Stream:
    """The events of one answer. `held` is the most bytes that its judges ever held back together.

    `owner` is whose answer it is. `judge` makes a verdict of an outcome and `reject` ends the exchange, both
    as in `Run`. When `may_wait` is False nothing is awaited, so every step must judge in place.
    """

    def __init__(
        self,
        splitter: EventSplitter,
        judgings: Sequence[ActiveJudge],
        pool: Executor,
        owner: str,
        judge: Callable[[Step, Stage, object], Verdict],
        reject: Callable[[Step, Reject], None],
        *,
        may_wait: bool,
    ) -> None:
        self.splitter = splitter
        self.held = 0
        self._active_judges = list(judgings)
        self._pool = pool
        self._owner = owner
        self._judge = judge
        self._reject = reject
        self._may_wait = may_wait
        self._always_waits = any(one.is_async or one.step.in_thread for one in judgings)

    def feed(
        self, events: Sequence[Event], *, is_last: bool = False
    ) -> Sequence[Event] | Awaitable[Sequence[Event]]:
        """The events that may go out now. Once the run has a refusal nothing more does."""
        if self._may_wait and (self._always_waits or _is_long(events)):
            return self._later(events, is_last=is_last)
        for one in tuple(self._active_judges):
            one.give(events)
            events = self._settled(one, call_safely(_batch, one.judge, events, is_last), is_last=is_last)
        self._measure()
        return events

    async def _later(self, events: Sequence[Event], *, is_last: bool) -> Sequence[Event]:
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

    def _settled(self, one: ActiveJudge, outcome: object, *, is_last: bool) -> Sequence[Event]:
        """What of the outcome goes on to the next judge. A judge that fails and may is left out."""
        said = outcome if isinstance(outcome, JudgeOutput) else JudgeOutput()
        fault = outcome.why if isinstance(outcome, CallFailed) else one.invalid_reason(said, is_last=is_last)
        if fault is None:
            one.take(len(said.events))
            if said.reject is None:
                return said.events
        verdict = self._judge(one.step, Stage.PRE_RESPONSE, CallFailed(fault) if fault else said.reject)
        events = [] if fault else said.events
        if isinstance(verdict, Reject):
            self._reject(one.step, verdict)
            return events
        self._active_judges.remove(one)
        return [*events, *one.take_all()]

    def _measure(self) -> None:
        self.held = max(self.held, sum(one.held for one in self._active_judges))


def _is_long(events: Sequence[Event]) -> bool:
    return sum(len(event.raw) for event in events) > IN_PLACE_BYTES


def _batch(judge: EventJudge, events: Sequence[Event], is_last: bool) -> JudgeOutput:
    said = JudgeOutput()
    for event in events:
        if not said.add(judge.feed(event)):
            return said
    if is_last:
        said.add(judge.end())
    return said


async def _one_by_one(one: ActiveJudge, events: Sequence[Event], *, is_last: bool) -> object:
    """The same with a judge that waits. Each call has the entry's time."""
    said = JudgeOutput()
    calls: list[tuple[Callable[..., Awaitable[object]], tuple[Event, ...]]]
    calls = [(one.judge.feed, (event,)) for event in events]
    if is_last:
        calls.append((one.judge.end, ()))
    for call, arguments in calls:
        response = await with_timeout(call_async_safely(call, *arguments), one.step.timeout)
        if isinstance(response, CallFailed):
            return response
        more = call_safely(said.add, response)
        if isinstance(more, CallFailed):
            return more
        if not more:
            break
    return said
