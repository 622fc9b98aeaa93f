"""Entries in shadow mode: they get what the others get, and their verdicts are only noted.

Each runs in a task of its own, which is not awaited before the last byte. An exchange is a value, so a
shadow entry cannot change it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor

from shared.core import tasks
from shared.model.config import SHADOW, Stage
from shared.model.messages import Exchange
from shared.pipeline.calls import CallFailed, call_safely, start_call, start_cleanup, with_timeout
from shared.pipeline.counts import count_verdict
from shared.pipeline.plan import Step
from shared.pipeline.plugin import CONTINUE, Verdict
from shared.pipeline.trace import StepResult
from shared.pipeline.validate_verdict import invalid_reason

logger = logging.getLogger(__name__)

_BODILY = (Stage.PRE_REQUEST, Stage.PRE_RESPONSE)


class Shadows:
    """The shadow entries of one exchange. `results` gets each verdict.

    `now` is a monotonic clock in seconds; without one no call is timed.
    """

    def __init__(self, pool: Executor, now: Callable[[], float] | None = None) -> None:
        self.results: list[StepResult] = []
        self._pool = pool
        self._now = now
        self._notes: dict[str, Mapping[str, object]] = {}
        self._without_body: dict[Stage, list[Step]] = {stage: [] for stage in _BODILY}
        self._running: list[asyncio.Task[None]] = []
        self._ran: list[Step] = []

    @property
    def need_response(self) -> bool:
        """Whether an entry needs the body of a response that is passed on unread."""
        return bool(self._without_body[Stage.PRE_RESPONSE])

    def begin(self, stage: Stage, steps: Sequence[Step], exchange: Exchange) -> None:
        """Start `steps` on the exchange as it is now; those that read a body wait for `resume`."""
        message = exchange.request if stage is Stage.PRE_REQUEST else exchange.response
        for step in steps:
            if step.uses_body and stage in _BODILY and (message is None or message.body is None):
                self._without_body[stage].append(step)
            else:
                self._start(stage, step, exchange)

    def resume(self, stage: Stage, exchange: Exchange) -> None:
        """Start the entries of `stage` that wait for the body; it is in `exchange`."""
        for step in self._taken(stage):
            self._start(stage, step, exchange)

    def give_up(self, stage: Stage, why: str) -> None:
        """Fail the entries of `stage` that wait for a body, which is not available."""
        for step in self._taken(stage):
            self._failed(stage, step, why)

    def _taken(self, stage: Stage) -> Sequence[Step]:
        waiting, self._without_body[stage] = self._without_body[stage], []
        return waiting

    async def end(self, exchange: Exchange) -> None:
        """Wait for each verdict or timeout, then clean up."""
        if self._running:
            await asyncio.wait(self._running)
        for step in self._ran:
            if step.has_cleanup:
                view = self._view(step, exchange)
                call = start_cleanup(step, view)
                result = None if call is None else await with_timeout(call, step.timeout)
                if isinstance(result, CallFailed):
                    self._failed(Stage.POST_RESPONSE, step, f"cleanup: {result.why}")

    def _start(self, stage: Stage, step: Step, exchange: Exchange) -> None:
        self._ran.append(step)
        view = self._view(step, exchange)
        # It starts here, so that it reads a limiter before the other entries charge it.
        call = start_call(step, view, self._pool) if step.may_block else None
        self._running.append(tasks.start(self._judge(stage, step, view, call), "shadow"))

    def _view(self, step: Step, exchange: Exchange) -> Exchange:
        return exchange.with_notes(self._notes.get(step.plugin.name, exchange.notes))

    async def _judge(
        self, stage: Stage, step: Step, view: Exchange, call: asyncio.Future[object] | None
    ) -> None:
        start = self._now() if self._now else 0.0
        outcome = await with_timeout(call, step.timeout) if call else call_safely(step.call, view)
        seconds = self._now() - start if self._now else None
        if isinstance(outcome, CallFailed) and outcome.not_called is not None:
            self.results.append(
                StepResult(step, stage, verdict=CONTINUE, seconds=seconds, not_called=outcome.not_called)
            )
            return
        why = outcome.why if isinstance(outcome, CallFailed) else invalid_reason(outcome, stage, step.plugin)
        if why:
            self._failed(stage, step, why, seconds)
            return
        verdict: Verdict = outcome  # type: ignore[assignment]  # otherwise `why` is set
        name = step.plugin.name
        self._notes[name] = {**self._notes.get(name, {}), **verdict.notes}
        count_verdict(step, stage, verdict, mode=SHADOW)
        self.results.append(StepResult(step, stage, verdict=verdict, seconds=seconds))

    def _failed(self, stage: Stage, step: Step, why: str, seconds: float | None = None) -> None:
        logger.warning("The plugin %s, in shadow mode, failed at %s: %s", step.plugin.name, stage, why)
        count_verdict(step, stage, None, is_fault=True, mode=SHADOW)
        self.results.append(StepResult(step, stage, fault=why, seconds=seconds))
