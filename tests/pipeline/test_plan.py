"""The order in which plugins run, and which run together."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.config import Stage
from shared.pipeline import Group, Plan, Step, make_plan
from shared.pipeline.plugin import CONTINUE, Exchange, Plugin, ResolvedEntry, Verdict
from tests.pipeline.judges import ActiveJudge, JudgingAsync, JudgingInThread
from tests.pipeline.world import Acting, ActingAsync, ActingInPlace, entry

HEAD_ONLY = frozenset({"headers"})


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
    assert make_plan([], buffer_streams=False) == Plan()
    assert Plan().is_empty
    assert not make_plan([], buffer_streams=True).is_empty
    assert not make_plan([entry(Acting(), is_shadow=True)], buffer_streams=False).is_empty


def test_sequential_entries_of_a_priority_run_before_its_parallel_ones() -> None:
    a, b, c, d, e = (Acting() for _ in range(5))
    chain = [
        entry(a, parallel=True),
        entry(b),
        entry(c, parallel=True),
        entry(d, priority=5, parallel=True),
        entry(e),
    ]
    plan = make_plan(chain, buffer_streams=False)
    assert plugins_of(groups_at(plan, Stage.PRE_REQUEST)) == [[d], [b], [e], [a, c]]


@pytest.mark.parametrize(
    ("stage", "forced_first"),
    [
        (Stage.PRE_REQUEST, True),
        (Stage.POST_REQUEST, True),
        (Stage.PRE_RESPONSE, False),
        (Stage.POST_RESPONSE, True),
    ],
)
@pytest.mark.parametrize("origin", ["tier", "required"])
def test_no_priority_gets_an_entry_round_what_is_required(
    stage: Stage, forced_first: bool, origin: str
) -> None:
    required, tenants, rules = Acting(), Acting(), Acting()
    chain = [
        entry(required, stage, origin=origin, priority=999, parallel=True),
        entry(tenants, stage, origin="tenant", priority=0),
        entry(rules, stage, origin="rule", priority=999, parallel=True),
    ]
    order = [[required], [tenants], [rules]] if forced_first else [[tenants], [rules], [required]]
    assert plugins_of(groups_at(make_plan(chain, buffer_streams=False), stage)) == order


def test_a_plugin_in_two_chains_runs_twice() -> None:
    same = Acting()
    plan = make_plan([entry(same, origin="required"), entry(same), entry(same)], buffer_streams=False)
    assert plugins_of(groups_at(plan, Stage.PRE_REQUEST)) == [[same], [same], [same]]


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
def test_any_two_entries_stand_to_each_other_as_the_rules_say(rows: list[Any]) -> None:
    chain = [
        entry(Acting(), stage, origin=origin, priority=priority, parallel=parallel)
        for stage, origin, priority, parallel, _ in rows
    ]
    plan = make_plan(chain, buffer_streams=False)
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
def test_the_entries_of_a_combined_plugin_are_one_step_where_the_first_of_them_stands(
    rows: list[Any],
) -> None:
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
    plan, apart = make_plan(chain, buffer_streams=False), make_plan(apart_chain, buffer_streams=False)
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
    chain = [
        entry(Together(), timeout=2.0, on_error="open", origin="tenant"),
        entry(Together(), timeout=0.5, on_error="closed"),
        entry(Together(), timeout=1.0, on_error="open"),
    ]
    step = only_step(make_plan(chain, buffer_streams=False))
    assert (step.timeout, step.on_error, step.origin) == (0.5, "closed", "tenant")
    assert only_step(make_plan([chain[0], chain[2]], buffer_streams=False)).on_error == "open"
    local = entry(Together(), on_error="local")
    assert only_step(make_plan([chain[0], local], buffer_streams=False)).on_error == "local"
    assert only_step(make_plan([local, chain[1]], buffer_streams=False)).on_error == "closed"


@pytest.mark.parametrize(
    ("plugin", "in_thread", "is_async"),
    [
        (Acting(), True, False),
        (ActingInPlace(), False, False),
        (ActingAsync(lambda _: CONTINUE), False, True),
    ],
)
def test_only_calls_that_may_block_occupy_threads(plugin: Plugin, in_thread: bool, is_async: bool) -> None:
    step = only_step(make_plan([entry(plugin)], buffer_streams=False))
    assert (step.in_thread, step.is_async) == (in_thread, is_async)


def test_an_instance_may_say_that_it_does_not_block() -> None:
    plugin = Acting()
    plugin.blocking = False
    assert not only_step(make_plan([entry(plugin)], buffer_streams=False)).in_thread


class Reading(Plugin):
    """Reads and changes what a test says."""

    def __init__(self, reads: str = "", changes: str = "") -> None:
        self.reads, self.changes = frozenset(reads.split()), frozenset(changes.split())

    def pre_request(self, exchange: Exchange) -> Verdict:
        return CONTINUE

    post_request = pre_response = post_response = pre_request


def test_the_leading_groups_that_need_only_the_head_run_before_the_body_is_read() -> None:
    a, b, c, d = Reading("headers"), Reading(), Reading("headers body"), Reading("headers")
    plan = make_plan([entry(one) for one in (a, b, c, d)], buffer_streams=False)
    assert plugins_of(plan.head) == [[a], [b]]
    assert plugins_of(plan.stages[Stage.PRE_REQUEST]) == [[c], [d]]


def test_one_that_only_writes_the_body_waits_for_it_too() -> None:
    plan = make_plan([entry(Reading("headers", "body"))], buffer_streams=False)
    assert plan.head == ()


def test_a_parallel_group_waits_for_the_body_as_one() -> None:
    a, b = Reading("headers"), Reading("body")
    plan = make_plan([entry(a, parallel=True), entry(b, parallel=True)], buffer_streams=False)
    assert plan.head == ()
    assert plugins_of(plan.stages[Stage.PRE_REQUEST]) == [[a, b]]


def test_a_chain_that_needs_no_body_leaves_nothing_for_later() -> None:
    plan = make_plan([entry(Reading("headers"))], buffer_streams=False)
    assert Stage.PRE_REQUEST not in plan.stages


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.booleans()), max_size=8))
def test_the_head_never_changes_the_order(rows: list[tuple[bool, int, bool]]) -> None:
    chain = [
        entry(Reading("headers body" if body else "headers"), priority=priority, parallel=parallel)
        for body, priority, parallel in rows
    ]
    blind = [entry(Reading("body"), priority=one.priority, parallel=one.parallel) for one in chain]
    plan, whole = make_plan(chain, buffer_streams=False), make_plan(blind, buffer_streams=False)
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
def test_an_answer_is_buffered_for_those_who_need_it_whole(
    reads: str, changes: str, stage: Stage, buffer_streams: bool, buffers: bool
) -> None:
    plan = make_plan([entry(Reading(reads, changes), stage)], buffer_streams=buffer_streams)
    assert plan.buffers is buffers


def test_who_judges_events_has_whole_answers_collected_and_lets_streams_pass() -> None:
    judging, head_only = ActiveJudge(lambda _: CONTINUE), Reading("headers")
    chain = [entry(judging, Stage.PRE_RESPONSE), entry(head_only, Stage.PRE_RESPONSE)]
    plan = make_plan(chain, buffer_streams=False)
    assert (plan.buffers, plan.judges_bodies, plan.events_in_place) == (False, True, True)
    assert plugins_of(plan.opening) == [[judging], [head_only]]
    assert [step.starts_stream for group in plan.opening for step in group.steps] == [True, False]
    assert make_plan(chain, buffer_streams=True).buffers


def test_one_that_needs_the_whole_answer_has_streams_collected_for_all() -> None:
    chain = [
        entry(ActiveJudge(lambda _: CONTINUE), Stage.PRE_RESPONSE),
        entry(Reading("body"), Stage.PRE_RESPONSE),
    ]
    plan = make_plan(chain, buffer_streams=False)
    assert (plan.buffers, plan.opening) == (True, ())


@pytest.mark.parametrize(
    ("kind", "is_async", "in_thread"),
    [(ActiveJudge, False, False), (JudgingInThread, False, True), (JudgingAsync, True, False)],
)
def test_a_stream_is_opened_where_its_judge_says(
    kind: type[ActiveJudge], is_async: bool, in_thread: bool
) -> None:
    plan = make_plan([entry(kind(lambda _: CONTINUE), Stage.PRE_RESPONSE)], buffer_streams=False)
    ((step,),) = [group.steps for group in plan.opening]
    assert (step.is_async, step.in_thread) == (is_async, in_thread)
    assert plan.events_in_place is not (is_async or in_thread)
