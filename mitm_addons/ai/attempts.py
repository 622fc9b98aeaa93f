"""Answers the engine's questions about the attempts of a request to a model."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from mitmproxy import http

from mitm_addons.flows import state_of
from mitm_engine.exchange.attempt import Attempt, Hold, Retries, Step
from mitm_engine.wire_error import WireError
from shared.core.clock import Clock
from shared.model.messages import Headers
from shared.model.pools import RetryOn
from shared.providers.retry_after import wait_of
from shared.routing.ai_calls import body_for_target
from shared.routing.ai_exchange import AiExchange, Send
from shared.routing.ai_route import ModelPool
from shared.upstreams import commit
from shared.upstreams.attempt import Attempt as Planned
from shared.upstreams.attempt import Ended
from shared.upstreams.attempts import Attempts
from shared.upstreams.outcome import (
    Outcome,
    outcome_of_response,
    outcome_of_stream,
    outcome_of_transport,
)
from shared.usage.asking import rejects_asking

#: The bounds within which the engine asks. A decision includes the wait for a target, up to `Retry.within`.
RETRIES: Final = Retries(decision_seconds=310.0)

_STEPS: Final = {
    commit.Step.HOLD: Step.HOLD,
    commit.Step.COMMIT: Step.COMMIT,
}


@dataclass(frozen=True, slots=True)
class AiAttempts:
    """Decides whether a request is sent to another target; see `mitm_engine.options.Policy`."""

    clock: Clock

    def retry(self, flow: http.HTTPFlow, attempt: Attempt) -> bool | Awaitable[bool]:
        """Whether the request goes to another target, or to the same one with another key."""
        one = _exchange(flow)
        if one is None or one.attempts is None or (attempt.error is None and attempt.status < 400):
            return False
        if one.asks_usage and rejects_asking(attempt.status, attempt.body):
            return self._without_asking(one)
        return self._again(one, one.attempts, self._outcome(one, attempt))

    def holds(self, flow: http.HTTPFlow, attempt: Attempt) -> Hold | None:
        """How long the beginning of a stream is held back, while another target may follow."""
        one = _exchange(flow)
        if one is None or one.pool is None or attempt.status >= 400:
            return None
        policy = one.pool.pool.policy
        if policy.hold.until != "content" or RetryOn.STREAM_START not in policy.retry.on:
            return None
        content_type = Headers.of(attempt.fields).get("content-type") or ""
        one.start = commit.StreamStart.of(one.call.api, content_type, policy.hold.bytes)
        return None if one.start is None else Hold(policy.hold.bytes, policy.hold.time)

    def held(self, flow: http.HTTPFlow, piece: bytes | None) -> Step | Awaitable[Step]:
        """What to do with the beginning of a stream, given its next piece."""
        one = _exchange(flow)
        if one is None or one.start is None or one.attempts is None:
            return Step.COMMIT
        start = one.start
        step = commit.Step.AGAIN if piece is None else start.feed(piece) if piece else start.end()
        if step is not commit.Step.AGAIN:
            return _STEPS[step]
        outcome = outcome_of_stream(start.error, silent=piece is None)
        again = self._again(one, one.attempts, outcome)
        if isinstance(again, bool):
            return Step.AGAIN if again else Step.COMMIT
        return _step(again)

    def _again(self, one: AiExchange, attempts: Attempts, outcome: Outcome) -> bool | Awaitable[bool]:
        """Record a failure, and point the flow at the next target, if there is one."""
        if one.is_judged:
            return False  # the silence or the error of a response that goes to the client all the same
        following = attempts.after(outcome, self.clock.monotonic())
        one.tell(one)
        if isinstance(following, Ended):
            one.is_judged = True
            if following.code == "provider_auth":
                raise WireError("no_provider_key", headers={"x-should-retry": "false"})
            return False
        one.attempt = following
        if one.pool is None or one.send is None:
            return False
        self._send(one, following, one.pool, one.send)
        return _after(following.delay) if following.delay else True

    def _without_asking(self, one: AiExchange) -> bool:
        """Send the request to the same target as it came: its server does not know how to report usage."""
        if one.target is None or one.attempt is None or one.pool is None or one.send is None:
            return False
        one.route.states.unable.add(one.target.provider.provider.id, self.clock.monotonic())
        self._send(one, one.attempt, one.pool, one.send)
        return True

    def _send(self, one: AiExchange, attempt: Planned, pool: ModelPool, send: Send) -> None:
        send(one.route.upstream(pool, attempt, one.call), body_for_target(one, self.clock.monotonic()))

    def _outcome(self, one: AiExchange, attempt: Attempt) -> Outcome:
        if attempt.error is None:
            wait = wait_of(Headers.of(attempt.fields), self.clock.now())
            return outcome_of_response(attempt.status, attempt.body, wait)
        if attempt.status:
            return outcome_of_stream(None)  # the body broke off before its content
        why = attempt.error.cause or attempt.error.code
        if not attempt.is_sent:
            return outcome_of_transport(RetryOn.CONNECT, why)
        if attempt.error.code == "upstream_timeout":
            target = one.target
            is_ours = target is None or not one.route.is_shortened(target)
            return outcome_of_transport(RetryOn.TIMEOUT, why, is_ours=is_ours)
        return outcome_of_transport(RetryOn.RESET, why)


async def _after(seconds: float) -> bool:
    await asyncio.sleep(seconds)
    return True


async def _step(again: Awaitable[bool]) -> Step:
    return Step.AGAIN if await again else Step.COMMIT


def _exchange(flow: http.HTTPFlow) -> AiExchange | None:
    state = state_of(flow)
    return None if state is None else state.ai
