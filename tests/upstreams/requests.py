"""Requests to a pool, and the ways in which their attempts end."""

from dataclasses import replace

from shared.model.pools import AI_POLICY, AI_RETRY, Breaker, PoolPolicy, RetryOn
from shared.upstreams.attempt import Attempt, Ended
from shared.upstreams.attempts import Attempts
from shared.upstreams.outcome import (
    Outcome,
    outcome_of_response,
    outcome_of_stream,
    outcome_of_transport,
)
from shared.upstreams.retry_budget import RetryBudget
from shared.upstreams.target import Target
from tests.upstreams.pools import World

CONNECT = outcome_of_transport(RetryOn.CONNECT, "refused")
RESET = outcome_of_transport(RetryOn.RESET, "reset")
LATE = outcome_of_transport(RetryOn.TIMEOUT, "first byte")
AUTH = outcome_of_response(401)
BROKEN, FULL = outcome_of_response(500), outcome_of_response(503)
CLIENT = outcome_of_response(400)
EMPTY = outcome_of_stream(None)
NO_MONEY = outcome_of_response(402)


def limited(wait: float | None = None) -> Outcome:
    return outcome_of_response(429, b"", wait)


#: Every kind of failure is followed by another attempt, up to ten, and no breaker opens.
PATIENT = PoolPolicy(retry=replace(AI_RETRY, attempts=10), breaker=Breaker(consecutive=99, of=99))


class Requests:
    """Requests to a pool of one worker. Random numbers are all a half."""

    def __init__(self, *every: Target, policy: PoolPolicy = AI_POLICY, world: World | None = None) -> None:
        self.world = world or World()
        self.pool = self.world.pool(every, policy)
        self.budget = RetryBudget()

    def new(
        self, affinity: bytes | None = None, pinned: str | None = None, key: str | None = None
    ) -> Attempts:
        attempts = Attempts(self.pool, self.budget, lambda: 0.5)
        attempts.affinity, attempts.key = affinity, key
        attempts.pinned = None if pinned is None else {pinned}
        return attempts

    def run(self, *outcomes: Outcome, now: float = 0.0) -> list[str]:
        """Each attempt of a request that ends in these ways, as text; then the end, if it came."""
        attempts = self.new()
        step, found = attempts.first(now), []
        for outcome in (*outcomes, None):
            found.append(text(step))
            if outcome is None or isinstance(step, Ended):
                break
            step = attempts.after(outcome, now)
        attempts.end()
        return found


def text(step: Attempt | Ended) -> str:
    if isinstance(step, Ended):
        return f"end {step.code}".strip() + ("" if step.wait is None else f" {step.wait:g}")
    key = "" if step.key is None else f"/{step.key.id}"
    delay = f" +{step.delay:g}" if step.delay else ""
    return f"{step.target.id}{key}{delay}"


def with_keys(world: World, name: str, *keys: str, priority: int = 0) -> Target:
    return Target(id=name, model="m", keys=world.ring(*keys), priority=priority)
