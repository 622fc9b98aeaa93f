"""Runs a plan for one exchange: the only place where plugins are called, and where their faults are caught.

The event loop orchestrates. Only the calls of plugins occupy threads, so a pool of one thread cannot
deadlock. If a plugin raises, hangs, exits or returns junk, the `on_error` of its entry decides.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

from shared.bodies.event_splitter import EventSplitter, splitter_for_response
from shared.core.errors import Rejection, make_rejection
from shared.core.http_tokens import has_no_body
from shared.model.config import Stage
from shared.model.messages import NO_HEADERS, Exchange, Headers, Metered, Response
from shared.pipeline.calls import (
    DONE,
    CallFailed,
    Done,
    after,
    await_in_task,
    call_safely,
    headers_of,
    is_quick,
    start_call,
    start_cleanup,
    with_timeout,
)
from shared.pipeline.counts import count_verdict
from shared.pipeline.plan import FORCED, Group, Plan, Step
from shared.pipeline.plugin import CONTINUE, Continue, EventJudge, Patch, Plugin, Reject, Respond, Verdict
from shared.pipeline.shadow import Shadows
from shared.pipeline.stream import ActiveJudge, Stream, is_judge
from shared.pipeline.trace import Trace
from shared.pipeline.validate_verdict import invalid_reason

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False, repr=False)
class Run:
    """One exchange on its way through a plan, with a method for each of its moments.

    ``request_head``, ``request_body``, ``response_head``, then ``response_body`` or the events of a stream,
    ``response_sent`` and ``finish``. The proxy and explain both call these, in this order. Their result
    is to be awaited, unless it is `DONE`: groups that wait for nothing run at once.

    Attributes:
        plan: what runs.
        exchange: the exchange as the plugins see it; a patch replaces it.
        rejection: set once a plugin rejected.
        responded: the response of a plugin in the upstream's place.
        responder: the name of that plugin.
        needs_body: whether the response must be whole before it is sent.
        faults: names of the plugins that failed.
        shadows: the entries in shadow mode; None without any. They use threads of their own.
        trace: notes what happens; None where nothing reads it.
        notes: of each plugin by its name, what its verdicts have noted.
    """

    plan: Plan
    exchange: Exchange
    _pool: Executor
    _shadow_pool: Executor | None = None
    trace: Trace | None = None
    rejection: Rejection | None = None
    responded: Response | None = None
    responder: str = ""
    needs_body: bool = False
    shadows: Shadows | None = None
    faults: list[str] = field(default_factory=list)
    notes: dict[str, Mapping[str, object]] = field(default_factory=dict)
    _ended: bool = False
    _ran: tuple[Step, ...] = ()
    _under_way: tuple[Group, ...] = ()
    _active_judges: tuple[ActiveJudge, ...] = ()

    def request_head(self) -> Awaitable[None]:
        """Run the groups of pre_request that need no body."""
        return self._groups(Stage.PRE_REQUEST, self.plan.head)

    def request_body(
        self, body: bytes, models: tuple[str, ...] = (), metered: Metered | None = None
    ) -> Awaitable[None]:
        """Run the other groups of pre_request, unless the request has its response already.

        `models` and `metered` are as in `Exchange`.
        """
        if self.rejection or self.responded:
            return DONE
        before = self.exchange
        request = before.request.with_body(body)
        self.exchange = before.asking(request, models, metered) if models else before.with_request(request)
        if self.shadows:
            self.shadows.resume(Stage.PRE_REQUEST, self.exchange)
        return self._groups(Stage.PRE_REQUEST, self.plan.groups[Stage.PRE_REQUEST])

    def response_head(
        self, head: Response, *, longest_event: int | None = None, may_wait: bool = True
    ) -> Awaitable[Stream | None]:
        """Run post_request, and pre_response unless that needs the body; then `needs_body` is set.

        `head` is the response without its body. The result is the stream if events are judged while they
        pass. An event has at most `longest_event` bytes; None says that they cannot be judged so. Without
        `may_wait` no event is ever awaited.
        """
        if self.rejection:
            return DONE
        is_empty = has_no_body(self.exchange.request.method, head.status)
        head = Response(head.status, head.headers, b"" if is_empty else None)
        self.exchange = self.exchange.with_response(head)
        if is_empty or not (self.plan.judges_events and (may_wait or self.plan.events_in_place)):
            longest_event = None
        waiting = self._groups(Stage.POST_REQUEST, self.plan.groups[Stage.POST_REQUEST])
        if waiting is DONE:
            return self._before_sending(head, longest_event, may_wait)
        return after(waiting, lambda _: self._before_sending(head, longest_event, may_wait))

    def _before_sending(
        self, head: Response, longest_event: int | None, may_wait: bool
    ) -> Awaitable[Stream | None]:
        """Run pre_response on a head. The result is the stream if it is one and is judged."""
        plan, splitter = self.plan, None
        if longest_event is not None:
            splitter = splitter_for_response((self.exchange.response or head).headers, longest_event)
        self.needs_body = head.body is None and (plan.buffers or (plan.judges_bodies and splitter is None))
        if self.needs_body:
            return DONE
        if splitter is None:
            return self._groups(Stage.PRE_RESPONSE, plan.groups[Stage.PRE_RESPONSE])
        return after(
            self._groups(Stage.PRE_RESPONSE, plan.opening), lambda _: Done(self._stream(splitter, may_wait))
        )

    def _stream(self, splitter: EventSplitter, may_wait: bool) -> Stream:
        owner, judges = self.exchange.tenant.id, self._active_judges
        return Stream(splitter, judges, self._pool, owner, self._judge, self._reject, may_wait=may_wait)

    def response_body(self, body: bytes) -> Awaitable[None]:
        """Run pre_response on the whole body, if `response_head` has left it for this moment."""
        if not self.needs_body:
            return DONE
        head = self.exchange.response or Response(200)
        self.exchange = self.exchange.with_response(Response(head.status, head.headers, body))
        return self._groups(Stage.PRE_RESPONSE, self.plan.groups[Stage.PRE_RESPONSE])

    def response_sent(self, body: bytes | None) -> None:
        """Show the body to the shadow entries that need it. None: it was too long to be copied."""
        response = self.exchange.response
        if self.shadows is None or response is None:
            return
        if body is None:
            self.shadows.give_up(Stage.PRE_RESPONSE, "the response was too long to be copied")
        else:
            whole = Response(response.status, response.headers, body)
            self.shadows.resume(Stage.PRE_RESPONSE, self.exchange.with_response(whole))

    def finish(self, *, runs_post_response: bool = True) -> Awaitable[None]:
        """Run post_response, then the cleanup of each plugin that ran. Never raises.

        A second call does nothing. A plugin whose call is still running is cleaned up after it.
        """
        if self._ended:
            return DONE
        self._ended = True
        if self.shadows is None and not self.plan.has_end:
            return DONE
        if self.shadows is None and not self._under_way and not self.plan.groups[Stage.POST_RESPONSE]:
            return self._cleanup(self._ran)
        return self._finish(runs_post_response=runs_post_response)

    async def _finish(self, *, runs_post_response: bool) -> None:
        late = {id(step) for group in self._under_way for step in group.steps}
        if runs_post_response:
            await self._groups(Stage.POST_RESPONSE, self.plan.groups[Stage.POST_RESPONSE])
        await self._cleanup([step for step in self._ran if id(step) not in late])
        if self.shadows:
            await self.shadows.end(self.exchange)

    def _groups(self, stage: Stage, groups: Sequence[Group]) -> Awaitable[None]:
        if groups and (rest := self._in_place(stage, groups)):
            return self._from(stage, rest) if rest[1:] else self._group(stage, rest[0])
        return DONE

    def _in_place(self, stage: Stage, groups: Sequence[Group]) -> Sequence[Group]:
        """Run the first groups, as far as they wait for nothing. Return those that are left to run."""
        is_last = stage is Stage.POST_RESPONSE
        for at, group in enumerate(groups):
            if not is_last and (self.rejection or (self.responded and stage is Stage.PRE_REQUEST)):
                return ()
            step = group.alone
            if step is None or step.is_async or self.trace or (self._ended and not is_last):
                return groups[at:]
            view = self._view(step.plugin) if self.notes else self.exchange
            if step.in_thread and not is_quick(step, view):
                return groups[at:]
            self._ran += (step,)
            outcome: object
            try:  # as in `call_safely`, without its call
                outcome = step.call(view)
            except BaseException as error:  # noqa: BLE001
                outcome = CallFailed(error)
            if outcome is CONTINUE and Continue in step.counts:  # the usual case
                step.counts[Continue].value += 1
            else:
                self._take(stage, step, outcome)
        return ()

    async def _from(self, stage: Stage, groups: Sequence[Group]) -> None:
        """Run the first group, which may wait, and the others."""
        while groups:
            await self._group(stage, groups[0])
            groups = self._in_place(stage, groups[1:])

    async def _group(self, stage: Stage, group: Group) -> None:
        if group.shadows and (stage is Stage.POST_RESPONSE or not self._ended):
            now = self.trace.now if self.trace else None
            self.shadows = self.shadows or Shadows(self._shadow_pool or self._pool, now)
            self.shadows.begin(stage, group.shadows, self.exchange)
        if not group.steps:
            return
        self._ran += group.steps
        self._under_way += (group,)
        try:
            step = group.alone
            if self.trace:
                await self.trace.group(stage, group, lambda: self._act(stage, group))
            elif step is not None and step.in_task:
                view = self._view(step.plugin) if self.notes else self.exchange
                self._take(stage, step, await await_in_task(step, view))
            else:
                await self._act(stage, group)
        finally:
            self._under_way = tuple([one for one in self._under_way if one is not group])
            if self._ended and stage is not Stage.POST_RESPONSE:
                # `finish` came first, and left these out.
                await self._cleanup(group.steps)

    async def _act(self, stage: Stage, group: Group) -> None:
        if len(group.steps) == 1:
            step = group.steps[0]
            self._take(stage, step, await self._calling(stage, step))
            return
        judged = list(zip(group.steps, await self._together(stage, group), strict=False))
        for step, verdict in judged:
            self._note(step, verdict)
            if isinstance(verdict, Reject):
                self._reject(step, verdict)
                return
        # The first response counts, and then no patch does.
        responding = [one for one in judged if isinstance(one[1], Respond)][:1]
        for step, verdict in responding or judged:
            self._apply(stage, step, verdict)

    def _take(self, stage: Stage, step: Step, outcome: object) -> None:
        """Do what follows from the outcome of a step that runs alone."""
        verdict = self._judge(step, stage, outcome)
        if verdict is not CONTINUE:
            self._note(step, verdict)
            if type(verdict) is not Continue:
                self._apply(stage, step, verdict)

    def _apply(self, stage: Stage, step: Step, verdict: Verdict) -> None:
        if isinstance(verdict, Reject):
            self._reject(step, verdict)
        elif isinstance(verdict, Respond):
            self.responded, self.responder = verdict.response, step.plugin.name
        elif isinstance(verdict, Patch):
            self.exchange = verdict.applied_to(self.exchange, stage)

    async def _together(self, stage: Stage, group: Group) -> list[Verdict]:
        """The verdicts in chain order, up to the first Reject. Calls that still run are cancelled."""
        # Threads begin first, then tasks; they work while the others run in place.
        order = sorted(group.steps, key=lambda step: (not step.in_thread, not step.is_async))
        calls = {id(step): asyncio.ensure_future(self._calling(stage, step)) for step in order}
        verdicts: list[Verdict] = []
        try:
            for step in group.steps:
                verdicts.append(self._judge(step, stage, await calls[id(step)]))
                if isinstance(verdicts[-1], Reject):
                    break
        finally:
            for call in calls.values():
                call.cancel()
        return verdicts

    def _calling(self, stage: Stage, step: Step) -> Coroutine[Any, Any, object]:
        return self.trace.call(stage, step, lambda: self._call(step)) if self.trace else self._call(step)

    async def _call(self, step: Step) -> object:
        """The result of the plugin, or `CallFailed`. The timeout starts here."""
        view = self._view(step.plugin)
        if not step.may_block or is_quick(step, view):
            return call_safely(step.call, view)
        call = start_call(step, view, self._pool)
        try:
            return await with_timeout(call, step.timeout)
        except asyncio.CancelledError:
            self._keep_notes(step, call)
            raise

    def _judge(self, step: Step, stage: Stage, outcome: object) -> Verdict:
        if step.starts_stream and is_judge(outcome):
            self._active_judges += (ActiveJudge(step, cast(EventJudge, outcome)),)
            return CONTINUE
        failed = outcome if type(outcome) is CallFailed else None
        if failed and failed.not_called is not None and self.trace:
            self.trace.not_called(step, failed.not_called)
            failed, outcome = None, CONTINUE
        why = failed.why if failed else invalid_reason(outcome, stage, step.plugin)
        verdict = self._fault(step, stage, why) if why else outcome
        count_verdict(step, stage, verdict, is_fault=bool(why))
        if self.trace:
            self.trace.judged(step, verdict, why)  # type: ignore[arg-type]  # otherwise `why` is set
        return verdict  # type: ignore[return-value]  # as above

    def _fault(self, step: Step, stage: Stage | None, why: str) -> Verdict:
        self.faults.append(name := step.plugin.name)
        where = (name, stage or "response_headers", step.on_error)
        logger.error("The plugin %s failed at %s (%s): %s", *where, why)
        # After the last byte nothing can be rejected.
        if step.on_error == "open" or stage is Stage.POST_RESPONSE:
            return CONTINUE
        text = f"The plugin {name} failed, so the request was rejected."
        rejection = make_rejection("plugin_failure", text)
        return Reject(rejection.status, rejection.code, rejection.message, rejection.headers)

    def _reject(self, step: Step, verdict: Reject) -> None:
        self.rejection = Rejection(
            verdict.status,
            verdict.code,
            verdict.message,
            f"plugin:{step.plugin.name}",
            verdict.headers,
            verdict.details,
        )

    def _view(self, plugin: Plugin) -> Exchange:
        name = plugin.name
        return self.exchange.with_notes(self.notes[name]) if name in self.notes else self.exchange

    def _note(self, step: Step, verdict: Continue | Reject | Respond | Patch) -> None:
        if verdict.notes:
            name = step.plugin.name
            before = self.notes.get(name)
            notes = dict(verdict.notes) if before is None else {**before, **verdict.notes}
            self.notes[name] = MappingProxyType(notes)

    def _keep_notes(self, step: Step, call: asyncio.Future[object]) -> None:
        """Keep the notes of a call that ended as its exchange was cancelled, so that `cleanup` gets them."""
        verdict = call.result() if call.done() and not call.cancelled() else None
        if isinstance(verdict, Continue | Reject | Respond | Patch) and isinstance(verdict.notes, Mapping):
            self._note(step, verdict)

    def response_headers(self) -> Headers:
        """The headers that plugins add to the response. Those of required entries take precedence.

        Sets `rejection` when a plugin fails and its `on_error` is not `open`.
        """
        adding = [step for step in self._ran if step.adds_headers]
        if self.plan.has_forced:
            adding.sort(key=lambda step: step.origin in FORCED)
        headers = NO_HEADERS
        for step in adding:
            view = self._view(step.plugin) if self.notes else self.exchange
            added = headers_of(step, view)
            if not isinstance(added, CallFailed):
                headers = added if headers is NO_HEADERS else headers.with_set(added)
            elif isinstance(verdict := self._fault(step, None, added.why), Reject):
                self._reject(step, verdict)
        return headers

    def response(self) -> Response | None:
        """The response after all plugins; None if one rejected."""
        added = NO_HEADERS if self.rejection else self.response_headers()
        response = self.exchange.response
        if self.rejection or response is None:
            return None
        return Response(response.status, response.headers.with_set(added), response.body)

    def _cleanup(self, steps: Sequence[Step]) -> Awaitable[None]:
        """Clean up after these steps in turn, at once as far as that waits for nothing."""
        for at, step in enumerate(steps, 1):
            if step.has_cleanup and (call := start_cleanup(step, self._view(step.plugin))):
                return self._cleanup_from(step, call, steps[at:])
        return DONE

    async def _cleanup_from(self, step: Step, call: asyncio.Future[object], others: Sequence[Step]) -> None:
        """Wait for the cleanup of a step, then clean up after the others."""
        result = await with_timeout(call, step.timeout)
        if isinstance(result, CallFailed):
            self._fault(step, Stage.POST_RESPONSE, f"cleanup: {result.why}")
        await self._cleanup(others)
