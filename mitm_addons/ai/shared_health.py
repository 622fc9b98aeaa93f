"""The reports of workers about targets and keys that fail, so that each failure is seen once.

Failures of one tenant's calls count for that tenant. For a provider of the platform, one worker of all
machines then looks itself: if the provider fails for it, too, the failure is everybody's.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final
from weakref import WeakKeyDictionary

from shared.alerts.alert import Alert
from shared.core import tasks
from shared.core.clock import Clock
from shared.core.errors import OutsideError
from shared.health.layout import Beat, parse_message
from shared.health.link import HealthLink
from shared.health.report import CALLS, Report, alert_of, owner_of
from shared.health.states import PoolStates
from shared.model.providers import ProviderKey
from shared.net.port import FetchResponse
from shared.routing.pool_exchange import PoolExchange
from shared.routing.provider_calls import Call, ProviderCalls, call_provider, first_key
from shared.upstreams.attempt import Change
from shared.upstreams.outcome import Fault, outcome_of_response
from shared.upstreams.target import TargetState

logger = logging.getLogger(__name__)

#: Seconds between two times at which a worker stores its figures of the providers that it has called.
BEAT_SECONDS: Final = 10.0
# The same for targets without a provider: only the prober reads them, to know which ones are used.
_USED_SECONDS: Final = 60.0
# Looks at a time. Each takes a thread for the time of a call.
_MAX_LOOKS: Final = 4
# States that are looked at before other work of the loop has its turn.
_SLICE: Final = 1_000


@dataclass(slots=True)
class SharedHealth:
    """Tells other workers what this one learned, and applies what they tell.

    Attributes:
        link: to the other workers, and to what is stored for those that start later.
        states: what this worker knows.
        clock: for times that all machines understand.
        fetch: calls a provider; it runs in a thread.
        alert: tells webhooks what happened.
    """

    link: HealthLink
    states: PoolStates
    clock: Clock
    fetch: Callable[..., FetchResponse]
    alert: Callable[[Alert], None] = lambda _: None
    _looks: set[asyncio.Task[None]] = field(default_factory=set)
    _counted: WeakKeyDictionary[TargetState, int] = field(default_factory=WeakKeyDictionary)
    _told_at: WeakKeyDictionary[TargetState, float] = field(default_factory=WeakKeyDictionary)

    def tell(self, one: PoolExchange) -> None:
        """Send what the attempts of a request have shown."""
        if one.attempts is None or not one.attempts.changes:
            return
        changes, one.attempts.changes = one.attempts.changes, ()
        for change in changes:
            report = self._report(one.tenant_id, change)
            self._tell(report)
            calls = one.shared_provider
            if calls is not None and len(self._looks) < _MAX_LOOKS:
                look = tasks.start(self._look(calls, report), "look at a provider")
                self._looks.add(look)
                look.add_done_callback(self._looks.discard)

    def heard(self, message: bytes) -> None:
        """Apply what another process has told. Messages of another form are ignored."""
        try:
            worker, report = parse_message(message)
        except ValueError as error:  # JSONDecodeError is one
            logger.warning("A message about health is not understood: %r", error)
            return
        if worker != self.link.worker:
            self.states.learn(report, self.clock.now())

    async def run(self) -> None:
        """Store the figures of this worker every few seconds, until canceled."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await self.beat()

    async def beat(self) -> None:
        """Store the figures of the targets that were called since the last time."""
        now = self.clock.now()
        self.states.told.forget(now)
        found: dict[str, dict[str, Beat]] = {}
        for number, ((tenant_id, target_id), state) in enumerate(self.states.targets.items()):
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            is_plain = "/" not in target_id
            if (is_plain and not self._is_asked_for(state, now)) or not self._is_used(state):
                continue
            self._told_at[state] = now
            beats = found.setdefault(owner_of(target_id, tenant_id), {})
            beats[target_id] = self._beat(target_id, state, now, beats.get(target_id))
        self.link.beat({owner: beats.values() for owner, beats in found.items()}, now)

    def _is_asked_for(self, state: TargetState, now: float) -> bool:
        """Whether the prober wants to know if a target without a provider is used."""
        return state.is_probed and now - self._told_at.get(state, 0.0) >= _USED_SECONDS

    def _is_used(self, state: TargetState) -> bool:
        calls = state.latency.calls
        is_used = state.in_flight > 0 or calls != self._counted.get(state, 0)
        self._counted[state] = calls
        return is_used

    def _beat(self, target_id: str, state: TargetState, now: float, others: Beat | None) -> Beat:
        """The figures of a target, together with those that `others` have of it: other tenants."""
        latency, in_flight = state.latency.estimate(self.clock.monotonic()), state.in_flight
        if others is not None:
            in_flight += others.in_flight
            latency = max([one for one in (latency, others.latency) if one is not None], default=None)
        return Beat(worker=self.link.worker, target=target_id, at=now, in_flight=in_flight, latency=latency)

    def _report(self, tenant_id: str, change: Change) -> Report:
        return Report(
            tenant=tenant_id,
            target=change.target,
            until=change.until + self.states.epoch,
            at=self.clock.now(),
            cause=change.effect or CALLS,
            why=change.why,
            key=change.key or "",
            model=change.model,
        )

    def _tell(self, report: Report) -> None:
        self.states.learn(report, self.clock.now())
        self.link.tell(report)
        if (alert := alert_of(report)) is not None:
            self.alert(alert)

    async def _look(self, calls: ProviderCalls, report: Report) -> None:
        """Get the list of models with the key that failed. If this fails, too, the failure is everybody's."""
        call, key = Call.of_list(calls), self._key(calls, report)
        if call is None or (key is None and calls.known.endpoint.needs_key):
            return
        if not await self.link.claim(report.owner, key.id if key else ""):
            return
        if await asyncio.to_thread(self._fails, calls, key, call, report):
            self._tell(replace(report, tenant="", at=self.clock.now()))

    def _key(self, calls: ProviderCalls, report: Report) -> ProviderKey | None:
        if not report.key:
            return first_key(calls, self.clock.now())
        return next((key for key in calls.keys if key.id == report.key_id), None)

    def _fails(self, calls: ProviderCalls, key: ProviderKey | None, call: Call, report: Report) -> bool:
        """Whether the provider fails in the same way."""
        try:
            found = call_provider(self.fetch, calls, key, call)
        except OutsideError:
            return not report.key
        outcome = outcome_of_response(found.status, found.body)
        return outcome.effect == report.cause if report.key else outcome.fault is Fault.TARGET
