"""Decides for the engine whether and where a request that has several targets is tried again."""

import asyncio
import math
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from mitm_addons.flows import GatewayFlow
from mitm_engine.exchange.attempt import AttemptReport, HeldStep, Hold, Retries
from mitm_engine.wire_error import WireError
from shared.core.clock import Clock
from shared.http.media_type import IS_STREAM
from shared.model.messages import Headers, first_value
from shared.model.pools import Hold as PoolHold
from shared.model.pools import RetryOn
from shared.providers.headers import SHOULD_RETRY
from shared.providers.retry_after import wait_of
from shared.routing.ai.translated import RequestTranslations
from shared.routing.ai_exchange import AiExchange
from shared.routing.pool_exchange import PoolExchange
from shared.upstreams import commit
from shared.upstreams.attempt import Ended
from shared.upstreams.attempts import Attempts
from shared.upstreams.outcome import (
    Outcome,
    outcome_of_stream,
    outcome_of_transport,
    outcome_of_whole,
)
from shared.usage.asking import rejects_asking

#: The bounds within which the engine asks about requests to models. A decision includes the wait for a
#: target, up to `Retry.within`.
AI_RETRIES: Final = Retries(judges_all=False, decision_seconds=310.0)
#: The same for rules with targets: the status alone decides, so errors are not read.
TARGET_RETRIES: Final = Retries(statuses=frozenset(), judges_all=False, decision_seconds=310.0)

# A whole body has as much time between two pieces as it has without a policy.
_WHOLE: Final = Hold(commit.MAX_COLLECTED, math.inf)
# The content codings of a body that is not encoded.
_PLAIN: Final = (b"", b"identity")


@dataclass(frozen=True, slots=True)
class PoolAttempts:
    """Decides whether a request is sent to another target; see `mitm_engine.options.Policy`."""

    clock: Clock

    def retry(self, flow: GatewayFlow, attempt: AttemptReport) -> bool | Awaitable[bool]:
        """Whether the request goes to another target, or to the same one with another key."""
        state = flow.gateway_state
        exchange = None if state is None else state.pooled
        if exchange is None or exchange.attempts is None or (attempt.error is None and attempt.status < 400):
            return False
        if isinstance(exchange, AiExchange) and attempt.is_sent and not attempt.status:
            exchange.is_doubtful = True
        outcome = self._outcome(exchange, attempt)
        if not attempt.is_repeatable:
            exchange.fail(outcome, self.clock.monotonic())
            return False
        if (
            isinstance(exchange, AiExchange)
            and exchange.asks_usage
            and rejects_asking(attempt.status, attempt.body)
        ):
            return self._without_asking(exchange)
        # A server that resets a connection on which it was idle has most likely read nothing.
        was_idle = attempt.is_reused and not attempt.status and outcome.kind is RetryOn.RESET
        return self._again(exchange, exchange.attempts, outcome, may_bill=not was_idle)

    def holds(self, flow: GatewayFlow, attempt: AttemptReport) -> Hold | None:
        """How long the beginning of a response is held back, while another target may follow."""
        state = flow.gateway_state
        exchange = None if state is None else state.ai
        if exchange is None or exchange.pool is None or attempt.status >= 400:
            return None
        policy = exchange.pool.pool.policy
        if policy.hold.until != "content":
            return None
        content_type = first_value(attempt.fields, "content-type")
        if not IS_STREAM[content_type]:
            if attempt.body.startswith(commit.BEGINS_JSON):  # all of it is here: it would commit at once
                return None
            exchange.start = commit.WholeBody.of(exchange.upstream_api, attempt.fields)
            return None if exchange.start is None else _WHOLE
        if RetryOn.STREAM_START not in policy.retry.on:
            return None
        if first_value(attempt.fields, "content-encoding") not in _PLAIN:
            return None  # its events cannot be read
        exchange.start = commit.StreamStart.of(
            exchange.upstream_api, content_type.decode("latin-1"), policy.hold.bytes
        )
        if exchange.start is None:
            return None
        exchange.held = []
        return Hold(policy.hold.bytes, policy.hold.time)

    def held(self, flow: GatewayFlow, piece: bytes | None) -> HeldStep | Awaitable[HeldStep]:
        """Decide whether to hold, to send or to drop the beginning of a response, given its next piece."""
        state = flow.gateway_state
        exchange = None if state is None else state.ai
        if exchange is None or exchange.start is None or exchange.attempts is None:
            return HeldStep.COMMIT
        start = exchange.start
        if piece and exchange.held is not None:
            exchange.held.append(piece)
        step = commit.Step.AGAIN if piece is None else start.feed(piece) if piece else start.end()
        if step is commit.Step.COMMIT:
            exchange.held = None
            return HeldStep.COMMIT
        if step is commit.Step.HOLD:
            return HeldStep.HOLD
        outcome = _failed_start(exchange, start, piece)
        again = self._again(exchange, exchange.attempts, outcome)
        return _held(again, outcome) if isinstance(again, bool) else _held_later(again, outcome)

    def _again(
        self, exchange: PoolExchange, attempts: Attempts, outcome: Outcome, *, may_bill: bool = True
    ) -> bool | Awaitable[bool]:
        """Record a failure, and point the flow at the next target, if there is one.

        `may_bill`: the upstream may have served the request, of which the response did not come.
        """
        if exchange.is_judged:
            return False  # the silence or the error of a response that goes to the client all the same
        if isinstance(exchange, AiExchange):
            if outcome.kind and exchange.translations is not None and exchange.translations.waiting:
                return self._again_later(exchange, exchange.translations, attempts, outcome, may_bill)
            exchange.is_hard = may_bill and outcome.kind in (RetryOn.RESET, RetryOn.TIMEOUT)
        now = self.clock.monotonic()
        following = attempts.after(outcome, now)
        exchange.share()
        if isinstance(following, Ended):
            exchange.is_judged = True
            if following.code == "provider_auth":
                raise WireError("no_provider_key", headers={SHOULD_RETRY: "false"})
            return False
        exchange.give_up(self.clock.now())
        exchange.attempt = following
        exchange.forward(now)
        return _after(following.delay) if following.delay else True

    async def _again_later(
        self,
        exchange: AiExchange,
        translations: RequestTranslations,
        attempts: Attempts,
        outcome: Outcome,
        may_bill: bool,
    ) -> bool:
        """`_again` for a long request, of which the next target may speak another API."""
        await translations.translate(translations.waiting)
        again = self._again(exchange, attempts, outcome, may_bill=may_bill)
        return again if isinstance(again, bool) else await again

    def _without_asking(self, exchange: AiExchange) -> bool:
        """Send the request to the same target as it came: its server may not know how to report usage."""
        if exchange.target is None:
            return False
        exchange.unasked = exchange.target.provider.provider.id
        exchange.forward(self.clock.monotonic())
        return True

    def _outcome(self, exchange: PoolExchange, attempt: AttemptReport) -> Outcome:
        if attempt.error is None:
            wait = wait_of(Headers.of(attempt.fields), self.clock.now())
            return exchange.judge(attempt.status, attempt.body, wait)
        is_late = attempt.error.code == "upstream_timeout"
        why = attempt.error.cause or attempt.error.code
        if attempt.status:  # the body broke off before its content
            is_ours = not is_late or exchange.has_own("idle", "total")
            if isinstance(exchange, AiExchange) and isinstance(exchange.start, commit.WholeBody):
                return outcome_of_transport(RetryOn.RESET, why, status=attempt.status, is_ours=is_ours)
            return outcome_of_stream(None, is_ours=is_ours)
        if not attempt.is_sent:
            is_ours = not is_late or exchange.has_own("connect", "total")
            return outcome_of_transport(RetryOn.CONNECT, why, is_ours=is_ours)
        if is_late:
            is_ours = exchange.has_own("first_byte", "total")
            return outcome_of_transport(RetryOn.TIMEOUT, why, is_ours=is_ours)
        return outcome_of_transport(RetryOn.RESET, why)


def _failed_start(
    exchange: AiExchange, start: commit.StreamStart | commit.WholeBody, piece: bytes | None
) -> Outcome:
    """The outcome of a response that failed with this piece, before any of it was for the client."""
    if isinstance(start, commit.StreamStart):
        is_ours = piece is not None or exchange.policy is None or exchange.policy.hold.time >= PoolHold().time
        return outcome_of_stream(start.error, silent=piece is None, is_ours=is_ours)
    if piece is None:
        is_ours = exchange.has_own("idle", "total")
        return outcome_of_transport(RetryOn.TIMEOUT, "timeout", status=200, is_ours=is_ours)
    return outcome_of_whole("no JSON" if piece else "empty response")


async def _after(seconds: float) -> bool:
    await asyncio.sleep(seconds)
    return True


def _held(again: bool, outcome: Outcome) -> HeldStep:
    if not again and outcome.kind is RetryOn.TIMEOUT:
        raise WireError("upstream_timeout", cause="timeout")
    return HeldStep.AGAIN if again else HeldStep.COMMIT


async def _held_later(again: Awaitable[bool], outcome: Outcome) -> HeldStep:
    return _held(await again, outcome)
