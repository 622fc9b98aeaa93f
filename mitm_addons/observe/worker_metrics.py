"""The metrics of a worker besides its requests, read once a second, and the files where all of them go."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from mitm_addons.observe.metrics import RequestMetrics
from mitm_engine.metrics import Metrics as EngineMetrics
from shared.alerts.writer import AlertWriter
from shared.core import VERSION
from shared.core.process.failures import Failures
from shared.logs import LogWriter
from shared.metrics import names
from shared.metrics.files import SeriesFiles
from shared.metrics.names import Family
from shared.metrics.registry import REGISTRY
from shared.metrics.span_queue import SpanQueue
from shared.records.recorder import Recorder
from shared.services import DataPlane, Services
from shared.upstreams.keys import KeyState
from shared.usage.settler import Settler

logger = logging.getLogger(__name__)

_EVERY: Final = 1.0  # seconds
_STATES_EVERY: Final = 5  # times: there may be thousands of targets
_MAX_BUDGETS: Final = 500


#: The budgets with the highest shares, at most so many: the tenant, the name, and the share.
Ratios = Callable[[int], Sequence[tuple[str, str, float]]]


def _no_ratios(most: int) -> Sequence[tuple[str, str, float]]:
    return ()


class Writers(NamedTuple):
    """The writers off the path of requests, which drop rows that they cannot write: by a label's value."""

    log: LogWriter
    ledger: Settler
    record: Recorder
    trace: SpanQueue | None
    alert: AlertWriter


class WorkerMetrics:
    """Samples the state of a worker, and writes its series to `folder`.

    Attributes:
        requests: the addon that counts requests.
    """

    def __init__(
        self,
        services: Services,
        plane: DataPlane,
        writers: Writers,
        *,
        folder: Path,
        worker: int,
        engine: Callable[[], EngineMetrics | None],
        budgets: Ratios = _no_ratios,
    ) -> None:
        REGISTRY.has_tenants = services.settings.metrics.tenant_labels
        REGISTRY.begin("proxy", VERSION)
        self.requests = RequestMetrics(REGISTRY)
        self._services, self._plane, self._writers, self._engine = services, plane, writers, engine
        self._budgets = budgets
        self._began = services.clock.monotonic()
        self._files = SeriesFiles(folder, str(worker), REGISTRY)
        self._failures = Failures()
        self._round = 0
        value = REGISTRY.value
        self._age, self._revision = value(names.CONFIG_AGE), value(names.CONFIG_REVISION)
        self._breaker, self._lag = value(names.REDIS_BREAKER), value(names.LOOP_LAG)
        self._connections, self._in_flight = value(names.CONNECTIONS), value(names.IN_FLIGHT)
        self._upstream = value(names.UPSTREAM_CONNECTIONS)
        self._dropped = [value(names.DROPPED, kind) for kind in Writers._fields]
        self._reused, self._new = (value(names.UPSTREAM_CONNECTION_USES, one) for one in ("reused", "new"))

    async def run(self) -> None:
        """Sample and write until canceled."""
        try:
            while True:
                self.sample()
                await self._write()
                await asyncio.sleep(_EVERY)
        finally:
            self._files.close()

    async def _write(self) -> None:
        try:
            await asyncio.to_thread(self._files.flush)
        except OSError as error:
            if self._failures.is_new(error):
                logger.warning("The metrics cannot be written: %s", error)
        else:
            self._failures.end()

    def sample(self) -> None:
        """Read the state of the worker."""
        plane, now = self._plane, self._services.clock.monotonic()
        checked, seen = plane.gateways.last_config_check, self._services.known.seen
        self._age.value = now - (self._began if checked is None else checked)
        self._revision.value = 0 if seen is None else seen.revision
        self._breaker.value = int(plane.limiter.is_alone)
        for lost, writer in zip(self._dropped, self._writers, strict=True):
            lost.value = 0 if writer is None else writer.dropped
        if (engine := self._engine()) is not None:
            self._connections.value, self._in_flight.value = engine.connections, engine.in_flight
            self._upstream.value, self._lag.value = engine.upstream_connections, engine.loop_lag
            self._reused.value, self._new.value = engine.pool_hits, engine.pool_misses
        if self._round % _STATES_EVERY == 0:
            self._sample_states(now)
        self._round += 1

    def _sample_states(self, now: float) -> None:
        """Show the worst state of each target and key, over all tenants."""
        states, shown = self._plane.states, self.requests.shown
        REGISTRY.clear(names.UPSTREAM_STATE)
        for (_, target), one in states.targets.items():
            labels = shown.target(target)
            if labels is not None:
                until = one.breaker.until
                state = 0 if until is None else 2 if now < until else 1
                _raise_to(names.UPSTREAM_STATE, state, *labels)
        REGISTRY.clear(names.BUDGET_USED)
        for tenant, budget, ratio in self._budgets(_MAX_BUDGETS):
            _raise_to(names.BUDGET_USED, ratio, tenant, budget)
        REGISTRY.clear(names.KEY_STATE)
        for (_, provider, key), key_state in states.keys.items():
            _raise_to(names.KEY_STATE, _state(key_state), shown.provider(provider), key.partition(".")[0])


def _state(key: KeyState) -> int:
    return 2 if key.rejected_until is not None else int(not key.is_good)


def _raise_to(family: Family, value: float, *labels: str) -> None:
    found = REGISTRY.value(family, *labels)
    found.value = max(found.value, value)
