"""Entries in shadow mode say what they would have done, and nobody else notices them."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.config import Stage
from shared.model.messages import Exchange, Response
from shared.pipeline.plugin import CONTINUE, Continue, Patch, Plugin, Reject, ResolvedEntry, Respond, Verdict
from shared.pipeline.run import Run
from tests.pipeline.stagehand import Stagehand, quiet, run_loop, run_of
from tests.pipeline.stagehand import after as all_over
from tests.pipeline.test_plan import Together, groups_at
from tests.pipeline.test_run_order import Role, casts
from tests.pipeline.world import Acting, ActingAsync, ActingInPlace, FollowingUp, entry, exchange, plan_of

NO = Reject(403, "no", "No.")
HEAD_ONLY = frozenset({"headers"})


def shadow(plugin: Plugin, stage: Stage = Stage.PRE_REQUEST, **more: Any) -> ResolvedEntry:
    return entry(plugin, stage, is_shadow=True, **more)


def says(verdict: Verdict, reads: frozenset[str] = frozenset()) -> ActingInPlace:
    plugin = ActingInPlace(lambda _: verdict)
    plugin.reads = plugin.changes = reads
    return plugin


def after(*chain: ResolvedEntry, response: Response | None = None) -> Run:
    """The exchange when all is over."""
    with ThreadPoolExecutor(1) as pool:
        return all_over(*chain, pool=pool, response=response or Response(200, body=b"{}"))


def notes(run: Run) -> list[Any]:
    assert run.shadows is not None
    return [result.note() for result in run.shadows.results]


class TestNotes:
    @pytest.mark.parametrize(
        ("verdict", "note"),
        [
            (NO, {"would": "reject", "code": "no"}),
            (Respond(Response(200)), {"would": "respond"}),
            (Patch(), {"would": "patch"}),
            ("junk", {"would": "fault"}),
            (CONTINUE, None),
        ],
    )
    @pytest.mark.parametrize("kind", [Acting, ActingInPlace])
    def test_a_shadow_only_notes(
        self, kind: Callable[[Any], Plugin], verdict: Any, note: dict[str, str] | None
    ) -> None:
        plugin = kind(lambda _: verdict)
        run = after(shadow(plugin))
        assert notes(run) == [note and {"plugin": plugin.name, "stage": "pre_request", **note}]
        assert (run.rejection, run.responded, run.faults) == (None, None, [])
        assert run.exchange.request == exchange().request

    def test_a_chain_without_any_has_none(self) -> None:
        assert after(entry(says(CONTINUE))).shadows is None

    def test_notes_of_a_shadow_are_separate_from_the_enforced_entry(self) -> None:
        seen = []

        def look(seen_by: str) -> Callable[[Exchange], Verdict]:
            def act(view: Exchange) -> Verdict:
                seen.append((seen_by, dict(view.notes)))
                return Continue({seen_by: 1})

            return act

        chain = [
            make(ActingInPlace(look(name)), stage)
            for stage in (Stage.PRE_REQUEST, Stage.POST_REQUEST)
            for name, make in (("acting", entry), ("shadow", shadow))
        ]
        after(*chain)
        assert sorted(seen[2:]) == [("acting", {"acting": 1}), ("shadow", {"shadow": 1})]


class TestFaults:
    def test_fault_of_a_shadow_is_logged_as_in_shadow_mode(self, caplog: pytest.LogCaptureFixture) -> None:
        def boom(_: Exchange) -> Verdict:
            raise SystemExit("no")

        with caplog.at_level(logging.WARNING):
            run = after(shadow(ActingInPlace(boom)))
        assert run.faults == []
        [result] = run.shadows.results if run.shadows else []
        assert result.fault == "SystemExit: no"
        assert "in shadow mode" in caplog.text

    def test_shadow_that_exceeds_its_timeout_is_a_fault(self) -> None:
        async def ever(_: Exchange) -> Verdict:
            await asyncio.Event().wait()
            return CONTINUE

        run = after(shadow(ActingAsync(ever), timeout=0.01))
        assert notes(run) == [{"plugin": "acting_async", "stage": "pre_request", "would": "fault"}]

    def test_fault_in_the_cleanup_of_a_shadow_is_recorded(self) -> None:
        def boom(_: Exchange) -> None:
            raise ValueError("no")

        run = after(shadow(FollowingUp(end=boom)))
        assert notes(run)[1] == {"plugin": "following_up", "stage": "post_response", "would": "fault"}


class TestFollowUps:
    def test_shadow_adds_no_header_and_is_cleaned_up_with_its_notes(self) -> None:
        settled = []
        plugin = FollowingUp(
            lambda _: Continue({"took": 1}),
            lambda _: pytest.fail("its headers were asked for"),
            lambda view: settled.append((dict(view.notes), view.response)),
        )
        response = Response(200)
        plan = plan_of(shadow(plugin))
        assert (plan.adds_headers, plan.judges_responses) == (False, False)
        after(shadow(plugin), response=response)
        assert settled == [({"took": 1}, response)]

    async def test_none_begins_when_the_exchange_is_over(self) -> None:
        run = run_of(shadow(says(NO)))
        await run.finish()
        await run.request_body(b"{}")
        assert run.shadows is None


class TestBodies:
    """It sees whole bodies although nobody waits for them because of it."""

    def test_shadow_that_needs_a_body_buffers_nothing(self) -> None:
        chain = [shadow(says(NO, frozenset({"body"})), stage) for stage in Stage]
        plan = plan_of(*chain, entry(says(CONTINUE, HEAD_ONLY)))
        assert [len(group.steps) for group in plan.head] == [0, 1]
        assert not plan.buffers

    async def test_shadow_judges_the_request_once_its_body_is_complete(self) -> None:
        bodies: list[bytes | None] = []
        run = run_of(shadow(ActingInPlace(lambda view: bodies.append(view.request.body) or NO)))
        body, run.exchange = run.exchange.request.body, with_body(run.exchange, None)
        await run.request_head()
        await quiet()
        assert bodies == []
        await run.request_body(body or b"")
        await run.finish()
        assert bodies == [b"{}"]

    async def test_request_whose_body_never_arrives_is_not_judged_by_a_shadow(self) -> None:
        run = run_of(shadow(says(NO, frozenset({"body"}))))
        run.exchange = with_body(run.exchange, None)
        await run.request_head()
        await run.finish()
        assert notes(run) == []

    @pytest.mark.parametrize(
        ("ends", "found"),
        [((b"all",), {"would": "reject", "code": "all"}), ((None,), {"would": "fault"}), ((), None)],
        ids=["all of it has passed", "it cannot be shown", "it broke off"],
    )
    def test_shadow_judges_a_streamed_response_at_its_end(
        self, ends: tuple[bytes | None, ...], found: dict[str, str] | None
    ) -> None:
        judge = ActingInPlace(lambda view: Reject(422, (view.response.body or b"").decode(), ""))
        run = run_of(*(shadow(judge, stage) for stage in (Stage.POST_REQUEST, Stage.PRE_RESPONSE)))

        async def scenario() -> None:
            await run.response_head(Response(200))
            await run.response_body(b"")
            assert run.shadows is not None
            assert run.shadows.need_response
            for body in ends:
                run.response_sent(body)
                assert not run.shadows.need_response
            await run.finish()

        run_loop(scenario())
        assert [{key: note[key] for key in found or ()} for note in notes(run)[1:]] == [found][: len(ends)]


def with_body(view: Exchange, body: bytes | None) -> Exchange:
    return view._replace(request=view.request._replace(body=body))


class TestPlan:
    def test_entries_of_a_combined_plugin_are_two_steps_in_one_place(self) -> None:
        early, acting, late = shadow(Together()), entry(Together(), origin="tenant"), shadow(Together())
        plan = plan_of(early, acting, late)
        [group] = groups_at(plan, Stage.PRE_REQUEST)
        assert [step.entries for step in group.steps] == [(acting,)]
        assert [step.entries for step in group.shadows] == [(early, late)]

    def test_shadows_without_enforced_entries_share_the_group_of_the_first(self) -> None:
        first, other, second = shadow(Together()), entry(says(CONTINUE)), shadow(Together())
        plan = plan_of(first, other, second)
        assert [(len(group.steps), len(group.shadows)) for group in groups_at(plan, Stage.PRE_REQUEST)] == [
            (0, 1),
            (1, 0),
        ]


async def beside(run: Run, hand: Stagehand, luck: random.Random) -> None:
    """All moments, while what they wait for ends in an order of luck. No shadow ends before the others have."""

    async def all_but_the_end() -> None:
        await run.request_head()
        await run.request_body(b"{}")
        await run.response_head(Response(200))
        await run.response_body(b"{}")

    for work, held_back in ((all_but_the_end, "S"), (run.finish, "-")):
        playing = asyncio.ensure_future(work())
        for _ in range(100):
            await quiet()
            if playing.done():
                break
            if acting := sorted(name for name in hand.held if not name.startswith(held_back)):
                hand.held[luck.choice(acting)]()
        await asyncio.wait_for(playing, 0)


@given(casts(), casts(), st.randoms(use_true_random=False))
def test_shadows_change_no_outcome(
    roles: Sequence[Role], shadows: Sequence[Role], luck: random.Random
) -> None:
    named = [replace(role, name=role.name.replace("P", "S")) for role in shadows]
    mixed = [*roles, *named]
    luck.shuffle(mixed)
    order = {role.name: at for at, role in enumerate(roles)}
    mixed.sort(key=lambda role: ("tier", "required", "tenant", "rule").index(role.origin))
    acting = iter(sorted((role for role in mixed if role.name in order), key=lambda role: order[role.name]))
    mixed = [next(acting) if role.name in order else role for role in mixed]

    def outcome(chain: Sequence[Role]) -> tuple[Any, ...]:
        hand = Stagehand()
        entries = [replace(role.entry(hand), is_shadow=role.name.startswith("S")) for role in chain]
        run = run_of(*entries, pool=hand)
        run_loop(beside(run, hand, luck))
        start_call = [name for event, name in hand.trace if event == "begin" and name.startswith("P")]
        return run.rejection, run.responded, run.responder, run.faults, run.exchange, start_call

    assert outcome(mixed) == outcome(roles)
