"""The attempts of one request: which target and key are tried next, until one responds or none is left.

    first ----> Attempt ---- the first content, or a whole response ----> served ----> end
                 |   ^
         failed  v   |  another key after `auth` and `rate_limit`; else another target; else the same one,
               after-+  once after the wait that an upstream asked for, or with a growing random backoff
                 |
                 +----> Ended: the client sees the last failure, or an error of the gateway

The driver of an exchange (the engine's policy hooks) has one object per request:

1. `first(now)` when the request is known. On an `Attempt`, write its target and key into the flow.
2. A failure becomes an `Outcome` (`outcome.py`): the connection failed, the head of the response is an error,
   or the beginning of the stream is `Step.AGAIN` (`commit.py`). `after(outcome, now)` returns the next
   `Attempt`, to be made after its `delay`, or `Ended`. Then the client gets what was received last.
3. `served(now)` when the first content goes to the client. After it, nothing is tried.
4. `end()` in every case, when the exchange is over.

After each of these, `changes` has what other workers should know, and `trace` the attempts for the log.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from shared.core.empty import EMPTY
from shared.model.pools import RetryOn
from shared.upstreams.attempt import Attempt, Change, Ended, PlannedCall, TracedAttempt
from shared.upstreams.choose import OPEN, Fits, Pool
from shared.upstreams.keys import KeyRing, KeyState
from shared.upstreams.outcome import Fault, KeyEffect, Outcome
from shared.upstreams.retry_budget import RetryBudget
from shared.upstreams.target import Call, Target, TargetState

#: The reason for a target whose provider has no key that can be used now.
NO_KEY: Final = "no_key"
#: The longest wait that a client is told when all keys cool, in seconds.
MAX_KEY_WAIT_SECONDS: Final = 60.0

# Only another target may follow: the first one may have generated, and may bill, a response.
_DOUBTFUL = (RetryOn.RESET, RetryOn.TIMEOUT)


class Attempts:
    """The attempts of one request.

    Set the first four before `first`, where they are not None; as arguments they would take longer.

    Attributes:
        affinity, pinned, fits: those of `Pool.choose`, as is `random`.
        key: the id of the only key that may be used; None: all.
        number: how many were made.
        trace: those that are over.
        changes: what other workers should know; the driver empties it.
        why_not: why targets were no candidates when the last choice was made.
    """

    def __init__(self, pool: Pool, budget: RetryBudget, random: Callable[[], float]) -> None:
        self._pool = pool
        self._budget = budget
        self._random = random
        self.affinity: bytes | None = None
        self.pinned: Collection[str] | None = None
        self.fits: Fits | None = None
        self.key: str | None = None
        self._now = self._began = 0.0  # when the call under way was to begin, after its delay
        # The call under way: its target and key, and what counts it there; None before and after.
        self._planned: PlannedCall | None = None
        self._call: Call | None = None
        # The call that may be repeated first, of those whose upstream said when.
        self._ready: tuple[float, PlannedCall] | None = None
        # It is the trial of a key; the client has a part of its response; a call has waited as it was told.
        self._is_key_trial = self._is_served = self._has_waited = False
        self._tried: Collection[str] = ()  # the targets that have failed
        self._repeats = self.number = 0
        self.changes: Sequence[Change] = ()
        self.why_not: Mapping[str, str] = EMPTY
        self.trace: list[TracedAttempt] = []

    # The driver calls these.

    def first(self, now: float) -> Attempt | Ended:
        """The first attempt. If `fits` raises, nothing has changed, and it may be asked for again."""
        planned, wait = self._pool.only if self.pinned is None else None, None
        if planned is None or not planned.is_open(now) or (self.fits and self.fits(planned.target)):
            planned, wait = self._other_target(now)
        if planned is None:
            return self._no_target(wait)
        self._budget.request(now)
        return self._begin(planned, now)

    def served(self, now: float, status: int = 200) -> None:
        """The first content of the response, or all of it, goes to the client."""
        planned, call = self._planned, self._call
        if planned is None or call is None:
            raise RuntimeError("No attempt is under way.")
        self._is_served = True
        call.served(now)
        key_state = planned.key_state
        if key_state is not None and (self._is_key_trial or key_state.cooling):
            key_state.succeeded(planned.target.model, now, is_trial=self._is_key_trial)
            self._is_key_trial = False
        self._note(planned, now, "", status)

    def after(self, outcome: Outcome, now: float) -> Attempt | Ended:
        """The attempt that follows a failed one; none after one that was served, whatever came later."""
        if self._planned is None or self._call is None:
            raise RuntimeError("No attempt is under way.")
        if self._is_served:
            return Ended()
        failed = self._settle(self._planned, self._call, outcome, now)
        retry = self._pool.policy.retry
        may_follow = outcome.kind is not None and (outcome.kind in retry.on or outcome.kind is RetryOn.AUTH)
        if may_follow and self.number < retry.attempts:
            planned, delay = self._next(failed, outcome, now)
            if planned is not None and self._budget.take(now):
                return self._begin(planned, now, delay)
        return Ended("provider_auth" if outcome.kind is RetryOn.AUTH else "")

    def end(self) -> None:
        """The exchange is over, however it ended. May be called again."""
        planned, call = self._planned, self._call
        self._planned = self._call = None
        if planned is not None and call is not None:
            call.end()
            if planned.key_state is not None and self._is_key_trial:
                planned.key_state.abandoned(is_trial=True)

    # The next attempt.

    def _next(self, failed: PlannedCall, outcome: Outcome, now: float) -> tuple[PlannedCall | None, float]:
        """The call that follows, and the seconds to wait before it."""
        if outcome.fault is Fault.KEY and failed.key is not None:
            # With another key: the target has generated nothing. The key that failed cools.
            planned = self._with_key(failed.target, failed.state, now)
            if planned is not None:
                return planned, 0.0
        self._tried = {*self._tried, failed.target.id}
        planned, _ = self._other_target(now)
        if planned is not None or outcome.kind in _DOUBTFUL:
            return planned, 0.0
        return self._same_target(failed, outcome, now)

    def _other_target(self, now: float) -> tuple[PlannedCall | None, float | None]:
        """A call of a target that was not tried; else the seconds until one may be called, if known."""
        self._now = now
        found = self._pool.choose(
            now,
            self._random,
            affinity=self.affinity,
            pinned=self.pinned,
            tried=self._tried,
            fits=self._may_serve,
        )
        self.why_not = found.why_not
        if found.target is None or found.state is None:
            return None, found.wait
        return self._with_key(found.target, found.state, now), None

    def _with_key(self, target: Target, state: TargetState, now: float) -> PlannedCall | None:
        """A call of that target with one of its keys; None if none can be used."""
        if target.keys is None:
            return PlannedCall(target, state)
        found = target.keys.choose(target.model, now, self._random, affinity=self.affinity, pinned=self.key)
        return None if found.key is None else PlannedCall(target, state, found.key, found.state)

    def _same_target(
        self, failed: PlannedCall, outcome: Outcome, now: float
    ) -> tuple[PlannedCall | None, float]:
        """A target that failed, after the wait that it asked for, once; else the last one after a backoff."""
        retry = self._pool.policy.retry
        if self._ready is not None and not self._has_waited:
            ready, planned = self._ready
            if ready - now <= retry.within and planned.state.breaker.until is None:
                self._has_waited = True
                return planned, max(ready - now, 0.0)
        if outcome.wait or outcome.fault is not Fault.TARGET or failed.state.breaker.until is not None:
            return None, 0.0
        longest = min(retry.backoff * 2**self._repeats, retry.within)
        self._repeats += 1
        return failed, self._random() * longest

    def _may_serve(self, target: Target) -> str:
        if self.fits is not None and (reason := self.fits(target)):
            return reason
        if target.keys is None or target.keys.has_key(target.model, self._now, pinned=self.key):
            return ""
        return NO_KEY

    def _no_target(self, wait: float | None) -> Ended:
        """The error when there is no target for the first attempt. `wait` is that for an open one."""
        reasons = set(self.why_not.values())
        if NO_KEY not in reasons or OPEN in reasons:
            return Ended("no_upstream", wait)
        cooling = [
            seconds
            for target in self._pool.targets
            if self.why_not[target.id] == NO_KEY and target.keys is not None
            if (seconds := self._key_wait(target.keys, target.model)) is not None
        ]
        wait = min(cooling, default=None)
        if wait is None or wait > MAX_KEY_WAIT_SECONDS:
            return Ended("no_provider_key", wait)
        return Ended("rate_limit_exceeded", wait)

    def _key_wait(self, keys: KeyRing, model: str) -> float | None:
        """The seconds until a key of a target without one that can be used now may be used."""
        return keys.choose(model, self._now, self._random, pinned=self.key).wait

    # Changes by an attempt.

    def _begin(self, planned: PlannedCall, now: float, delay: float = 0.0) -> Attempt:
        key_state = planned.key_state
        self._planned, self._began, self._is_served = planned, now + delay, False
        self._call = Call(planned.target, planned.state, self._began)
        self._is_key_trial = (
            key_state is not None and key_state.rejected_until is not None and key_state.begin()
        )
        self.number += 1
        return Attempt(planned.target, planned.key, delay) if delay else planned.attempt

    def _settle(self, planned: PlannedCall, call: Call, outcome: Outcome, now: float) -> PlannedCall:
        """Record a failure: for the target, for the key, and for what may follow."""
        target, key_state = planned.target, planned.key_state
        if call.failed(outcome, now):
            until = planned.state.breaker.until or now
            self.changes = (*self.changes, Change(target=target.id, until=until, why=outcome.why))
        ready = None if outcome.wait is None else now + outcome.wait
        if key_state is not None:
            if outcome.effect is not None:
                ready = self._settle_key(target, key_state, outcome, outcome.effect, now)
            elif outcome.fault is Fault.CLIENT:  # the provider has accepted the key
                key_state.succeeded(target.model, now, is_trial=self._is_key_trial)
                self._is_key_trial = False
        if ready is not None and (self._ready is None or ready < self._ready[0]):
            self._ready = ready, planned
        self._note(planned, now, outcome.why, outcome.status)
        self.end()
        return planned

    def _settle_key(
        self, target: Target, state: KeyState, outcome: Outcome, effect: KeyEffect, now: float
    ) -> float:
        """Record the failure of a key. Return when it can be used again."""
        until = state.failed(
            effect, target.model, now, why=outcome.why, wait=outcome.wait, is_trial=self._is_key_trial
        )
        self._is_key_trial = False
        if until is not None:
            model = target.model if effect is KeyEffect.RATE_LIMIT else ""
            change = Change(
                target=target.id, until=until, why=outcome.why, key=state.name, effect=effect, model=model
            )
            self.changes = (*self.changes, change)
        return now + state.wait(target.model, now)

    def _note(self, planned: PlannedCall, now: float, why: str, status: int) -> None:
        key, began = planned.key, self._began
        ms = 0 if now < began else int((now - began) * 1000 + 0.5)
        key_id = None if key is None else key.id
        self.trace.append(TracedAttempt(planned.target.id, key_id, status, why, ms, began))
