"""The states of targets and keys in one worker, and the reports that it has received about them."""

from dataclasses import dataclass, field
from typing import Final

from shared.health.known import KnownHealth
from shared.health.report import CLOSED, Report
from shared.model.pools import PoolPolicy
from shared.upstreams.keys import KeyState
from shared.upstreams.outcome import KeyEffect
from shared.upstreams.target import Load, States, TargetState
from shared.usage.asking import UnableProviders

_ANY: Final = ""


@dataclass(frozen=True, slots=True)
class PoolStates:
    """The states of targets and keys in one worker. They outlive the configuration that is compiled.

    Attributes:
        secret: for choices that no tenant can foresee; the same on all machines.
        epoch: the time of day at which the monotonic clock was 0, in seconds since the Unix epoch.
        worker, workers: the number of this worker, and how many there are on this machine.
        targets, keys: their states, by the id of the tenant first: no tenant sees what another one causes.
            The name of a key's state tells its secret from an earlier one.
        loads: the calls under way of providers, by the owner and the id: of all tenants together.
        unable: the providers that cannot be asked for the usage of a stream.
        told: what all workers have told, also of targets and keys that nothing here uses yet.
    """

    secret: bytes
    epoch: float = 0.0
    worker: int = 0
    workers: int = 1
    targets: States[tuple[str, str], TargetState] = field(default_factory=States)
    keys: States[tuple[str, str, str], KeyState] = field(default_factory=States)
    loads: States[tuple[str, str], Load] = field(default_factory=States)
    unable: UnableProviders = field(default_factory=UnableProviders)
    told: KnownHealth = field(default_factory=KnownHealth)

    @property
    def trial_delay(self) -> float:
        """Workers try a target that failed one after the other, within a second."""
        return self.worker / self.workers

    def target(self, tenant_id: str, target_id: str, policy: PoolPolicy) -> TargetState:
        """The state of a target as a tenant sees it. A new one begins with what was told."""
        name = (tenant_id, target_id)
        if (state := self.targets.known(name)) is None:
            state = self.targets.of(name, lambda: TargetState(policy.breaker, self.trial_delay))
            for report in self.told.of_target(tenant_id, target_id):
                self._change_target(state, report)
        state.is_probed = policy.health.path is not None
        return state

    def key(self, tenant_id: str, provider_id: str, key: str) -> KeyState:
        """The state of a provider's key as a tenant sees it. A new one begins with what was told.

        `key` is ``<its id>.<hash of its secret>``.
        """
        name = (tenant_id, provider_id, key)
        if (state := self.keys.known(name)) is None:
            state = self.keys.of(name, lambda: KeyState(key, self.trial_delay))
            for report in self.told.of_key(tenant_id, provider_id, key):
                self._change_key(state, report)
        return state

    def learn(self, report: Report, now: float) -> None:
        """Take note of a report, and change the states that it is about. `now` is of the Unix epoch."""
        for one in self.told.add(report, now):
            if one.key:
                for key in self.keys.matching((one.tenant, one.provider, one.key), _ANY):
                    self._change_key(key, one)
            else:
                for target in self.targets.matching((one.tenant, one.target), _ANY):
                    self._change_target(target, one)

    def _change_target(self, state: TargetState, report: Report) -> None:
        """A worker closes nothing on the word of another worker; only probes and operators close."""
        seen, until = report.at - self.epoch, report.until - self.epoch
        if report.cause == CLOSED:
            state.breaker.close()
        elif report.is_firm:
            state.breaker.hold_open(until, report.why)
        else:
            state.breaker.open_until(until, seen, report.why)

    def _change_key(self, state: KeyState, report: Report) -> None:
        seen, until = report.at - self.epoch, report.until - self.epoch
        if report.cause == KeyEffect.REJECTED:
            state.reject_until(until)
        else:
            state.cool_until(report.model, until, seen)
