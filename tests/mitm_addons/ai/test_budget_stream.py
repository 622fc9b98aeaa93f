"""A stream gets more while it goes on, and ends when its budgets have no more."""

import asyncio
import json
import weakref
from collections.abc import Sequence

import pytest

from mitm_addons.ai.budget_stream import BudgetStream
from shared.budgets.allowance import Allowance
from shared.budgets.reservation import Reservation
from shared.budgets.stream_cutter import StreamCutter
from shared.core.errors import Rejection, StoreDown
from shared.limits.values import Decision, Limit, LimitState, decide
from shared.model.budgets import Budget
from tests.budgets.requests import RATES, budget, budget_admission, decided, model_request

EMPTY: dict[str, int] = {}


def tokens(number: int) -> bytes:
    choice = {"choices": [{"delta": {"content": "tok "}}]}
    return (b"data: " + json.dumps(choice).encode() + b"\n\n") * number


class Ended(Exception):
    """The stream has ended, with an error."""


class Stream:
    """A stream of a request that reserved 100 tokens of output, whose budgets have so much more.

    `left` is what they have before it: by default all, and None if that is not known.
    """

    def __init__(
        self,
        *budgets: Budget,
        more: dict[str, int] | None = None,
        left: dict[str, int] | None = EMPTY,
        may_wait: bool = True,
        awaits: bool = False,
        failing: bool = False,
    ) -> None:
        one = budget_admission(
            *(budgets or (budget("a", limit=100_000),)), request=model_request(output=100, most=100)
        )
        assert one.prepare() is None
        found = one.judge(decided([hold.limit for hold in one.holds], left or {}))
        assert isinstance(found, Reservation)
        if left is None:
            found.states = ()
        self.left, self.failing = more or {}, failing
        self.asked: list[Sequence[Limit]] = []
        self.replies = asyncio.Event()
        self.replies.set()
        self.sent = bytearray()
        self.rejection: Rejection | None = None
        self.last = b""
        self.cutter = StreamCutter(Allowance(found.output or 0), "openai.chat", 4.0)
        self.stream = BudgetStream(
            self.cutter,
            found,
            self._pass_on_later if awaits else self._pass_on,
            rates=RATES,
            extend=self._extend,
            stop=self._stop,
            may_wait=may_wait,
        )

    async def _extend(self, limits: Sequence[Limit]) -> Decision:
        self.asked.append(limits)
        await self.replies.wait()
        if self.failing:
            raise StoreDown("Redis does not respond.")
        decision = decide([LimitState(limit, self.left.get(limit.name, 10**9), 0) for limit in limits])
        if not decision.allowed:
            return decision
        for limit in limits:
            self.left[limit.name] = self.left.get(limit.name, 10**9) - limit.cost
        return Decision(True, [LimitState(limit, self.left[limit.name], 0) for limit in limits])

    def _pass_on(self, piece: bytes) -> list[bytes]:
        return [piece or b"END"]

    async def _pass_on_later(self, piece: bytes) -> list[bytes]:
        return self._pass_on(piece)

    def _stop(self, rejection: Rejection, last: bytes) -> list[bytes]:
        self.rejection, self.last = rejection, last
        raise Ended

    async def feed(self, piece: bytes) -> bytes:
        """The bytes that are sent for a piece."""
        sent = self.stream(piece)
        sent = await sent if not isinstance(sent, bytes | list) else sent
        return sent if isinstance(sent, bytes) else b"".join(sent)


async def test_a_stream_asks_once_for_more_and_does_not_wait() -> None:
    one = Stream()
    one.replies.clear()
    assert await one.feed(tokens(80)) == tokens(80)
    assert await one.feed(tokens(10)) == tokens(10)
    assert [[limit.cost for limit in limits] for limits in one.asked] == [[256]]
    one.replies.set()
    await asyncio.sleep(0)
    assert await one.feed(tokens(100)) == tokens(100)
    assert await one.feed(b"") == b"END"


@pytest.mark.parametrize("awaits", [False, True])
async def test_a_burst_waits_for_the_reply_and_then_passes(awaits: bool) -> None:
    one = Stream(awaits=awaits)
    assert await one.feed(tokens(5_000)) == tokens(5_000)
    assert await one.feed(tokens(1)[:9]) == tokens(1)[:9]
    assert await one.feed(b"") == b"END"
    assert sum(limits[0].cost for limits in one.asked) >= 4_900


def long_event(tokens: int) -> bytes:
    choice = {"choices": [{"delta": {"content": "tok " * tokens}}]}
    return b"data: " + json.dumps(choice).encode() + b"\n\n"


@pytest.mark.parametrize("size", [700, 64_000])
async def test_a_long_event_passes_in_the_pieces_in_which_it_comes(size: int) -> None:
    one, event = Stream(), long_event(50_000)
    async with asyncio.timeout(10):
        sent = [await one.feed(event[at : at + size]) for at in range(0, len(event), size)]
    assert b"".join(sent) == event
    assert await one.feed(b"") == b"END"


@pytest.mark.parametrize("left", [0, 300])
async def test_an_event_that_comes_in_pieces_and_does_not_fit_ends_the_stream(left: int) -> None:
    one, event = Stream(more={"a": left}), long_event(1_000)
    assert await one.feed(tokens(80)) == tokens(80)
    async with asyncio.timeout(10):
        assert await one.feed(event[:2_000]) + await one.feed(event[2_000:-20]) == b""
        with pytest.raises(Ended):
            await one.feed(event[-20:])
    assert one.last == b""


@pytest.mark.parametrize("awaits", [False, True])
async def test_a_stream_ends_where_its_reservation_does_and_says_why(awaits: bool) -> None:
    one = Stream(more={"a": 0}, awaits=awaits)
    with pytest.raises(Ended):
        await one.feed(tokens(5_000))
    assert one.last == tokens(100)
    assert one.rejection is not None
    assert one.rejection.code == "quota_exceeded"
    assert one.rejection.message.startswith(
        "The budget 'a' has no more for this response: 100000 of 100000 tokens are used or reserved."
    )
    assert await one.feed(tokens(1)) == b""


@pytest.mark.parametrize("awaits", [False, True])
async def test_a_stream_that_knows_that_it_gets_no_more_asks_no_more(awaits: bool) -> None:
    one = Stream(more={"a": 0}, awaits=awaits)
    assert await one.feed(tokens(80)) == tokens(80)
    await asyncio.sleep(0)
    with pytest.raises(Ended):
        await one.feed(tokens(50))
    assert one.last == tokens(20)
    assert len(one.asked) == 1


async def test_a_stream_gets_the_rest_of_its_budget_before_it_ends() -> None:
    one = Stream(more={"a": 200})
    with pytest.raises(Ended):
        await one.feed(tokens(5_000))
    assert one.last == tokens(300)
    assert [limits[0].cost for limits in one.asked] == [4_900, 200]
    assert one.rejection is not None
    assert "100000 of 100000 tokens are used or reserved" in one.rejection.message


async def test_a_rest_that_others_have_taken_ends_the_stream_where_its_reservation_does() -> None:
    one = Stream(more={"a": 200})
    await one.feed(tokens(10))
    one.left["a"] = 200
    extend = one.stream._extend

    async def taken(limits: Sequence[Limit]) -> Decision:
        decision = await extend(limits)
        one.left["a"] = 100
        return decision

    one.stream._extend = taken
    with pytest.raises(Ended):
        await one.feed(tokens(5_000))
    assert one.last == tokens(90)
    assert len(one.asked) == 2


async def test_a_budget_that_lets_responses_finish_is_not_asked_again() -> None:
    one = Stream(budget("a", limit=100_000, overrun="finish"), budget("b", limit=100_000), more={"a": 0})
    assert await one.feed(tokens(5_000)) == tokens(5_000)
    names = [[limit.name for limit in limits] for limits in one.asked]
    assert names[:2] == [["a", "b"], ["b"]]
    assert not any("a" in some for some in names[1:])


async def test_a_stream_whose_budgets_all_let_it_finish_goes_on_with_a_debt() -> None:
    one = Stream(budget("a", limit=100_000, overrun="finish"), more={"a": 0})
    assert await one.feed(tokens(5_000)) == tokens(5_000)
    assert await one.feed(tokens(5_000)) == tokens(5_000)
    assert len(one.asked) == 1


async def test_a_stream_ends_when_nobody_knows_what_is_left() -> None:
    one = Stream(failing=True)
    with pytest.raises(Ended):
        await one.feed(tokens(5_000))
    assert one.rejection is not None
    assert "not known now" in one.rejection.message
    assert one.rejection.headers["x-should-retry"] == "false"


async def test_an_engine_that_cannot_wait_holds_a_burst_until_the_next_piece() -> None:
    one = Stream(may_wait=False)
    one.replies.clear()
    assert await one.feed(tokens(5_000)) == tokens(100)
    one.replies.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await one.feed(tokens(1)) == tokens(4_900)
    assert await one.feed(b"") == tokens(1) + b"END"


async def test_an_engine_that_cannot_wait_sends_what_it_held_at_the_end() -> None:
    one = Stream(may_wait=False)
    one.replies.clear()
    assert await one.feed(tokens(200)) == tokens(100)
    assert await one.feed(b"") == tokens(100) + b"END"
    one.stream.close()


async def test_an_engine_that_cannot_wait_ends_a_stream_for_which_too_little_was_left() -> None:
    one = Stream(budget("a", limit=100_000), budget("b", limit=1_000), may_wait=False, left={"b": 220})
    one.replies.clear()
    assert await one.feed(tokens(230)) == tokens(100)
    with pytest.raises(Ended):
        await one.feed(b"")
    assert one.last == tokens(20)
    assert one.rejection is not None
    assert one.rejection.message.startswith("The budget 'b' has no more for this response: ")
    assert "of 1000 tokens are used or reserved" in one.rejection.message
    one.stream.close()


async def test_an_engine_that_cannot_wait_ends_a_stream_within_an_open_event() -> None:
    one = Stream(budget("a", limit=1_000), may_wait=False, left={"a": 210})
    one.replies.clear()
    long = tokens(1).replace(b"tok ", b"tok " * 100).rstrip()
    assert await one.feed(tokens(105) + long) == tokens(100)
    with pytest.raises(Ended):
        await one.feed(b"")
    assert one.last == tokens(5)
    one.stream.close()


async def test_an_engine_that_cannot_wait_lets_responses_finish_where_budgets_do() -> None:
    one = Stream(budget("a", limit=1_000, overrun="finish"), may_wait=False, left={"a": 220})
    one.replies.clear()
    assert await one.feed(tokens(5_000)) == tokens(100)
    assert await one.feed(b"") == tokens(4_900) + b"END"
    one.stream.close()


async def test_an_engine_that_cannot_wait_knows_what_was_left_when_it_asked_last() -> None:
    one = Stream(budget("a", limit=100_000), may_wait=False, more={"a": 300})
    assert await one.feed(tokens(80)) == tokens(80)
    await asyncio.sleep(0)
    one.replies.clear()
    assert await one.feed(tokens(400)) == tokens(276)
    with pytest.raises(Ended):
        await one.feed(b"")
    assert one.rejection is not None
    one.stream.close()


async def test_an_engine_that_cannot_wait_ends_a_stream_when_nobody_knew_what_was_left() -> None:
    one = Stream(may_wait=False, left=None)
    one.replies.clear()
    assert await one.feed(tokens(200)) == tokens(100)
    with pytest.raises(Ended):
        await one.feed(b"")
    assert one.rejection is not None
    assert "not known now" in one.rejection.message
    one.stream.close()


@pytest.mark.parametrize("awaits", [False, True])
async def test_the_end_of_a_stream_waits_for_what_is_held(awaits: bool) -> None:
    one = Stream(awaits=awaits)
    one.replies.clear()
    waiting = asyncio.ensure_future(one.feed(tokens(150)))
    await asyncio.sleep(0)
    one.replies.set()
    assert await waiting == tokens(150)
    assert await one.feed(tokens(1)[:9]) == tokens(1)[:9]
    assert await one.feed(b"") == b"END"


async def test_a_closed_stream_asks_for_nothing_any_more() -> None:
    one = Stream()
    one.replies.clear()
    await one.feed(tokens(80))
    one.stream.close()
    one.replies.set()
    await asyncio.sleep(0)
    assert one.cutter.allowance.reserved == 100
    assert await one.feed(tokens(1)) == b""
    late = Stream()
    flow = weakref.ref(late)
    late.stream.close()
    stream = late.stream
    stream._pass_on = stream._extend = print  # type: ignore[assignment]  # methods of the test's own flow
    del late
    assert flow() is None, "the stream keeps its flow"
