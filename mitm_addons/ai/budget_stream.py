"""A stream whose output budgets count: it gets more in time, and ends when they have no more.

More is reserved while the stream goes on. Only where more comes at once than is reserved, the rest waits for
the reply of Redis, on an engine that can wait; on another one it waits for the next piece.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self

from shared.budgets.rejections import budget_spent
from shared.budgets.reservation import Hold, Reservation
from shared.budgets.stream_cutter import StreamCutter
from shared.core import tasks
from shared.core.errors import Rejection, StoreDown, make_rejection
from shared.http.passing import Pass
from shared.limits.values import Decision, Limit, LimitState
from shared.providers.headers import SHOULD_RETRY
from shared.routing.ai_exchange import AiExchange
from shared.usage.prices import Rates

logger = logging.getLogger(__name__)

#: Reserves more in budgets. Raises `StoreDown`.
Extend = Callable[[Sequence[Limit]], Awaitable[Decision]]
#: Ends the stream with an error; gets the last bytes that passed. Returns what is sent, or raises.
Stop = Callable[[Rejection, bytes], list[bytes]]


def _stop_nothing(rejection: Rejection, last: bytes) -> list[bytes]:
    """Do nothing: the exchange is over."""
    return []


_UNKNOWN = "What is left of the budgets is not known now, so the response ends here. Retry the request later."


class BudgetStream:
    """The stream function of one response. Close it when the exchange is over."""

    def __init__(
        self,
        cutter: StreamCutter,
        reservation: Reservation,
        rates: Rates | None,
        pass_on: Pass,
        *,
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

    @classmethod
    def of(
        cls, ai: AiExchange, pass_on: Pass, day: str, extend: Extend, stop: Stop, *, may_wait: bool
    ) -> Self | None:
        """The function for the stream of the present target; None if no budget counts its output."""
        cutter, reserved, chosen = ai.open_cutter(), ai.reservation, ai.chosen
        if cutter is None or reserved is None or chosen is None:
            return None
        rates = ai.route.rates(chosen, day=day)
        return cls(cutter, reserved, rates, pass_on, extend=extend, stop=stop, may_wait=may_wait)

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
            passed += cutter.end()
            return self._ended(passed)
        return self._pass_on(passed) if passed else []

    def close(self) -> None:
        """Ask for nothing any more, and let go of the flow, which refers to this stream."""
        if self._asking is not None:
            self._asking.cancel()
        self._cutter.is_over, self._stop = True, _stop_nothing

    async def _later(self, passed: bytes, *, is_last: bool) -> list[bytes]:
        """Wait until what was held back may pass, or never will."""
        cutter, sent = self._cutter, await _pieces(self._passed_on(passed))
        while cutter.is_waiting and self._asking is not None:
            await asyncio.wait([self._asking])
            sent += await _pieces(self._passed_on(cutter.release()))
            self._ask()
        if cutter.is_over:
            return self._stop_after(sent)
        return [*sent, *await _pieces(self._ended(cutter.end()))] if is_last else sent

    def _stop_after(self, sent: Any) -> list[bytes]:
        """End the stream after its last pieces."""
        return self._stop(self._rejection, _joined(sent))

    async def _stop_later(self, sent: Awaitable[Any]) -> list[bytes]:
        return self._stop_after(await sent)

    def _ended(self, passed: bytes) -> Any:
        """Pass on what is left, and the end of the stream."""
        if not passed:
            return self._pass_on(b"")
        return _both(self._pass_on(passed), self._pass_on)

    def _passed_on(self, passed: bytes) -> Any:
        return self._pass_on(passed) if passed else b""

    def _ask(self) -> None:
        """Ask for more, if it is time to."""
        more = self._cutter.allowance.more(self._cutter.missing)
        if more:
            self._asking = tasks.begin(self._reserve(more), "reserve")

    async def _reserve(self, tokens: int) -> None:
        allowance, cutting = self._cutter.allowance, list[tuple[Hold, LimitState]]()
        while limits := self._reservation.more(tokens, self._rates, without=self._without):
            try:
                decision = await self._extend(limits)
            except StoreDown as error:
                logger.warning("A stream ends: %s", error)
                allowance.deny(goes_on=False)
                return
            if decision.violated is None:
                allowance.grant(tokens)
                if cutting:  # it was the rest
                    self._end_by(cutting[0][0], decision.states)
                return
            full = self._reservation.spent_in(decision.states)
            was_rest, cutting = bool(cutting), [(hold, state) for hold, state in full if hold.cuts]
            if cutting:
                rest = 0 if was_rest else self._reservation.affordable(cutting, self._rates)
                if not rest:
                    self._end_by(cutting[0][0], decision.states)
                    return
                tokens = rest
            self._without.update(hold.name for hold, _ in full if not hold.cuts)
        # Every budget that counts output lets the response be finished.
        allowance.deny(goes_on=True)

    def _end_by(self, hold: Hold, states: Sequence[LimitState]) -> None:
        """Let the stream end where the reservation does, because of this budget."""
        state = next(state for state in states if state.limit.key == hold.limit.key)
        self._rejection = budget_spent(hold.compiled.budget, state, ends=True)
        self._cutter.allowance.deny(goes_on=False)


def _joined(sent: Any) -> bytes:
    return sent if isinstance(sent, bytes) else b"".join(sent)


async def _pieces(sent: Any) -> list[bytes]:
    sent = await sent if inspect.isawaitable(sent) else sent
    return [sent] if isinstance(sent, bytes) else list(sent)


def _both(first: Any, pass_on: Pass) -> Any:
    """What is sent for the rest of a stream, and for its end."""
    if inspect.isawaitable(first):
        return _both_later(first, pass_on)
    last = pass_on(b"")
    if inspect.isawaitable(last):
        return _both_later(first, lambda _: last)
    return [_joined(first), _joined(last)]


async def _both_later(first: Any, pass_on: Pass) -> list[bytes]:
    return [*await _pieces(first), *await _pieces(pass_on(b""))]
