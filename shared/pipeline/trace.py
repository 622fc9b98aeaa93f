"""The record of a run: its verdicts, and how long each part took, for `Server-Timing` and explain."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass

from shared.model.config import Stage
from shared.pipeline.plan import Group, Step
from shared.pipeline.plugin import Continue, Reject, Verdict


@dataclass(slots=True)
class StepResult:
    """The result of one call of a step.

    Attributes:
        step: the step that was called.
        stage: where it acts.
        verdict: what followed from the call; None until it ends, and for a failed shadow entry.
        fault: why the call failed.
        started: when the call began; 0 where time is not measured.
        seconds: how long the call took; None until it ends, and where time is not measured.
        not_called: the call of an outside service that a dry run did not make.
    """

    step: Step
    stage: Stage
    _: KW_ONLY
    verdict: Verdict | None = None
    fault: str | None = None
    started: float = 0.0
    seconds: float | None = None
    not_called: str | None = None

    def note(self) -> Mapping[str, str] | None:
        """The verdict that a shadow entry would have had, for the log; None if it had changed nothing."""
        if isinstance(self.verdict, Continue):
            return None
        kind = "fault" if self.verdict is None else type(self.verdict).__name__.lower()
        code = {"code": self.verdict.code} if isinstance(self.verdict, Reject) else {}
        return {"plugin": self.step.plugin.name, "stage": self.stage.value, "would": kind, **code}


@dataclass(slots=True)
class TracedGroup:
    """A group that ran. `seconds` is None until it has a verdict."""

    stage: Stage
    group: Group
    seconds: float | None = None


class Trace:
    """The groups and calls of one run, in order. `now` is a monotonic clock, in seconds.

    `is_shown` says whether the client gets the times.
    """

    def __init__(self, now: Callable[[], float], *, is_shown: bool = False) -> None:
        self.groups: list[TracedGroup] = []
        self.now = now
        self.is_shown = is_shown
        self._results: dict[int, StepResult] = {}

    def of(self, step: Step) -> StepResult | None:
        """The result of `step`; None when it did not run."""
        return self._results.get(id(step))

    @property
    def results(self) -> Iterable[StepResult]:
        """The results of all calls so far."""
        return self._results.values()

    async def group(self, stage: Stage, group: Group, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work`, which is that of `group`."""
        traced, start = TracedGroup(stage, group), self.now()
        self.groups.append(traced)
        try:
            await work()
        finally:
            traced.seconds = self.now() - start

    async def call(self, stage: Stage, step: Step, work: Callable[[], Awaitable[object]]) -> object:
        """Run `work`, which calls `step`. Return what it returns."""
        result = self._results[id(step)] = StepResult(step, stage, started=self.now())
        try:
            return await work()
        finally:
            result.seconds = self.now() - result.started

    def judged(self, step: Step, verdict: Verdict, fault: str | None = None) -> None:
        """Note what followed from the call of `step`."""
        result = self._results[id(step)]
        result.verdict, result.fault = verdict, fault

    def not_called(self, step: Step, call: str) -> None:
        """Note the outside call that was not made."""
        self._results[id(step)].not_called = call


def server_timing(trace: Trace) -> str:
    """The value of a ``Server-Timing`` header (W3C): one entry per group, in milliseconds."""
    numbers: dict[Stage, int] = {}
    entries = []
    for traced in trace.groups:
        number = numbers[traced.stage] = numbers.get(traced.stage, 0) + 1
        names = ", ".join(step.plugin.name for step in traced.group.steps)
        entries.append(f'{traced.stage.value}-{number};dur={(traced.seconds or 0) * 1000:.3f};desc="{names}"')
    return ", ".join(entries)


class TraceSampler:
    """Chooses the requests that are traced for their records: the first of each second."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._second = self._taken = 0

    def takes(self, now: float) -> bool:
        """Whether a request that begins `now`, in seconds of a monotonic clock, is traced."""
        second = int(now)
        if second != self._second:
            self._second, self._taken = second, 0
        self._taken += 1
        return self._taken <= self._per_second
