"""A stream whose output budgets count: it gets more in time, and ends when they have no more.

More is reserved while the stream goes on. Only where more comes at once than is reserved, the rest waits for
the reply of Redis, on an engine that can wait. On another one it waits for the next piece. At the end as much
of it passes as the budgets had left when they were asked last.
"""

import asyncio
import inspect
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Self

from shared.budgets.rejections import budget_spent
from shared.budgets.reservation import Hold, Reservation
from shared.budgets.stream_cutter import StreamCutter
from shared.core import tasks
from shared.core.errors import Rejection, StoreDown, make_rejection
from shared.http.passing import Pass, awaited, ended, pieces
from shared.limits.values import Decision, Limit, LimitState
from shared.providers.headers import SHOULD_RETRY
from shared.routing.ai_exchange import AiExchange
from shared.usage.prices import Rates

logger = logging.getLogger(__name__)

#: Reserves more in budgets. Raises `StoreDown`.
Extend = Callable[[Sequence[Limit]], Awaitable[Decision]]
#: Ends the stream with an error; gets the last bytes that passed. Returns what is sent, or raises.
Stop = Callable[[Rejection, bytes], list[bytes]]

_UNKNOWN: Final = (
    "The rest of the budgets is not known now, so the response ends here. Retry the request later."
)


class BudgetStream:
    """The stream function of one response. Close it when the exchange is over."""

    def __init__(
        self,
        cutter: StreamCutter,
        reservation: Reservation,
        pass_on: Pass,
        *,
        rates: Rates | None,
        extend: Extend,
        stop: Stop,
        may_wait: bool,
    ) -> None:
        """`pass_on` gets what passes. `rates` are the prices of the target that responds."""
        self._cutter, self._reservation, self._rates = cutter, reservation, rates
        self._pass_on, self._extend, self._stop, self._may_wait = pass_on, extend, stop, may_wait
        self._asking: asyncio.Task[None] | None = None
        self._rejection = make_rejection("quota_exceeded", _UNKNOWN, {SHOULD_RETRY: "false"})
        # The budgets that have no more, and let the response be finished.
        self._without: set[str] = set()
        # The states of the budgets when they were asked last, by the keys of their limits.
        self._last = {state.limit.key: state for state in reservation.states}

    @classmethod
    def of(
        cls, ai: AiExchange, pass_on: Pass, *, now: float, extend: Extend, stop: Stop, may_wait: bool
    ) -> Self | None:
        """The function for the stream of the present target; None if no budget counts its output.

        `now` is in seconds since the Unix epoch.
        """
        cutter, reserved, chosen = ai.open_cutter(), ai.reservation, ai.chosen
        if cutter is None or reserved is None or chosen is None:
            return None
        rates = ai.route.rates(chosen, now)
        return cls(cutter, reserved, pass_on, rates=rates, extend=extend, stop=stop, may_wait=may_wait)

    def __call__(self, piece: bytes) -> Any:
        cutter = self._cutter
        if cutter.is_over:
            return []
        passed = cutter.feed(piece)
        self._ask()
        if cutter.is_over:
            sent = self._passed_on(passed)
            return self._stop_later(sent) if inspect.isawaitable(sent) else self._stop_after(sent)
        if cutter.is_waiting and self._may_wait:
            return self._later(passed, is_last=not piece)
        if not piece:
            passed += self._rest() if cutter.is_waiting else cutter.end()
            if cutter.is_over:
                return self._stop_after(self._passed_on(passed))
            return ended(passed, self._pass_on)
        return self._pass_on(passed) if passed else []

    def close(self) -> None:
        """Ask for nothing any more, and let go of the flow, which refers to this stream."""
        if self._asking is not None:
            self._asking.cancel()
        self._cutter.is_over, self._stop = True, _stop_nothing

    async def _later(self, passed: bytes, *, is_last: bool) -> list[bytes]:
        """Wait until what was held back may pass, or never will."""
        cutter, sent = self._cutter, await awaited(self._passed_on(passed))
        while cutter.is_waiting and (asking := self._asking) is not None:
            await asyncio.wait([asking])
            sent += await awaited(self._passed_on(cutter.release()))
            self._ask()
            if self._asking is asking:
                break  # the rest of an event comes with the next piece
        if cutter.is_over:
            return self._stop_after(sent)
        return [*sent, *await awaited(ended(cutter.end(), self._pass_on))] if is_last else sent

    def _stop_after(self, sent: Any) -> list[bytes]:
        """End the stream after its last pieces."""
        return self._stop(self._rejection, b"".join(pieces(sent)))

    async def _stop_later(self, sent: Awaitable[Any]) -> list[bytes]:
        return self._stop_after(await sent)

    def _passed_on(self, passed: bytes) -> Any:
        return self._pass_on(passed) if passed else b""

    def _ask(self) -> None:
        """Ask for more, if it is time to."""
        more = self._cutter.allowance.more(self._cutter.missing)
        if more:
            self._asking = tasks.begin(self._reserve(more), "reserve")

    def _rest(self) -> bytes:
        """The waiting bytes for which the budgets had enough left, on an engine that cannot wait for more.

        If that is not all, the stream ends there.
        """
        allowance, holds = self._cutter.allowance, self._reservation.holds
        beyond = math.ceil(allowance.seen + self._cutter.missing - allowance.reserved)
        needed = self._reservation.more(beyond, self._rates, without=self._without)
        amounts = {limit.key: limit.cost for limit in needed}
        asked = [hold for hold in holds if hold.cuts and hold.limit.key in amounts]
        states = [self._last.get(hold.limit.key) for hold in asked]
        spent = [
            (hold, state)
            for hold, state in zip(asked, states, strict=True)
            if state is not None and amounts[hold.limit.key] > state.remaining
        ]
        if not spent and None not in states:
            return self._cutter.end()
        if spent and None not in states:
            allowance.grant(self._reservation.affordable(spent, self._rates))
            self._end_by(*spent[0])
        allowance.deny(goes_on=False)
        passed = self._cutter.release()
        if self._cutter.is_waiting:  # for the end of an event, which does not come
            self._cutter.is_over = True
        return passed

    async def _reserve(self, tokens: int) -> None:
        """Reserve more. Where a budget has less left, reserve the rest, with which the stream ends."""
        allowance = self._cutter.allowance
        last: Hold | None = None  # the budget whose rest is asked for
        while limits := self._reservation.more(tokens, self._rates, without=self._without):
            try:
                decision = await self._extend(limits)
            except StoreDown as error:
                logger.warning("A stream ends: %s", error)
                allowance.deny(goes_on=False)
                return
            self._last |= {state.limit.key: state for state in decision.states}
            if decision.violated is None:
                allowance.grant(tokens)
                if last is not None:
                    self._end_by(last, self._last[last.limit.key])
                return
            full = self._reservation.spent_in(decision.states)
            cutting = [(hold, state) for hold, state in full if hold.cuts]
            was_rest, last = last is not None, cutting[0][0] if cutting else None
            if last is not None:
                tokens = 0 if was_rest else self._reservation.affordable(cutting, self._rates)
                if not tokens:
                    self._end_by(last, self._last[last.limit.key])
                    return
            self._without.update(hold.name for hold, _ in full if not hold.cuts)
        # Every budget that counts output lets the response be finished.
        allowance.deny(goes_on=True)

    def _end_by(self, hold: Hold, state: LimitState) -> None:
        """Let the stream end where the reservation does, because of this budget."""
        self._rejection = budget_spent(hold.compiled.budget, state, ends=True)
        self._cutter.allowance.deny(goes_on=False)


def _stop_nothing(rejection: Rejection, last: bytes) -> list[bytes]:
    """Do nothing: the exchange is over."""
    return []
