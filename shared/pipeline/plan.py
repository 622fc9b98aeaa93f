"""The plan of a rule: which plugins run at which stage, in which order, and which run together."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from typing import Any

from shared.metrics.registry import Value
from shared.model.config import Stage
from shared.pipeline.plugin import Plugin, ResolvedEntry, Tools

#: Origins of entries that no entry of a tenant or rule can bypass.
FORCED = ("tier", "required")
# How lenient an entry is to a fault. Every other value means closed.
_LENIENCE = {"local": 1, "open": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One plugin at one stage.

    Attributes:
        plugin: the plugin.
        call: its method: takes the exchange, returns a verdict or an awaitable of one.
        is_async: the call returns an awaitable.
        in_thread: the call may block and runs in a thread, unless the plugin says that it is quick.
        timeout: the longest that the call may take, in seconds.
        on_error: what happens on a fault.
        origin: the origin of its first entry.
        entries: the entries of the step: one, or all of a plugin that merges them.
        in_task: the call is awaited in the task of the exchange (`Plugin.own_task`).
        starts_stream: the call opens a streamed response and may return an `EventJudge`.
        adds_headers: the plugin has headers for the response.
        has_cleanup: the plugin has something to release at the end.
        cleans_in_place: it may do so without a wait.
        counts: what was counted of its verdicts, see `shared.pipeline.counts`.
    """

    plugin: Plugin
    call: Callable[..., Any]
    is_async: bool
    in_thread: bool
    timeout: float
    on_error: str
    origin: str
    entries: tuple[ResolvedEntry, ...] = ()
    in_task: bool = False
    starts_stream: bool = False
    adds_headers: bool = False
    has_cleanup: bool = False
    cleans_in_place: bool = False
    counts: dict[object, Value] = field(default_factory=dict, repr=False, compare=False)

    @property
    def uses_body(self) -> bool:
        return "body" in self.plugin.reads | self.plugin.changes

    @property
    def may_block(self) -> bool:
        """Whether the call may take time, in which others run."""
        return self.is_async or self.in_thread


@dataclass(frozen=True, slots=True)
class Group:
    """Steps that run at the same time and get the same exchange. A sequential step is a group of one.

    `shadows` start with the group and get what it gets. They never act, and are not awaited. `alone` is the
    step of a group that has nothing else.
    """

    steps: tuple[Step, ...]
    shadows: tuple[Step, ...] = ()
    alone: Step | None = field(init=False)

    def __post_init__(self) -> None:
        is_alone = len(self.steps) == 1 and not self.shadows
        object.__setattr__(self, "alone", self.steps[0] if is_alone else None)

    @property
    def uses_body(self) -> bool:
        return any(step.uses_body for step in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plugins that run for a rule. Empty stages are absent and cost nothing.

    Attributes:
        head: the leading groups of pre_request that need no body; they run before it is read.
        stages: all other groups by stage, in order.
        groups: the same, with each stage.
        opening: the groups of pre_response for a response that is judged event by event.
        buffers: every response must be whole before it is sent.
        judges_bodies: every response that is not a stream must be whole before it is sent.
        events_in_place: no judge of a stream is ever awaited.
        has_forced: an entry is forced (`FORCED`).
        adds_headers: a plugin adds headers to responses.
        judges_responses: a plugin reads responses.
        has_end: something runs after the response: post_response, or a cleanup.
        needs_request: the body of a request must be whole before it is forwarded: an entry of any stage, also
            one in shadow mode, uses bodies.
    """

    head: tuple[Group, ...] = ()
    stages: Mapping[Stage, tuple[Group, ...]] = field(default_factory=dict)
    opening: tuple[Group, ...] = ()
    buffers: bool = False
    judges_bodies: bool = False
    events_in_place: bool = True
    has_forced: bool = False
    adds_headers: bool = False
    judges_responses: bool = False
    has_end: bool = False
    needs_request: bool = False
    groups: Mapping[Stage, tuple[Group, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", {stage: self.stages.get(stage, ()) for stage in Stage})

    @property
    def judges_events(self) -> bool:
        """Whether streamed responses are judged while they pass."""
        return self.judges_bodies and not self.buffers

    def start(self, tools: Tools) -> None:
        """Give the plugins their tools, before the first exchange. Those in shadow mode have no effect."""
        for group in (*self.head, *chain.from_iterable(self.stages.values())):
            for step in group.steps:
                step.plugin.start(tools)
            for step in group.shadows:
                step.plugin.start(tools.dry())

    @property
    def is_empty(self) -> bool:
        """Whether no plugin runs."""
        return not self.head and not self.stages and not self.buffers


def make_plan(entries: Sequence[ResolvedEntry], *, buffer_streams: bool) -> Plan:
    """Order `entries` (in chain order: tier, required, tenant, rule) into stages and groups.

    Forced entries run before all others, and in `pre_response` after all others. All entries of a plugin
    that merges them become one step, at the place of the first. Shadow entries keep their places, and change
    nothing for the others.
    """
    stages = {}
    for stage in Stage:
        at_stage = [entry for entry in entries if entry.stage is stage]
        if at_stage:
            stages[stage] = _groups(stage, at_stage)
    outgoing = stages.pop(Stage.PRE_REQUEST, ())
    cut = next((i for i, group in enumerate(outgoing) if group.uses_body), len(outgoing))
    if outgoing[cut:]:
        stages[Stage.PRE_REQUEST] = outgoing[cut:]
    before_sending = stages.get(Stage.PRE_RESPONSE, ())
    judging = [step for group in before_sending for step in group.steps if step.uses_body]
    needs_whole = any(step.plugin.needs_whole_body() for step in judging)
    every = (*outgoing, *chain.from_iterable(stages.values()))
    steps = [step for group in every for step in group.steps]
    return Plan(
        head=outgoing[:cut],
        stages=stages,
        opening=() if needs_whole else tuple(_opening(group) for group in before_sending),
        buffers=buffer_streams or needs_whole,
        judges_bodies=bool(judging),
        events_in_place=all(step.plugin.events_in_place for step in judging),
        has_forced=any(entry.origin in FORCED for entry in entries),
        adds_headers=any(step.adds_headers for step in steps),
        judges_responses=bool(stages.keys() - {Stage.PRE_REQUEST}) or any(_reads_end(step) for step in steps),
        has_end=Stage.POST_RESPONSE in stages or any(step.has_cleanup for step in steps),
        needs_request=any(_uses_body(group) for group in every),
    )


def _reads_end(step: Step) -> bool:
    return step.plugin.reads_response and (step.adds_headers or step.has_cleanup)


def _uses_body(group: Group) -> bool:
    return any(step.uses_body for step in (*group.steps, *group.shadows))


def _groups(stage: Stage, entries: Sequence[ResolvedEntry]) -> tuple[Group, ...]:
    forced = [entry for entry in entries if entry.origin in FORCED]
    others = [entry for entry in entries if entry.origin not in FORCED]
    parts = (others, forced) if stage is Stage.PRE_RESPONSE else (forced, others)
    ordered = [group for part in parts for group in _in_order(part)]
    return tuple(_steps(stage, ordered))


def _in_order(entries: Sequence[ResolvedEntry]) -> Iterable[tuple[ResolvedEntry, ...]]:
    """By priority: first the sequential entries one by one, then the parallel ones together."""
    by_priority = sorted(entries, key=lambda entry: entry.priority)
    for _, same in groupby(by_priority, key=lambda entry: entry.priority):
        members = list(same)
        yield from ((entry,) for entry in members if not entry.parallel)
        if parallel := tuple(entry for entry in members if entry.parallel):
            yield parallel


def _steps(stage: Stage, ordered: Iterable[tuple[ResolvedEntry, ...]]) -> Iterable[Group]:
    ordered = list(ordered)
    together: dict[type[Plugin], list[ResolvedEntry]] = {}
    for members in ordered:
        for entry in members:
            if entry.plugin.merges_entries:
                together.setdefault(type(entry.plugin), []).append(entry)
    for members in ordered:
        kind = type(members[0].plugin)
        if not kind.merges_entries:
            yield _group(members, lambda entry: _step(stage, entry.plugin, [entry]))
        elif group := _merged(stage, kind, together[kind], members[0]):
            yield group


def _group(members: Sequence[ResolvedEntry], step: Callable[[ResolvedEntry], Step]) -> Group:
    return Group(
        tuple(step(entry) for entry in members if not entry.is_shadow),
        tuple(step(entry) for entry in members if entry.is_shadow),
    )


def _merged(
    stage: Stage, kind: type[Plugin], entries: Sequence[ResolvedEntry], here: ResolvedEntry
) -> Group | None:
    """The group of all entries at the place of the first that acts; None at the other places."""
    acting = [entry for entry in entries if not entry.is_shadow]
    shadows = [entry for entry in entries if entry.is_shadow]
    if here is not (acting or shadows)[0]:
        return None
    steps = [(_step(stage, kind.merge(some), some),) if some else () for some in (acting, shadows)]
    return Group(*steps)


def _step(stage: Stage, plugin: Plugin, entries: Sequence[ResolvedEntry]) -> Step:
    """One step for `entries`, with the strictest `on_error` and the shortest timeout of them."""
    call = getattr(plugin, stage.value)
    is_async = inspect.iscoroutinefunction(call)
    return Step(
        plugin=plugin,
        call=call,
        is_async=is_async,
        in_thread=plugin.blocking and not is_async,
        in_task=is_async and not plugin.own_task,
        timeout=min(entry.timeout for entry in entries),
        on_error=min((entry.on_error for entry in entries), key=lambda given: _LENIENCE.get(given, 0)),
        origin=entries[0].origin,
        entries=tuple(entries),
        adds_headers=plugin.adds_headers and type(plugin).response_headers is not Plugin.response_headers,
        has_cleanup=plugin.has_cleanup and type(plugin).cleanup is not Plugin.cleanup,
        cleans_in_place=not inspect.iscoroutinefunction(plugin.cleanup),
    )


def _opening(group: Group) -> Group:
    """The same group for a streamed response: steps that use bodies open their judges."""
    return replace(group, steps=tuple(_opened(step) if step.uses_body else step for step in group.steps))


def _opened(step: Step) -> Step:
    call = step.plugin.pre_response_events  # type: ignore[attr-defined]  # needs_whole_body has checked this
    is_async = inspect.iscoroutinefunction(call)
    in_thread = step.plugin.blocking and not step.plugin.events_in_place and not is_async
    in_task = is_async and not step.plugin.own_task
    return replace(
        step, call=call, is_async=is_async, in_thread=in_thread, in_task=in_task, starts_stream=True
    )
