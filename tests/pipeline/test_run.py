"""The outcome of one exchange by the verdicts of its plugins."""

import asyncio
import hashlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from shared.model.config import Stage
from shared.model.messages import Exchange, Headers, Request, Response
from shared.pipeline.plugin import CONTINUE, Continue, Patch, Plugin, Reject, ResolvedEntry, Respond, Verdict
from shared.pipeline.run import Run
from tests.pipeline.faults import ACTS
from tests.pipeline.stagehand import Stagehand, after, quiet, run_loop, run_of, whole
from tests.pipeline.world import Acting, ActingAsync, ActingInPlace, FollowingUp, entry, exchange

NO = Reject(403, "no", "No.", {"X-Why": "1"}, {"rate_limit": {"limit": 3}})
CACHED = Respond(Response(200, Headers([("X-Cache", "hit")]), b"cached"))


def says(verdict: Verdict) -> ActingInPlace:
    return ActingInPlace(lambda _: verdict)


class TestVerdicts:
    def test_rejection_holds_the_name_and_the_fields_of_its_plugin(self) -> None:
        run = after(entry(says(NO)))
        assert run.rejection is not None
        assert (run.rejection.status, run.rejection.code, run.rejection.message) == (403, "no", "No.")
        assert run.rejection.source == "plugin:acting_in_place"
        assert (run.rejection.headers, run.rejection.details) == (NO.headers, NO.details)
        assert run.faults == []


class TestPatches:
    def test_patches_merge_in_chain_order(self) -> None:
        run = after(
            entry(says(Patch(set_headers={"X-A": "1", "X-B": "1"})), parallel=True),
            entry(says(Patch({"x-b": "2"}, ("X-In",), b"new")), parallel=True),
        )
        head = Headers([("Host", "t1.example.com"), ("X-A", "1"), ("x-b", "2")])
        assert run.exchange.request == Request("POST", "/v1/x", head, body=b"new")

    def test_patch_is_visible_to_a_later_group_and_not_to_the_same_group(self) -> None:
        seen: list[str | None] = []

        def look(exchange: Exchange) -> Verdict:
            seen.append(exchange.request.headers.get("X-A"))
            return Patch(set_headers={"X-A": "set"})

        after(*(entry(ActingInPlace(look), parallel=True) for _ in range(2)))
        after(*(entry(ActingInPlace(look)) for _ in range(2)))
        assert seen == [None, None, None, "set"]

    def test_patch_changes_the_request_before_forwarding_and_then_the_response(self) -> None:
        before = exchange(response=Response(200, Headers([("X-Old", "1")]), b"old"))
        patch = Patch({"X-New": "1"}, ("X-Old",), b"new", 404)
        for stage in (Stage.POST_REQUEST, Stage.PRE_RESPONSE):
            changed = patch.applied_to(before, stage)
            assert changed.response == Response(404, Headers([("X-New", "1")]), b"new")
            assert changed.request == before.request
        changed = patch.applied_to(before, Stage.PRE_REQUEST)
        assert changed.response == before.response
        assert changed.request.body == b"new"

    def test_patch_keeps_all_other_fields(self) -> None:
        before = exchange(response=Response(201, Headers([("X-Old", "1")]), b"old"))
        for stage in (Stage.PRE_REQUEST, Stage.POST_REQUEST):
            assert Patch().applied_to(before, stage) == before


class TestNotes:
    def test_notes_accumulate_over_the_stages_of_a_plugin(self) -> None:
        seen: list[dict[str, object]] = []

        def note(exchange: Exchange) -> Verdict:
            seen.append(dict(exchange.notes))
            return Continue({f"n{len(seen)}": len(seen), "last": len(seen)})

        plugin = FollowingUp(note, end=lambda exchange: seen.append(dict(exchange.notes)))
        after(entry(plugin, Stage.PRE_REQUEST), entry(plugin, Stage.PRE_RESPONSE))
        last = {"n1": 1, "n2": 2, "last": 2}
        assert seen == [{}, {"n1": 1, "last": 1}, last, last]

    @pytest.mark.parametrize("verdict", [NO, CACHED, Patch()])
    def test_verdict_of_any_kind_carries_notes(self, verdict: Any) -> None:
        seen: list[object] = []
        noted = replace(verdict, notes={"kept": True})
        after(entry(FollowingUp(lambda _: noted, end=lambda exchange: seen.append(exchange.notes))))
        assert seen == [{"kept": True}]

    def test_notes_are_read_only_and_hidden_from_other_plugins(self) -> None:
        seen: list[Mapping[str, object]] = []
        one = FollowingUp(lambda _: Continue({"mine": 1}), end=lambda exchange: seen.append(exchange.notes))
        other = FollowingUp(end=lambda exchange: seen.append(exchange.notes), called="other")
        after(entry(one), entry(other))
        assert seen == [{"mine": 1}, {}]
        for notes in seen:
            with pytest.raises(TypeError):
                notes["mine"] = 2  # type: ignore[index]

    def test_a_plugin_that_failed_leaves_none(self) -> None:
        seen: list[object] = []
        junk = FollowingUp(lambda _: Continue("text"), end=lambda exchange: seen.append(exchange.notes))  # type: ignore[arg-type]
        after(entry(junk, on_error="open"))
        assert seen == [{}]


DENY, ALLOW = {"X-Frame-Options": "DENY"}, {"X-Frame-Options": "ALLOW"}


def adding(added: Mapping[str, str], verdict: Verdict = CONTINUE) -> FollowingUp:
    return FollowingUp(lambda _: verdict, heads=lambda _: added)


class TestResponseHeaders:
    @pytest.mark.parametrize(
        ("chain", "added"),
        [
            (
                [
                    entry(adding({"X-A": "1", "X-B": "1"})),
                    entry(ActingInPlace()),
                    entry(adding({"X-B": "2"}), Stage.PRE_RESPONSE),
                ],
                {"X-A": "1", "X-B": "2"},
            ),
            *(
                (
                    [
                        entry(adding(DENY), origin=origin),
                        entry(adding(ALLOW), origin="tenant"),
                        entry(adding(ALLOW), Stage.PRE_RESPONSE),
                    ],
                    DENY,
                )
                for origin in ("tier", "required")
            ),
            (
                [entry(adding({"X-A": "1"})), entry(adding({"X-B": "1"}, NO)), entry(adding({"X-C": "1"}))],
                {"X-A": "1", "X-B": "1"},
            ),
        ],
        ids=["the later one wins", "but not over a tier's", "nor over a required one's", "until a reject"],
    )
    def test_all_that_ran_add_theirs(self, chain: list[ResolvedEntry], added: dict[str, str]) -> None:
        assert run_loop(whole(run_of(*chain))) == added

    def test_response_headers_hook_sees_the_notes_and_the_response(self) -> None:
        def heads(exchange: Exchange) -> Mapping[str, str]:
            assert exchange.response is not None
            return {"X-Seen": f"{exchange.notes['n']} {exchange.response.status}"}

        run = run_of(entry(FollowingUp(lambda _: Continue({"n": 1}), heads)))
        assert run_loop(whole(run, Response(404))) == {"X-Seen": "1 404"}

    @pytest.mark.parametrize(
        "heads",
        [
            ACTS["exits"],
            *(
                lambda _, junk=junk: junk
                for junk in (None, [("X-A", "1")], {"X-A": 1}, {"Connection": "close"}, 1 / 3)
            ),
        ],
    )
    @pytest.mark.parametrize("on_error", ["closed", "open"])
    def test_response_headers_fault_has_the_configured_outcome(
        self, heads: Callable[[Exchange], Any], on_error: str
    ) -> None:
        run = run_of(
            entry(FollowingUp(heads=heads, called="faulty"), on_error=on_error),
            entry(FollowingUp(heads=lambda _: {"X-Good": "1"})),
        )
        assert run_loop(whole(run)) == {"X-Good": "1"}
        assert run.faults == ["faulty"]
        rejected = run.rejection and (run.rejection.status, run.rejection.source)
        assert rejected == (None if on_error == "open" else (503, "plugin:faulty"))


class TestCleanup:
    def test_every_entry_that_ran_is_cleaned_up_once_after_post_response(self) -> None:
        seen: list[str] = []
        chain = [
            entry(FollowingUp(end=lambda _: seen.append("first"))),
            entry(FollowingUp(lambda _: NO, end=lambda _: seen.append("refuser"))),
            entry(FollowingUp(end=lambda _: seen.append("never"))),
            entry(ActingInPlace(lambda _: seen.append("post_response") or CONTINUE), Stage.POST_RESPONSE),
        ]
        after(*chain)
        assert seen == ["post_response", "first", "refuser"]

    @pytest.mark.parametrize("on_error", ["closed", "open"])
    def test_cleanup_that_raises_stops_no_other_and_rejects_nothing(self, on_error: str) -> None:
        seen: list[str] = []

        def fail(_: Exchange) -> None:
            raise KeyboardInterrupt

        chain = [
            entry(FollowingUp(end=fail, called="faulty"), on_error=on_error),
            entry(FollowingUp(end=lambda _: seen.append("next"))),
        ]
        run = after(*chain)
        assert (run.rejection, run.faults, seen) == (None, ["faulty"], ["next"])

    def test_cleanup_that_hangs_is_a_fault_at_its_timeout(self) -> None:
        class Hanging(FollowingUp):
            async def cleanup(self, exchange: Exchange) -> None:
                await asyncio.get_running_loop().create_future()

        assert after(entry(Hanging(called="hanging"), timeout=0.001)).faults == ["hanging"]


class TestCancellation:
    @pytest.mark.parametrize("kind", ["in a thread", "as a task"])
    @pytest.mark.parametrize("parallel", [True, False])
    async def test_a_lost_exchange_takes_its_calls_along(self, kind: str, parallel: bool) -> None:
        hand = Stagehand()
        chain = [entry(hand.plugin(kind, name), parallel=parallel) for name in "ab"]
        playing = asyncio.ensure_future(run_of(*chain, pool=hand).request_body(b"{}"))
        await quiet()
        playing.cancel()
        await quiet()
        assert playing.cancelled()
        start_call = "ab" if parallel else "a"
        assert hand.trace == [(what, name) for what in ("begin", "cancel") for name in start_call]

    async def test_verdict_of_a_thread_after_its_timeout_is_dropped(self) -> None:
        free = threading.Event()

        def late(_: Exchange) -> Verdict:
            free.wait(10)
            return NO

        with ThreadPoolExecutor(1) as pool:
            run = run_of(entry(Acting(late), timeout=0.001, on_error="open"), pool=pool)
            await run.request_body(b"{}")
            free.set()
            pool.submit(int).result(10)  # the one thread has ended the call
            await quiet()
        assert (run.rejection, run.faults) == (None, ["acting"])


def test_a_blocking_plugin_that_is_quick_this_time_runs_in_place() -> None:
    seen: list[int] = []

    class ActiveJudge(Acting):
        def is_quick(self, exchange: Exchange) -> bool:
            return 1 // len(exchange.request.body or b"") == 1  # raises for an empty body

    def act(_: Exchange) -> Verdict:
        seen.append(threading.get_ident())
        return CONTINUE

    for body, in_place in ((b"1", True), (b"22", False), (b"", False)):
        with ThreadPoolExecutor(1) as pool:
            run = run_of(entry(ActiveJudge(act)), pool=pool)
            run_loop(run.request_body(body))
        assert run.faults == []
        assert (seen.pop() == threading.get_ident()) is in_place


async def test_fifty_chains_of_parallel_steps_finish_on_a_pool_of_one_thread() -> None:
    calls: list[None] = []

    def work(_: Exchange) -> Verdict:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2000)  # about 1 ms
        calls.append(None)
        return CONTINUE

    chain = [
        entry(Acting(work), priority=priority, parallel=True) for priority in (1, 2, 3) for _ in range(4)
    ]

    with ThreadPoolExecutor(1) as pool:
        runs = [run_of(*chain, pool=pool) for _ in range(50)]
        await asyncio.gather(*(run.request_body(b"{}") for run in runs))
    assert len(calls) == 600
    assert not any(run.faults for run in runs)


def test_a_thread_an_await_and_a_call_in_place_work_at_the_same_time() -> None:
    """Each waits for the two others: a barrier that only holds when all three have begun."""
    thread_begun, in_place_begun = threading.Event(), threading.Event()

    def in_thread(_: Exchange) -> Verdict:
        thread_begun.set()
        assert in_place_begun.wait(10)
        return CONTINUE

    async def call_async_safely(_: Exchange) -> Verdict:
        while not (thread_begun.is_set() and in_place_begun.is_set()):
            await asyncio.sleep(0)
        return CONTINUE

    def in_place(_: Exchange) -> Verdict:
        assert thread_begun.wait(10)
        in_place_begun.set()
        return CONTINUE

    plugins: list[Plugin] = [ActingInPlace(in_place), ActingAsync(call_async_safely), Acting(in_thread)]
    with ThreadPoolExecutor(1) as pool:
        run = run_of(*(entry(plugin, parallel=True, timeout=10.0) for plugin in plugins), pool=pool)
        run_loop(run.request_body(b"{}"))
    assert run.faults == []


class TestMoments:
    """Each moment of an exchange runs what belongs to it, and nothing twice."""

    async def bodies(self, method: str, head: Response) -> tuple[Run, list[bytes | None]]:
        """The bodies that a plugin of pre_response sees when the response has the body ``x``."""
        seen: list[bytes | None] = []

        def see(view: Exchange) -> Verdict:
            seen.append(view.response.body if view.response else None)
            return CONTINUE

        run = run_of(entry(ActingInPlace(see), Stage.PRE_RESPONSE))
        run.exchange = run.exchange._replace(request=run.exchange.request._replace(method=method))

        await run.response_head(head)
        await run.response_body(b"x")
        return run, seen

    @pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
    async def test_response_without_a_body_is_judged_at_its_head_as_empty(
        self, method: str, status: int
    ) -> None:
        run, seen = await self.bodies(method, Response(status))
        assert (run.needs_body, seen) == (False, [b""])

    async def test_response_that_must_be_whole_is_judged_with_its_body(self) -> None:
        run, seen = await self.bodies("GET", Response(200))
        assert (run.needs_body, seen) == (True, [b"x"])

    async def test_response_head_after_a_rejection_runs_nothing(self) -> None:
        run = run_of(entry(says(NO)), entry(says(NO), Stage.POST_REQUEST))
        await run.request_head()
        await run.request_body(b"")
        assert await run.response_head(Response(200)) is None
        assert run.exchange.response is None

    async def test_request_body_after_a_response_of_the_head_is_not_read(self) -> None:
        responding = says(CACHED)
        responding.reads = responding.changes = frozenset()
        run = run_of(entry(responding), entry(says(NO), priority=200))
        body = run.exchange.request.body
        await run.request_head()
        await run.request_body(b"another")
        assert (run.rejection, run.responded) == (None, CACHED.response)
        assert run.exchange.request.body == body

    def test_response_sent_without_shadow_entries_does_nothing(self) -> None:
        run = run_of()
        run.response_sent(b"x")
        assert (run.shadows, run.exchange.response) == (None, None)

    @pytest.mark.parametrize("runs_post_response", [True, False])
    def test_finish_runs_post_response_only_if_requested(self, runs_post_response: bool) -> None:
        seen: list[Exchange] = []
        run = run_of(entry(ActingInPlace(lambda view: seen.append(view) or CONTINUE), Stage.POST_RESPONSE))
        run_loop(run.finish(runs_post_response=runs_post_response))
        assert len(seen) == runs_post_response


async def test_plugins_see_the_models_that_may_serve_the_request_once_its_body_is_there() -> None:
    seen: list[tuple[str, ...]] = []

    def note(found: Exchange) -> Verdict:
        seen.append(found.models)
        return CONTINUE

    run = run_of(entry(ActingInPlace(note)))
    await run.request_head()
    await run.request_body(b"{}", ("main/m", "m", "fast"))
    assert seen[-1] == ("main/m", "m", "fast")
    assert run.exchange.models == ("main/m", "m", "fast")
