"""The order and the concurrency that are observed are those of a simple model, whichever plugin ends first."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.config import Stage
from shared.model.messages import Response
from shared.pipeline.plan import make_plan
from shared.pipeline.plugin import CONTINUE, Patch, Reject, ResolvedEntry, Respond, Verdict
from shared.pipeline.run import Run
from tests.pipeline.stagehand import KINDS, Stagehand, quiet, run_loop
from tests.pipeline.world import entry, exchange

FORCED = ("tier", "required")
ORIGINS = (*FORCED, "tenant", "rule")


@dataclass(frozen=True)
class Role:
    """One entry of a chain, and what its plugin is going to say."""

    name: str
    kind: str
    stage: Stage
    origin: str
    priority: int
    parallel: bool
    reads_body: bool
    says: str

    @property
    def may_block(self) -> bool:
        return self.kind != "in place"

    def verdict(self) -> Verdict:
        if self.says == "patch":
            return Patch(set_headers={f"X-{self.name}": "1", "X-Last": self.name})
        if self.says == "reject":
            return Reject(418, self.name, "No.")
        return Respond(Response(200, body=self.name.encode())) if self.says == "respond" else CONTINUE

    def entry(self, hand: Stagehand) -> ResolvedEntry:
        plugin = hand.plugin(self.kind, self.name, self.verdict())
        plugin.reads = frozenset({"headers", "body"} if self.reads_body else {"headers"})
        plugin.changes = frozenset({"headers"})
        return entry(plugin, self.stage, origin=self.origin, priority=self.priority, parallel=self.parallel)


@st.composite
def casts(draw: st.DrawFn) -> list[Role]:
    """A chain of at most ten entries, in chain order; most of them meet in one parallel group."""
    origins = draw(st.lists(st.sampled_from(ORIGINS), max_size=10))
    roles = []
    for number, origin in enumerate(sorted(origins, key=ORIGINS.index)):
        stage = draw(st.sampled_from([Stage.PRE_REQUEST, *Stage]))
        words = ["continue", "patch", "patch", "reject", "respond"][: 5 if stage is Stage.PRE_REQUEST else 4]
        says = "continue" if stage is Stage.POST_RESPONSE else draw(st.sampled_from(words))
        kind, priority = draw(st.sampled_from(KINDS)), draw(st.sampled_from([100, 100, 0]))
        parallel, reads_body = draw(st.sampled_from([True, True, False])), draw(st.booleans())
        roles.append(Role(f"P{number}", kind, stage, origin, priority, parallel, reads_body, says))
    return roles


class Model:
    """The expected run: the groups that run, the plugin that responds, and the headers, in order."""

    def __init__(self, roles: Sequence[Role]) -> None:
        self.groups: list[list[Role]] = []
        self.rejected = self.responded = ""
        self.patched: dict[bool, list[str]] = {True: [], False: []}
        for stage in Stage:
            for group in self.groups_of(stage, [role for role in roles if role.stage is stage]):
                self.run(stage, group)

    @staticmethod
    def groups_of(stage: Stage, roles: Sequence[Role]) -> list[list[Role]]:
        forced_last = stage is Stage.PRE_RESPONSE

        def place(role: Role) -> tuple[bool, int, bool, str]:
            # Of equal place are parallel ones; a sequential one is alone with its name.
            alone = "" if role.parallel else role.name
            return ((role.origin in FORCED) is forced_last, role.priority, role.parallel, alone)

        return [list(group) for _, group in groupby(sorted(roles, key=place), key=place)]

    def run(self, stage: Stage, group: list[Role]) -> None:
        if stage is not Stage.POST_RESPONSE and self.rejected:
            return
        if stage is Stage.PRE_REQUEST and self.responded:
            return
        self.groups.append(group)
        self.rejected = self.rejected or next((role.name for role in group if role.says == "reject"), "")
        if self.rejected:
            return
        responding = next((role.name for role in group if role.says == "respond"), "")
        self.responded = self.responded or responding
        if not responding:
            self.patched[stage is Stage.PRE_REQUEST] += [role.name for role in group if role.says == "patch"]


async def whole(run: Run) -> None:
    """The hooks of one exchange, one after the other."""
    await run.request_head()
    await quiet()
    await run.request_body(b"{}")
    await quiet()
    await run.response_head(Response(200))
    await quiet()
    await run.response_body(b"")
    await quiet()
    await run.finish()


async def play(roles: Sequence[Role], luck: random.Random) -> tuple[Run, list[tuple[str, str]]]:
    """Let the calls end one at a time, in an order of luck."""
    hand = Stagehand()
    run = Run(make_plan([role.entry(hand) for role in roles], buffer_streams=False), exchange(), hand)
    playing = asyncio.ensure_future(whole(run))
    for _ in range(100):
        await quiet()
        if not hand.held and playing.done():
            break
        await quiet()  # something may have begun just now
        if hand.held:
            hand.held[luck.choice(sorted(hand.held))]()
    await asyncio.wait_for(playing, 0)  # nothing is held, so it has nothing to wait for
    return run, hand.trace


def check_group(group: Sequence[Role], happened: Sequence[tuple[str, str]]) -> None:
    """All of the group began before one ended, and it was over as soon as it was decided."""
    what, names = [event for event, _ in happened], [name for _, name in happened]
    ends = what.count("end")
    assert what == ["begin"] * len(group) + ["end"] * ends + ["cancel"] * (len(what) - len(group) - ends)
    start_call, over = names[: len(group)], names[len(group) :]
    assert sorted(start_call) == sorted(role.name for role in group)
    assert sorted(over) == sorted(role.name for role in group if role.may_block)
    kinds = {role.name: role.kind for role in group}
    in_threads = [kinds[name] == "in a thread" for name in start_call]
    assert in_threads == sorted(in_threads, reverse=True), "threads work while the others run"
    ended = over[:ends]
    rejecting = next((at for at, role in enumerate(group) if role.says == "reject"), None)
    if rejecting is None:
        assert ended == over
    else:
        needed = {role.name for role in group[: rejecting + 1] if role.may_block}
        assert needed <= set(ended)
        assert not ended or ended[-1] in needed


@pytest.mark.parametrize("eager", [True, False])
@given(casts(), st.randoms(use_true_random=False))
def test_order_and_outcome_are_those_of_the_model(
    eager: bool, roles: list[Role], luck: random.Random
) -> None:
    model = Model(roles)
    run, trace = run_loop(play(roles, luck), eager=eager)
    for group in model.groups:
        length = len(group) + sum(role.may_block for role in group)
        check_group(group, trace[:length])
        trace = trace[length:]
    assert trace == []
    assert (run.rejection.code if run.rejection else "") == model.rejected
    assert (run.responder, run.faults) == (model.responded, [])
    assert (run.responded.body if run.responded else b"") == model.responded.encode()
    sent, response = run.exchange.request.headers, run.exchange.response
    # The stages of the response do not begin once the request is rejected.
    assert response is not None or (model.rejected and not model.patched[False])
    response = response or Response(200)
    for headers, patched in ((sent, model.patched[True]), (response.headers, model.patched[False])):
        assert [name for name, _ in headers if name.startswith("X-P")] == [f"X-{name}" for name in patched]
        assert headers.get("X-Last", "") == (patched[-1] if patched else "")
