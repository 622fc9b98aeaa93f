"""What a run did and how long each part took, for those who may look: `Server-Timing` and explain."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shared.model.config import Stage
from shared.pipeline.plan import Group, Step
from shared.pipeline.plugin import Verdict


@dataclass(slots=True)
class TracedStep:
    """One call. `seconds` is None until it has ended; `verdict` is what followed, also of a `fault`.

    `not_called` says what outside call it would have made that a dry run does not make.
    """

    seconds: float | None = None
    verdict: Verdict | None = None
    fault: str | None = None
    not_called: str | None = None


@dataclass(slots=True)
class TracedGroup:
    """One group that ran. `seconds` is None until it was decided."""

    stage: Stage
    group: Group
    seconds: float | None = None


class Trace:
    """Grows while a run goes on. `now` gives seconds that never go back."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.groups: list[TracedGroup] = []
        self.now = now
        self._steps: dict[int, TracedStep] = {}

    def of(self, step: Step) -> TracedStep | None:
        """What is known of a step; None when it did not run."""
        return self._steps.get(id(step))

    async def group(self, stage: Stage, group: Group, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work of a group."""
        traced, start = TracedGroup(stage, group), self.now()
        self.groups.append(traced)
        try:
            await work()
        finally:
            traced.seconds = self.now() - start

    async def call(self, step: Step, work: Callable[[], Awaitable[object]]) -> object:
        """Call a step, and return what it returned."""
        traced = self._steps[id(step)] = TracedStep()
        start = self.now()
        try:
            return await work()
        finally:
            traced.seconds = self.now() - start

    def judged(self, step: Step, verdict: Verdict, fault: str | None = None) -> None:
        """Note what followed from a call."""
        traced = self._steps[id(step)]
        traced.verdict, traced.fault = verdict, fault

    def not_called(self, step: Step, what: str) -> None:
        """Note the outside call that was not made."""
        self._steps[id(step)].not_called = what


def server_timing(trace: Trace) -> str:
    """The value of a ``Server-Timing`` header (W3C), with one entry a group, in milliseconds."""
    numbers: dict[Stage, int] = {}
    entries = []
    for traced in trace.groups:
        number = numbers[traced.stage] = numbers.get(traced.stage, 0) + 1
        names = ", ".join(step.plugin.name for step in traced.group.steps)
        entries.append(f'{traced.stage.value}-{number};dur={(traced.seconds or 0) * 1000:.3f};desc="{names}"')
    return ", ".join(entries)
