"""The plan of a rule: which plugins run at which stage, in which order, and which at the same time."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from shared.model.config import Stage
from shared.pipeline.plugin import Plugin, ResolvedEntry

#: Origins of entries that no tenant and no rule gets round.
FORCED = ("tier", "required")
# How lenient an entry is to a fault. All but these is closed.
_LENIENCE = {"local": 1, "open": 2}


@dataclass(frozen=True, slots=True)
class Step:
    """One plugin at one stage. `call` takes the exchange and gives a verdict, or an awaitable of one.

    `in_thread` says that the call may block and belongs in a thread, unless the plugin calls it quick.
    `timeout` is in seconds. `entries` are those that the step stands for: one, or all of a combined plugin.
    `starts_stream` says that the call begins to judge a response event by event: it may give an `EventJudge`.
    `adds_headers` says that the plugin has headers for the answer, `has_cleanup` that it has something to
    give back when the exchange is over.
    """

    plugin: Plugin
    call: Callable[..., Any]
    is_async: bool
    in_thread: bool
    timeout: float
    on_error: str
    origin: str
    entries: tuple[ResolvedEntry, ...] = ()
    starts_stream: bool = False
    adds_headers: bool = False
    has_cleanup: bool = False

    @property
    def uses_body(self) -> bool:
        return "body" in self.plugin.reads | self.plugin.changes

    @property
    def may_block(self) -> bool:
        """Whether the call may take time, so that others run meanwhile."""
        return self.is_async or self.in_thread


@dataclass(frozen=True, slots=True)
class Group:
    """Steps that run at the same time and see the same view. A sequential step is a group of one.

    `shadows` begin with the group and see what it sees. They have no say in it, and nobody waits for them.
    """

    steps: tuple[Step, ...]
    shadows: tuple[Step, ...] = ()

    @property
    def uses_body(self) -> bool:
        return any(step.uses_body for step in self.steps)


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs for a rule. Empty stages are absent and cost nothing.

    `head` are the leading groups of `pre_request` that need the head alone: they run before the body is
    read. `stages` holds the rest, in order. `opening` stands in for `pre_response` when an answer is passed
    on event by event. `buffers` says that every answer must be whole before it is sent, `judges_bodies` that
    those which are no streams must be, `events_in_place` that nobody waits while a stream is judged.
    `sees_responses` says that some plugin looks at answers or adds to their heads.
    """

    head: tuple[Group, ...] = ()
    stages: Mapping[Stage, tuple[Group, ...]] = field(default_factory=dict)
    opening: tuple[Group, ...] = ()
    buffers: bool = False
    judges_bodies: bool = False
    events_in_place: bool = True
    sees_responses: bool = False

    @property
    def judges_events(self) -> bool:
        """Whether streamed answers are judged while they pass."""
        return self.judges_bodies and not self.buffers

    @property
    def is_empty(self) -> bool:
        """Whether an exchange passes without anybody looking at it."""
        return not self.head and not self.stages and not self.buffers


def make_plan(entries: Sequence[ResolvedEntry], *, buffer_streams: bool) -> Plan:
    """Order `entries` (in chain order: tier, required, tenant, rule) into stages and groups.

    Forced entries stand before all others on the way out, and after all others in `pre_response`.
    All entries of a combined plugin become one step where the first of them stands. Entries in shadow mode
    stand where they would act, and change nothing about the others.
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
    adds_headers = any(_adds_headers(entry.plugin) for entry in entries if not entry.is_shadow)
    return Plan(
        outgoing[:cut],
        stages,
        opening=() if needs_whole else tuple(_opening(group) for group in before_sending),
        buffers=buffer_streams or needs_whole,
        judges_bodies=bool(judging),
        events_in_place=all(step.plugin.events_in_place for step in judging),
        sees_responses=adds_headers or bool(stages.keys() & {Stage.POST_REQUEST, Stage.PRE_RESPONSE}),
    )


def _groups(stage: Stage, entries: Sequence[ResolvedEntry]) -> tuple[Group, ...]:
    forced = [entry for entry in entries if entry.origin in FORCED]
    others = [entry for entry in entries if entry.origin not in FORCED]
    parts = (others, forced) if stage is Stage.PRE_RESPONSE else (forced, others)
    ordered = [group for part in parts for group in _in_order(part)]
    return tuple(_steps(stage, ordered))


def _in_order(entries: Sequence[ResolvedEntry]) -> Iterable[tuple[ResolvedEntry, ...]]:
    """Groups by priority: in each the sequential entries one by one, then the parallel ones together."""
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
    """All of them where the first that acts stands; None elsewhere. Shadows see what those that act see."""
    acting = [entry for entry in entries if not entry.is_shadow]
    shadows = [entry for entry in entries if entry.is_shadow]
    if here is not (acting or shadows)[0]:
        return None
    steps = [(_step(stage, kind.merge(some), some),) if some else () for some in (acting, shadows)]
    return Group(*steps)


def _step(stage: Stage, plugin: Plugin, entries: Sequence[ResolvedEntry]) -> Step:
    """The strictest of the entries decides what happens on a fault, and how long the step may take."""
    call = getattr(plugin, stage.value)
    return Step(
        plugin=plugin,
        call=call,
        is_async=inspect.iscoroutinefunction(call),
        in_thread=plugin.blocking and not inspect.iscoroutinefunction(call),
        timeout=min(entry.timeout for entry in entries),
        on_error=min((entry.on_error for entry in entries), key=lambda given: _LENIENCE.get(given, 0)),
        origin=entries[0].origin,
        entries=tuple(entries),
        adds_headers=_adds_headers(plugin),
        has_cleanup=plugin.has_cleanup and type(plugin).cleanup is not Plugin.cleanup,
    )


def _adds_headers(plugin: Plugin) -> bool:
    return type(plugin).response_headers is not Plugin.response_headers


def _opening(group: Group) -> Group:
    """The same group at a streamed answer: who uses bodies begins to judge its events."""
    return replace(group, steps=tuple(_opened(step) if step.uses_body else step for step in group.steps))


def _opened(step: Step) -> Step:
    call = step.plugin.pre_response_events  # type: ignore[attr-defined]  # needs_whole_body has looked
    is_async = inspect.iscoroutinefunction(call)
    in_thread = step.plugin.blocking and not step.plugin.events_in_place and not is_async
    return replace(step, call=call, is_async=is_async, in_thread=in_thread, starts_stream=True)
