"""The order in which plugins run, and which run together."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.config import Stage
from shared.pipeline.plan import Group, Plan, Step, make_plan
from shared.pipeline.plugin import CONTINUE, Plugin, ResolvedEntry
from tests.pipeline.world import (
    Acting,
    ActingAsync,
    ActingInPlace,
    ActiveJudge,
    JudgingAsync,
    JudgingInThread,
    Reading,
    entry,
    plan_of,
)


class Together(Acting):
    """All entries of it are one step, which knows them."""

    name = "together"
    merges_entries = True
    entries: Sequence[ResolvedEntry] = ()

    @classmethod
    def merge(cls, entries: Sequence[ResolvedEntry]) -> "Together":
        made = cls()
        made.entries = tuple(entries)
        made.reads = frozenset().union(*(one.plugin.reads for one in entries))
        return made


def groups_at(plan: Plan, stage: Stage) -> tuple[Group, ...]:
    return (plan.head if stage is Stage.PRE_REQUEST else ()) + plan.stages.get(stage, ())


def plugins_of(groups: Sequence[Group]) -> list[list[Plugin]]:
    return [[step.plugin for step in group.steps] for group in groups]


def only_step(plan: Plan, stage: Stage = Stage.PRE_REQUEST) -> Step:
    ((step,),) = [group.steps for group in groups_at(plan, stage)]
    return step


def test_an_empty_chain_is_an_empty_plan() -> None:
    assert plan_of() == Plan()
    assert Plan().is_empty
    assert not make_plan([], buffer_streams=True).is_empty
    assert not plan_of(entry(Acting(), is_shadow=True)).is_empty


@pytest.mark.parametrize("is_shadow", [False, True])
@pytest.mark.parametrize("stage", list(Stage))
def test_plan_needs_requests_if_an_entry_of_any_stage_uses_bodies(stage: Stage, is_shadow: bool) -> None:
    light = entry(Reading("headers", "headers"), stage, is_shadow=is_shadow)
    assert not plan_of().needs_request
    assert not plan_of(light).needs_request
    for plugin in (Reading("body"), Reading("headers", "body")):
        assert plan_of(light, entry(plugin, stage, is_shadow=is_shadow)).needs_request


def test_entries_that_share_a_plugin_are_steps_of_their_own() -> None:
    a = Acting()
    plan = plan_of(entry(a, origin="required"), entry(a), entry(a))
    assert plugins_of(groups_at(plan, Stage.PRE_REQUEST)) == [[a], [a], [a]]


ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(list(Stage)),
        st.sampled_from(["tier", "required", "tenant", "rule"]),
        st.sampled_from([-1, 0, 1, 100]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=12,
).map(lambda rows: sorted(rows, key=lambda row: ["tier", "required", "tenant", "rule"].index(row[1])))


@given(ENTRIES)
def test_plan_orders_any_two_entries_by_origin_priority_and_parallel(rows: list[Any]) -> None:
    chain = [
        entry(Acting(), stage, origin=origin, priority=priority, parallel=parallel)
        for stage, origin, priority, parallel, _ in rows
    ]
    plan = plan_of(*chain)
    for stage in Stage:
        place = {
            id(step.plugin): (number, at)
            for number, group in enumerate(groups_at(plan, stage))
            for at, step in enumerate(group.steps)
        }
        here = [one for one in chain if one.stage is stage]
        assert set(place) == {id(one.plugin) for one in here}
        for first, second in combinations(here, 2):
            (one, at), (two, behind) = place[id(first.plugin)], place[id(second.plugin)]
            forced = [item.origin in ("tier", "required") for item in (first, second)]
            if forced[0] is not forced[1]:
                assert (one < two) is (forced[0] is not (stage is Stage.PRE_RESPONSE))
                assert one != two
            elif first.priority != second.priority:
                assert (one < two) is (first.priority < second.priority)
                assert one != two
            elif first.parallel and second.parallel:
                assert one == two
                assert at < behind
            elif first.parallel or second.parallel:
                assert (one < two) is second.parallel
                assert one != two
            else:
                assert one < two


@given(ENTRIES)
def test_the_entries_of_a_combined_plugin_are_one_step_at_the_first(rows: list[Any]) -> None:
    chain = [
        entry(
            Together() if merges_entries else Acting(),
            stage,
            origin=origin,
            priority=priority,
            parallel=parallel and not merges_entries,
        )
        for stage, origin, priority, parallel, merges_entries in rows
    ]

    apart_chain = []
    for one in chain:
        plugin = Acting(called=str(id(one.plugin))) if isinstance(one.plugin, Together) else one.plugin
        apart_chain.append(
            entry(plugin, one.stage, origin=one.origin, priority=one.priority, parallel=one.parallel)
        )
    names = {str(id(one.plugin)): one for one in chain}
    plan, apart = plan_of(*chain), plan_of(*apart_chain)
    for stage in Stage:
        expected: list[list[object]] = []
        together: list[ResolvedEntry] = []
        for group in plugins_of(groups_at(apart, stage)):
            (first, *_) = group
            if first.name not in names:
                expected.append([id(plugin) for plugin in group])
                continue
            if not together:
                expected.append(["together"])
            together.append(names[first.name])
        seen: list[list[object]] = []
        for group in plugins_of(groups_at(plan, stage)):
            (first, *_) = group
            seen.append(["together"] if isinstance(first, Together) else [id(plugin) for plugin in group])
            if isinstance(first, Together):
                assert list(first.entries) == together
        assert seen == expected


def test_the_strictest_of_combined_entries_counts() -> None:
    opened = entry(Together(), timeout=2.0, on_error="open", origin="tenant")
    closed = entry(Together(), timeout=0.5, on_error="closed")
    step = only_step(plan_of(opened, closed, entry(Together(), timeout=1.0, on_error="open")))
    assert (step.timeout, step.on_error, step.origin) == (0.5, "closed", "tenant")
    local, other = (entry(Together(), on_error=on_error) for on_error in ("local", "open"))
    found = [
        only_step(plan_of(*pair)).on_error for pair in ((opened, other), (opened, local), (local, closed))
    ]
    assert found == ["open", "local", "closed"]


class Unblocking(Acting):
    """Says of each instance that it does not block."""

    def __init__(self) -> None:
        super().__init__()
        self.blocking = False


@pytest.mark.parametrize(
    ("plugin", "in_thread", "is_async"),
    [
        (Acting(), True, False),
        (ActingInPlace(), False, False),
        (Unblocking(), False, False),
        (ActingAsync(lambda _: CONTINUE), False, True),
    ],
)
def test_only_calls_that_may_block_occupy_threads(plugin: Plugin, in_thread: bool, is_async: bool) -> None:
    step = only_step(plan_of(entry(plugin)))
    assert (step.in_thread, step.is_async) == (in_thread, is_async)


A, B, C, D = Reading("headers"), Reading(), Reading("headers body"), Reading("headers")
WRITER = Reading("headers", "body")


@pytest.mark.parametrize(
    ("group", "parallel", "head", "rest"),
    [
        ([A, B, C, D], False, [[A], [B]], [[C], [D]]),
        ([WRITER], False, [], [[WRITER]]),
        ([A, C], True, [], [[A, C]]),
        ([A], False, [[A]], None),
    ],
    ids=["leading groups", "one that only writes the body", "a parallel group as one", "no body"],
)
def test_the_leading_groups_that_need_only_the_head_run_before_the_body_is_read(
    group: list[Plugin], parallel: bool, head: list[list[Plugin]], rest: list[list[Plugin]] | None
) -> None:
    plan = plan_of(*(entry(one, parallel=parallel) for one in group))
    assert plugins_of(plan.head) == head
    later = plan.stages.get(Stage.PRE_REQUEST)
    assert (None if later is None else plugins_of(later)) == rest


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.booleans()), max_size=8))
def test_the_head_never_changes_the_order(rows: list[tuple[bool, int, bool]]) -> None:
    chain = [
        entry(Reading("headers body" if body else "headers"), priority=priority, parallel=parallel)
        for body, priority, parallel in rows
    ]
    blind = [entry(Reading("body"), priority=one.priority, parallel=one.parallel) for one in chain]
    plan, whole = plan_of(*chain), plan_of(*blind)
    number = {id(one.plugin): i for one, i in zip(chain, range(len(chain)), strict=True)}
    number |= {id(one.plugin): i for one, i in zip(blind, range(len(chain)), strict=True)}

    def numbers(plan: Plan) -> list[list[int]]:
        return [[number[id(p)] for p in group] for group in plugins_of(groups_at(plan, Stage.PRE_REQUEST))]

    assert numbers(plan) == numbers(whole)
    assert all("body" not in step.plugin.reads for group in plan.head for step in group.steps)
    if rest := plan.stages.get(Stage.PRE_REQUEST):
        assert rest[0].uses_body


@pytest.mark.parametrize(
    ("reads", "changes", "stage", "buffer_streams", "buffers"),
    [
        ("headers", "", Stage.PRE_RESPONSE, False, False),
        ("headers body", "", Stage.PRE_RESPONSE, False, True),
        ("headers", "body", Stage.PRE_RESPONSE, False, True),
        ("headers body", "", Stage.POST_REQUEST, False, False),
        ("headers body", "", Stage.PRE_REQUEST, False, False),
        ("headers", "", Stage.PRE_REQUEST, True, True),
    ],
)
def test_a_response_is_buffered(
    reads: str, changes: str, stage: Stage, buffer_streams: bool, buffers: bool
) -> None:
    plan = make_plan([entry(Reading(reads, changes), stage)], buffer_streams=buffer_streams)
    assert plan.buffers is buffers


def test_plan_with_an_event_judge_judges_streams_in_place() -> None:
    judging, head_only = ActiveJudge(lambda _: CONTINUE), Reading("headers")
    chain = [entry(judging, Stage.PRE_RESPONSE), entry(head_only, Stage.PRE_RESPONSE)]
    plan = plan_of(*chain)
    assert (plan.buffers, plan.judges_bodies, plan.events_in_place) == (False, True, True)
    assert plugins_of(plan.opening) == [[judging], [head_only]]
    assert [step.starts_stream for group in plan.opening for step in group.steps] == [True, False]
    assert make_plan(chain, buffer_streams=True).buffers


def test_plan_with_a_plugin_that_needs_whole_responses_buffers_streams() -> None:
    chain = [
        entry(ActiveJudge(lambda _: CONTINUE), Stage.PRE_RESPONSE),
        entry(Reading("body"), Stage.PRE_RESPONSE),
    ]
    plan = plan_of(*chain)
    assert (plan.buffers, plan.opening) == (True, ())


@pytest.mark.parametrize(
    ("kind", "is_async", "in_thread"),
    [(ActiveJudge, False, False), (JudgingInThread, False, True), (JudgingAsync, True, False)],
)
def test_a_judge_opens_streams_as_it_says(kind: type[ActiveJudge], is_async: bool, in_thread: bool) -> None:
    plan = plan_of(entry(kind(lambda _: CONTINUE), Stage.PRE_RESPONSE))
    ((step,),) = [group.steps for group in plan.opening]
    assert (step.is_async, step.in_thread) == (is_async, in_thread)
    assert plan.events_in_place is not (is_async or in_thread)


@pytest.mark.parametrize("stage", Stage)
def test_plan_of_a_plugin_sees_responses_unless_it_acts_on_requests_only(stage: Stage) -> None:
    """An entry at post_response gets the status and headers of the response, in the proxy as in explain."""
    plan = make_plan([entry(Acting(), stage)], buffer_streams=False)
    assert plan.judges_responses == (stage is not Stage.PRE_REQUEST)
