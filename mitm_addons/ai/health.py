"""What workers tell each other about targets and keys that fail, so that each failure is seen once."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from shared.core.clock import Clock
from shared.routing.ai_route import PoolStates
from shared.routing.pool_exchange import PoolExchange
from shared.upstreams.attempt import Change
from shared.upstreams.outcome import KeyEffect

logger = logging.getLogger(__name__)

# A longer time is not believed: it would keep a key away for good.
_MAX_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class SharedHealth:
    """Tells other workers what this one learned, and applies what they tell. A worker never closes on that.

    What one tenant's requests showed counts for that tenant only.

    Attributes:
        send: sends a message to all workers.
        states: what this worker knows.
        clock: for times that all machines understand.
        worker: the name of this worker, to know its own messages by.
    """

    send: Callable[[bytes], None]
    states: PoolStates
    clock: Clock
    worker: str

    def tell(self, one: PoolExchange) -> None:
        """Send what the attempts of a request have shown."""
        if one.attempts is None or not one.attempts.changes:
            return
        changes, one.attempts.changes = one.attempts.changes, []
        epoch = self.clock.now() - self.clock.monotonic()
        for change in changes:
            self.send(orjson.dumps(self._message(one.tenant_id, change, epoch)))

    def _message(self, tenant_id: str, change: Change, epoch: float) -> dict[str, Any]:
        return {
            "worker": self.worker,
            "tenant": tenant_id,
            "target": change.target,
            "until": change.until + epoch,
            "why": change.why,
            "key": change.key,
            "effect": change.effect,
            "model": change.model,
        }

    def heard(self, message: bytes) -> None:
        """Apply what another worker has learned. Messages of another form are ignored."""
        try:
            told = orjson.loads(message)
            if told["worker"] == self.worker:
                return
            self._apply(told)
        except (KeyError, TypeError, ValueError) as error:  # JSONDecodeError is a ValueError
            logger.warning("A message about health is not understood: %r", error)

    def _apply(self, told: dict[str, Any]) -> None:
        now = self.clock.monotonic()
        seconds = min(float(told["until"]) - self.clock.now(), _MAX_SECONDS)
        tenant, target, until = str(told["tenant"]), str(told["target"]), now + seconds
        if seconds <= 0:
            return
        if told["key"] is None:
            if (state := self.states.targets.known((tenant, target))) is not None:
                state.breaker.open_until(until, now, str(told["why"]))
            return
        provider = target.partition("/")[0]
        key = self.states.keys.known((tenant, provider, str(told["key"])))
        if key is None:
            return
        if KeyEffect(told["effect"]) is KeyEffect.REJECTED:
            key.reject_until(until)
        else:
            key.cool_until(str(told["model"]), until, now)
